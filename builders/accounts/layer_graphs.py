"""What layers that were looked into, and the configuration with them, tell of an image.

All that Nix knows of references it has found in the bytes of store paths, and these are in the
layers.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.accounts.known import Evidence, KnownLayer, all_roots
from builders.accounts.layer_scan import LayerContents, hash_of, mentioned, merged_mentions
from builders.closure.graph import Graph, StorePath, referrers_first
from builders.image.platform import Platform


@dataclass(frozen=True)
class FoundGraph:
    """A graph, and what belongs to it, all as in `KnownImage`; None where none is found."""

    graph: Graph | None = None
    roots: tuple[str, ...] = ()
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def find_graph(
    layers: Sequence[KnownLayer], contents: Mapping[int, LayerContents], config: Mapping[str, Any]
) -> FoundGraph:
    """Return the graph of the paths of `layers`, whose `contents` are those of the same number.

    Paths that `config`, the container configuration, names are roots.
    """
    paths = list(dict.fromkeys(path for layer in layers for path in layer.paths))
    if not paths:
        return FoundGraph(unknown=("no layer has a store path: there is no closure to explain",))
    by_hash = {hash_of(path): path for path in paths}
    mentions = merged_mentions(contents)
    evidence = {}
    graph: dict[str, StorePath] = {}
    for path in paths:
        found = {
            by_hash[hash_]: place
            for hash_, place in mentions.get(path, {}).items()
            if hash_ in by_hash
        }
        evidence.update({(path, to): place for to, place in found.items()})
        graph[path] = StorePath(
            path=path,
            references=tuple(sorted(to for to in found if to != path)),
            refers_to_itself=path in found,
        )
    try:
        referrers_first(graph)
    except ValueError:
        return FoundGraph(unknown=("paths of the image refer to each other in a circle",))
    named = [hash_ for hash_, _ in _mentioned_in(json.dumps(config))]
    roots = [by_hash[hash_] for hash_ in (*mentions.get("", {}), *named) if hash_ in by_hash]
    return FoundGraph(
        graph,
        all_roots(graph, sorted(roots)),
        evidence,
        (
            "the graph was found by looking into the layers: a reference that is compressed is not "
            "seen",
        ),
    )


def _mentioned_in(text: str) -> list[tuple[bytes, int]]:
    return list(mentioned(io.BytesIO(text.encode())))


def container_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container configuration; engines read its key in any case."""
    for key, value in config.items():
        if key.lower() == "config" and isinstance(value, dict):
            return value
    return {}


def platform_of(config: Mapping[str, Any]) -> str | None:
    """Return the platform in the image configuration `config`, None where it says none."""
    os_name, architecture = config.get("os"), config.get("architecture")
    variant = config.get("variant")
    if not isinstance(os_name, str) or not isinstance(architecture, str):
        return None
    return str(Platform(os_name, architecture, variant if isinstance(variant, str) else None))
