"""How much of an image stays when it is built again: bytes in layers that are the same.

What an update does to a closure is known without building it: the path that is updated gets
another hash, and so does each one that depends on it. Sizes stay as they are here.
"""

import hashlib
import json
import pathlib
from collections.abc import Collection
from dataclasses import dataclass, replace

from builders.closure.graph import Graph, StorePath, read_graph
from builders.image.layering import assign_layers

LAYERINGS = ("popularity", "size")


@dataclass(frozen=True)
class Sharing:
    """Bytes (NAR sizes) of a closure after a change, how many of them are in
    paths that are new, and by layering how many are in layers that stay.
    """

    total: int
    new: int
    stay: dict[str, int]


def read(path: pathlib.Path) -> Graph:
    """Return the closure graph that images.nix made at `path`."""
    return read_graph(json.loads(path.read_text())["closure"])


def share(old: Graph, new: Graph) -> Sharing:
    """Return what the images of two closures share."""
    stay = {}
    for layering in LAYERINGS:
        known = {frozenset(paths) for paths in layers(old, layering)}
        stay[layering] = sum(
            size(new, paths) for paths in layers(new, layering) if frozenset(paths) in known
        )
    return Sharing(
        total=size(new, new), new=size(new, [path for path in new if path not in old]), stay=stay
    )


def layers(graph: Graph, layering: str) -> list[tuple[str, ...]]:
    """Return the store layers of an image of at most 100 layers."""
    return assign_layers(graph, exclude=(), limit=99, layering=layering)


def size(graph: Graph, paths: Collection[str]) -> int:
    """Return the bytes of `paths`."""
    return sum(graph[path].nar_size for path in paths)


def find(graph: Graph, package: str) -> str:
    """Return the path of `package` in any version."""
    (path,) = [path for path in graph if path.partition("-")[2].startswith(f"{package}-")]
    return path


def updated(graph: Graph, path: str) -> dict[str, StorePath]:
    """Return `graph` after an update of `path`."""
    return _renamed(graph, {path})


def without(graph: Graph, path: str) -> dict[str, StorePath]:
    """Return `graph` as it is without `path`, and without what only `path` needs.

    What refers to it has another hash then.
    """
    (root,) = set(graph) - {to for node in graph.values() for to in node.references}
    kept = {root}
    pending = [root]
    while pending:
        for to in graph[pending.pop()].references:
            if to != path and to not in kept:
                kept.add(to)
                pending.append(to)
    less = {
        name: replace(node, references=tuple(to for to in node.references if to in kept))
        for name, node in graph.items()
        if name in kept
    }
    return _renamed(less, {name for name in less if path in graph[name].references})


def _renamed(graph: Graph, paths: Collection[str]) -> dict[str, StorePath]:
    """Give `paths`, and all that depends on them, another hash."""
    changed = set(paths)
    while more := {
        name
        for name, node in graph.items()
        if name not in changed and not changed.isdisjoint(node.references)
    }:
        changed |= more
    names = {path: _other(path) if path in changed else path for path in graph}
    renamed = {
        names[path]: replace(
            node, path=names[path], references=tuple(names[to] for to in node.references)
        )
        for path, node in graph.items()
    }
    return dict(sorted(renamed.items()))


def _other(path: str) -> str:
    store, _, name = path.rpartition("/")
    digest = hashlib.sha256(path.encode()).hexdigest()[:32]
    return f"{store}/{digest}-{name.partition('-')[2]}"
