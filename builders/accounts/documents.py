"""The account of an image as JSON; docs/schemas/explain.json describes it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from builders.accounts.account import Account, LayerAccount, PathAccount, known_layer_size
from builders.accounts.known import Evidence

_VERSION: Final = 1


def account_document(
    account: Account,
    paths: Sequence[str] | None = None,
    *,
    evidence: Mapping[tuple[str, str], Evidence] | None = None,
    equal_files: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the account as JSON's types: of `paths` alone, each with its way in, or of all."""
    image = account.image
    chosen = account.paths if paths is None else paths
    document: dict[str, Any] = {
        "version": _VERSION,
        "source": image.source,
        "name": image.name or None,
        "platform": image.platform,
        "measure": image.measure,
        "size": account.size if account.has_sizes else None,
        "own": account.size - account.other if account.is_measured else None,
        "other": account.other if account.is_measured else None,
        "compressed": account.compressed,
        "layers": [_layer(account, layer) for layer in account.layers],
        "roots": sorted(image.roots) if image.graph is not None else None,
        "paths": [
            _path(account, account.paths[path], evidence=evidence, with_way=paths is not None)
            for path in chosen
        ],
        "versions": {name: list(found) for name, found in account.versions.items()},
        "unknown": list(image.unknown),
    }
    if equal_files is not None:
        document["equalFiles"] = list(equal_files)
    return document


def _layer(account: Account, layer: LayerAccount) -> dict[str, Any]:
    known = layer.known
    return {
        "number": layer.number,
        "kind": known.kind,
        "diffId": known.diff_id,
        "size": known_layer_size(account, layer),
        "blob": known.blob,
        "blobSize": known.blob_size,
        "own": layer.own if account.is_measured else None,
        "other": layer.other if account.is_measured else None,
        "chance": layer.chance,
        "paths": list(known.paths),
        "directories": dict(sorted(known.directories.items())),
    }


def _path(
    account: Account,
    path: PathAccount,
    *,
    evidence: Mapping[tuple[str, str], Evidence] | None,
    with_way: bool,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "path": path.path,
        "package": path.package,
        "version": path.version,
        "own": path.own if account.is_measured else None,
        "closure": path.closure if not with_way else account.closure(path.path),
        "vanishing": path.vanishing,
        "update": path.update,
        "layers": list(path.layers),
        "references": path.references,
        "referrers": path.referrers,
    }
    if with_way:
        way = account.way(path.path)
        found["way"] = list(way)
        if evidence is not None:
            found["evidence"] = [_evidence(evidence.get(pair)) for pair in pairwise(way)]
    return found


def _evidence(place: Evidence | None) -> dict[str, Any] | None:
    return {"file": place.file, "offset": place.offset} if place else None
