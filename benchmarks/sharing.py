"""How much of an image stays when it is built again: bytes in layers that are the same.

What an update does to a closure is known without building it: the path that is updated gets
another hash, and so does each one that depends on it. Sizes stay as they are here. Beside such
updates are those that closures of Debian packages really had (updates.py).
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from updates import Case, read_cases, sent, weighted

from builders.closure.changes import find_changes
from builders.closure.graph import Graph, StorePath, read_graph
from builders.closure.layering_lock import lock_of
from builders.closure.locked_layers import lockable_layers
from builders.image.layering import CO_CHANGE, CoChange, assign_layers

LOCKED = "co-change, locked"
LAYERINGS = ("popularity", "size", CO_CHANGE, LOCKED)
LIMITS = (20, 60, 100)
"""Of layers for the updates of Debian's closures."""

Layers = Sequence[tuple[str, ...]]


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
        divide = divider(old, layering, 99)
        stay[layering] = size(new, new) - sent(divide(old), divide(new), new)
    return Sharing(
        total=size(new, new), new=size(new, [path for path in new if path not in old]), stay=stay
    )


def divider(first: Graph, layering: str, limit: int) -> Callable[[Graph], Layers]:
    """Return what makes at most `limit` layers of a graph; a lock is that of the graph `first`."""
    options = None
    if layering == LOCKED:
        layers = lockable_layers(find_changes(first), limit, min_layer_size=0)
        options = CoChange(lock=lock_of(first, layers))
        layering = CO_CHANGE
    return lambda graph: assign_layers(
        graph, exclude=(), limit=limit, layering=layering, co_change=options
    )


def all_updates(graph: Graph) -> dict[str, float]:
    """Return the bytes that an update of one path sends, in the mean over all paths.

    By layering, of at most 99 layers; `least` is what is in paths that change.
    """
    changed_by = _needed_by(graph)
    means = {"least": sum(size(graph, paths) for paths in changed_by.values()) / len(graph)}
    for layering in LAYERINGS:
        layers = [
            (frozenset(layer), size(graph, layer)) for layer in divider(graph, layering, 99)(graph)
        ]
        means[layering] = sum(
            count
            for paths in changed_by.values()
            for layer, count in layers
            if not layer.isdisjoint(paths)
        ) / len(graph)
    return means


def real_updates() -> list[dict[str, Any]]:
    """Return the weighted mean of bytes that updates send, by limit and layering, in all cases."""
    cases = read_cases()
    found = []
    for limit in LIMITS:
        means = {"least": _least(cases) / len(cases)}
        for layering in LAYERINGS:
            means[layering] = sum(_mean(case, layering, limit) for case in cases) / len(cases)
        found.append({"layers": limit, "means": means})
    return found


def _mean(case: Case, layering: str, limit: int) -> float:
    divide = divider(case.closure.graph, layering, limit)
    old = divide(case.closure.graph)
    return weighted((kind, sent(old, divide(graph), graph)) for kind, graph in case.updates)


def _least(cases: Sequence[Case]) -> float:
    return sum(
        weighted(
            (kind, size(graph, graph.keys() - case.closure.graph.keys()))
            for kind, graph in case.updates
        )
        for case in cases
    )


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


def _needed_by(graph: Graph) -> dict[str, set[str]]:
    """Return each path with all that changes with it."""
    users: dict[str, set[str]] = {path: {path} for path in graph}
    for path in find_changes(graph).order[::-1]:
        # Users of it come before, and have theirs already.
        for reference in graph[path].references:
            users[reference] |= users[path]
    return users


def _renamed(graph: Graph, paths: Collection[str]) -> dict[str, StorePath]:
    """Give `paths`, and all that depends on them, another hash."""
    needed_by = _needed_by(graph)
    changed = {name for path in paths for name in needed_by[path]}
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
