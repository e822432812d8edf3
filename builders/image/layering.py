"""From a closure to hashed layers, on all cores."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from builders.closure.changes import find_changes
from builders.closure.co_change import layers_of
from builders.closure.graph import Graph, induced
from builders.closure.layering_lock import LayeringLock, warn_of_others
from builders.closure.locked_layers import locked_layers
from builders.closure.package_names import stable_names
from builders.closure.popularity import by_popularity, limit_layers
from builders.closure.size_cohorts import size_cohorts
from builders.image.dates import NOW
from builders.image.layer_kinds import Layer, StoreLayer
from builders.layers.store_paths import hash_store_layer
from builders.processes import fork_map
from builders.tar.sinks import LEAVE_ALONE

POPULARITY: Final = "popularity"
POPULARITY_PIPELINE: Final = "popularity-pipeline"
SIZE: Final = "size"
CO_CHANGE: Final = "co-change"
LAYERINGS: Final = (POPULARITY, POPULARITY_PIPELINE, SIZE, CO_CHANGE)
"""Ways to cut a closure into layers. The first three are each the default of a generation of
nixpkgs.

The most popular paths get layers of their own, and paths that are no part of the image take part in
the contest (the oldest) or don't; or large paths draw cohorts around themselves (the newest); or
paths that change together share a layer.
"""

_AHEAD: Final = 1 << 28
"""Bytes of a layer that may have been read and not yet hashed. Where one layer is most of
the image, its hash is what takes longest, and must not wait for a stretch of small files."""


@dataclass(frozen=True)
class CoChange:
    """What `CO_CHANGE` goes by, and no other layering.

    The paths in `volatile` change with every build. A layer below `min_layer_size` bytes gives way
    to larger ones. `lock` keeps layers, and `lock_name` is its name in warnings.
    """

    volatile: frozenset[str] = frozenset()
    min_layer_size: int = 0
    lock: LayeringLock | None = None
    lock_name: str = ""


def assign_layers(
    graph: Graph,
    *,
    exclude: Collection[str],
    limit: int,
    layering: str = POPULARITY,
    jobs: int = 1,
    co_change: CoChange | None = None,
) -> list[tuple[str, ...]]:
    """Return the paths of each of at most `limit` layers of `graph` without those in `exclude`.

    `layering` is one of `LAYERINGS`. Large graphs are worked on by `jobs` processes.
    """
    if layering == CO_CHANGE:
        return _by_change(graph, exclude, limit, co_change or CoChange())
    if layering == SIZE:
        # Cohorts of nothing but excluded paths count towards the limit, as in the reference.
        return without(size_cohorts(graph, limit), exclude)
    if layering == POPULARITY_PIPELINE:
        graph = induced(graph, [path for path in graph if path not in exclude])
    paths = [path for path in by_popularity(graph, jobs=jobs) if path not in exclude]
    return limit_layers(paths, limit)


def _by_change(
    graph: Graph, exclude: Collection[str], limit: int, options: CoChange
) -> list[tuple[str, ...]]:
    changes = find_changes(graph, exclude=exclude, volatile=options.volatile)
    if options.lock:
        names = stable_names(graph, changes.order)
        warn_of_others(options.lock, names, what=options.lock_name)
        if not options.lock.names.isdisjoint(names.values()):
            return locked_layers(changes, options.lock, names, limit)
    everything = range(len(changes.order))
    return layers_of(changes, everything, limit, min_layer_size=options.min_layer_size)


def without(layers: Iterable[tuple[str, ...]], exclude: Collection[str]) -> list[tuple[str, ...]]:
    """Return `layers` without the paths in `exclude`, and without those that become empty."""
    kept = (tuple(path for path in layer if path not in exclude) for layer in layers)
    return [layer for layer in kept if layer]


def join_last(layers: Sequence[tuple[str, ...]], limit: int) -> list[tuple[str, ...]]:
    """Return at most `limit` layers: all that are too many are one with the last."""
    if len(layers) <= limit:
        return list(layers)
    return [*layers[: limit - 1], tuple(itertools.chain(*layers[limit - 1 :]))]


def hash_layers(
    layers: Sequence[Layer], *, graph: Graph, jobs: int, hint: str = LEAVE_ALONE
) -> tuple[Layer, ...]:
    """Return `layers` with the digests and sizes that they lack, found by `jobs` processes at once.

    Layers whose files have the time `NOW` stay as they are. `graph` has the sizes of store paths,
    where they are known: with it, work is dealt out evenly. Raises `UserError` where a file can't
    be read; `hint` says what to do about one that is missing or changes.
    """
    pending = {
        number: layer
        for number, layer in enumerate(layers)
        if isinstance(layer, StoreLayer) and layer.diff_id is None and layer.mtime != NOW
    }
    weights = {
        number: sum(graph[path].nar_size for path in layer.paths if path in graph)
        for number, layer in pending.items()
    }
    # As long as there are other layers to hash, more threads or processes would only be in the way.
    # But a layer with more than one process's part of all bytes is what the others are done before.
    part = sum(weights.values()) // max(jobs, 1)

    def hashed(number: int) -> StoreLayer:
        layer = pending[number]
        is_large = jobs > 1 and weights[number] >= part
        digest, size = hash_store_layer(
            layer.paths,
            attributes=layer.attributes,
            store_dir=layer.store_dir,
            ahead=_AHEAD if is_large else 0,
            helpers=jobs - 1 if is_large else 0,
            hint=hint,
        )
        return replace(layer, diff_id=f"sha256:{digest}", size=size)

    # The largest first: what is left at the end is small enough to even out.
    order = sorted(pending, key=weights.__getitem__, reverse=True)
    done = dict(zip(order, fork_map(hashed, order, jobs=jobs), strict=True))
    return tuple(done.get(number, layer) for number, layer in enumerate(layers))
