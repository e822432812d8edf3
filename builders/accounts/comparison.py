"""What changed from one image to another: packages, layers, bytes to send, configuration."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from builders.accounts.account import Account, LayerAccount, store_name
from builders.accounts.causes import Causes, SameContent, find_causes
from builders.accounts.known import PLAN, KnownLayer
from builders.accounts.pairing import Pairing, pair
from builders.accounts.shared_layers import is_there
from builders.closure.package_names import parse_name

_HASH: Final = re.compile(r"[0-9a-df-np-sv-z]{32}(?=-)")


@dataclass(frozen=True)
class PackageChange:
    """A package with its versions on either side; none where it is not there.

    `old_bytes` and `new_bytes` are the own bytes of its paths, None where nobody knows them, and
    `paths` those of the new image that the old one lacks.
    """

    package: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    old_bytes: int | None
    new_bytes: int | None
    paths: tuple[str, ...]

    @property
    def is_only_rebuilt(self) -> bool:
        """Whether the versions are the same, and so many."""
        return self.old == self.new


@dataclass(frozen=True)
class LayerChange:
    """A layer of the new image that the old one lacks, and why.

    `changed` are its store paths that the old image lacks, the largest first, and `moved` those
    that are in another layer there. `way` leads from one of `changed` to a cause: the shortest.
    `is_recompressed` says that the old image has the layer, but compressed in another way, and
    `is_dated` that its content takes the time at which it is written.
    """

    layer: LayerAccount
    changed: tuple[str, ...]
    moved: tuple[str, ...]
    way: tuple[str, ...]
    is_recompressed: bool = False
    is_dated: bool = False


@dataclass(frozen=True)
class Transfer:
    """Layers that have to be sent, their bytes as tars, and compressed, where these are known.

    `documents` are the bytes of manifest and image configuration, which are sent with them, None
    where they are not known.
    """

    layers: int
    size: int | None
    compressed: int | None
    documents: int | None


@dataclass(frozen=True)
class FieldChange:
    """A field of the configuration: its value on either side, None where it is not there.

    `follows` says that nothing differs but hashes of store paths.
    """

    field: str
    old: Any
    new: Any
    follows: bool


@dataclass(frozen=True)
class Comparison:
    """What changed from `old` to `new`.

    `push` is what a registry lacks that has the old image, and an engine that knows layers by their
    digests; `pull_by_chain` what an engine lacks that knows a layer by all those below it, too.
    Both are None where one side is a closure, whose layers nobody knows.
    """

    old: Account
    new: Account
    pairing: Pairing
    causes: Causes
    packages: tuple[PackageChange, ...]
    layers: tuple[LayerChange, ...]
    push: Transfer | None
    pull_by_chain: Transfer | None
    config: tuple[FieldChange, ...]


def compare_accounts(old: Account, new: Account, *, same_content: SameContent) -> Comparison:
    """Return what changed; `same_content` is as in builders.accounts.causes."""
    names_paths = old.image.names_paths and new.image.names_paths
    pairing = pair(old, new) if names_paths else Pairing(frozenset(), {}, (), ())
    causes = find_causes(old, new, pairing, same_content=same_content)
    has_layers = all(account.layers or not account.paths for account in (old, new))
    missing = _missing_layers(old, new) if has_layers else []
    return Comparison(
        old=old,
        new=new,
        pairing=pairing,
        causes=causes,
        packages=tuple(_packages(old, new)) if names_paths else (),
        layers=tuple(_layer_change(layer, old, new, causes) for layer in missing),
        push=_transfer(missing, old, new) if has_layers else None,
        pull_by_chain=_transfer(_above_change(old, new), old, new) if has_layers else None,
        config=tuple(_fields(old, new)),
    )


def _packages(old: Account, new: Account) -> Iterator[PackageChange]:
    sides = [_by_package(account) for account in (old, new)]
    for package in sorted(sides[0].keys() | sides[1].keys()):
        left, right = (side.get(package, []) for side in sides)
        if set(left) != set(right):
            yield PackageChange(
                package=package,
                old=_versions(left),
                new=_versions(right),
                old_bytes=_own(old, left),
                new_bytes=_own(new, right),
                paths=tuple(path for path in right if path not in old.paths),
            )


def _own(account: Account, paths: Sequence[str]) -> int | None:
    if paths and not account.is_measured:
        return None
    return sum(account.paths[path].own for path in paths)


def _by_package(account: Account) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, one in account.paths.items():
        found.setdefault(one.package, []).append(path)
    return found


def _versions(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(parse_name(store_name(path))[1] for path in paths))


def _keys(old: Account, new: Account) -> tuple[list[object], list[object]]:
    """Return what layers are known by: digests, or, where one side lacks any, their paths.

    A layer that has neither is like no other, but for itself, and so is one of a plan whose digest
    waits for the time at which it is written.
    """
    sides = (old.layers, new.layers)
    by_digest = all(layer.known.diff_id for layers in sides for layer in layers)

    def key(layer: LayerAccount, account: Account) -> object:
        known = layer.known
        if known.paths and not by_digest and not _takes_time(layer, account):
            return tuple(sorted(known.paths))
        return known.diff_id or id(known)

    left, right = ([key(layer, side) for layer in side.layers] for side in (old, new))
    return left, right


def _takes_time(layer: LayerAccount, account: Account) -> bool:
    return account.image.source == PLAN and layer.known.diff_id is None


def _missing_layers(old: Account, new: Account) -> list[LayerAccount]:
    before, after = _keys(old, new)
    there: dict[object, list[KnownLayer]] = {}
    for layer, key in zip(old.layers, before, strict=True):
        there.setdefault(key, []).append(layer.known)
    missing = []
    for layer, key in zip(new.layers, after, strict=True):
        same = there.setdefault(key, [])
        if not is_there(layer.known, same):
            same.append(layer.known)
            missing.append(layer)
    return missing


def _above_change(old: Account, new: Account) -> Sequence[LayerAccount]:
    same = 0
    pairs = zip(*_keys(old, new), old.layers, new.layers, strict=False)
    for left, right, below, layer in pairs:
        if left != right or not is_there(layer.known, [below.known]):
            break
        same += 1
    return new.layers[same:]


def _transfer(layers: Sequence[LayerAccount], old: Account, new: Account) -> Transfer:
    sizes = [layer.known.blob_size for layer in layers]
    sized = new.is_measured or all(layer.known.size is not None for layer in layers)
    digests = {account.image.config_digest for account in (old, new)}
    is_same = not layers and len(digests) == 1 and None not in digests
    return Transfer(
        layers=len(layers),
        size=sum(layer.size for layer in layers) if sized else None,
        compressed=None if None in sizes else sum(size or 0 for size in sizes),
        documents=0 if is_same else new.image.documents,
    )


def _layer_change(layer: LayerAccount, old: Account, new: Account, causes: Causes) -> LayerChange:
    known = layer.known.paths if old.image.names_paths else ()
    paths = sorted(known, key=lambda path: (-new.paths[path].own, path))
    changed = tuple(path for path in paths if path not in old.paths)
    steps = causes.steps
    nearest = min(
        (path for path in changed if path in steps),
        key=lambda path: (steps[path], path),
        default=None,
    )
    return LayerChange(
        layer=layer,
        changed=changed,
        moved=tuple(path for path in paths if path in old.paths),
        way=() if nearest is None else causes.way(nearest),
        is_dated=_takes_time(layer, new),
        is_recompressed=layer.known.diff_id is not None
        and layer.known.diff_id in {other.known.diff_id for other in old.layers},
    )


def _fields(old: Account, new: Account) -> Iterator[FieldChange]:
    sides = [_flat(account) for account in (old, new)]
    for field in sorted(sides[0].keys() | sides[1].keys()):
        left, right = (side.get(field) for side in sides)
        if left != right:
            yield FieldChange(field, left, right, follows=_blank(left) == _blank(right))


def _blank(value: Any) -> str:
    return _HASH.sub("", json.dumps(value, sort_keys=True))


def _flat(account: Account) -> dict[str, Any]:
    """Return the configuration field by field: variables, labels and ports each by themselves."""
    found: dict[str, Any] = {}
    if account.image.platform:
        found["platform"] = account.image.platform
    for key, value in account.image.config.items():
        if value is None:
            continue
        if key == "Env" and isinstance(value, list) and all(isinstance(v, str) for v in value):
            for variable in value:
                name, _, setting = variable.partition("=")
                found[f"Env.{name}"] = setting
        elif isinstance(value, Mapping):
            found.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            found[key] = value
    return found
