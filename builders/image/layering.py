"""From a closure to hashed layers, on all cores."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from builders.closure.graph import Graph
from builders.closure.popularity import by_popularity, limit_layers
from builders.closure.size_cohorts import size_cohorts
from builders.image.dates import NOW
from builders.image.layer_kinds import Layer, StoreLayer
from builders.layers.store_paths import hash_store_layer
from builders.processes import fork_map
from builders.tar.sinks import LEAVE_ALONE

POPULARITY: Final = "popularity"
SIZE: Final = "size"
LAYERINGS: Final = (POPULARITY, SIZE)
"""Ways to cut a closure into layers: the most popular paths alone, and cohorts by size."""

_AHEAD: Final = 1 << 28
"""Bytes of a layer that may have been read and not yet hashed. Where one layer is most of
the image, its hash is what takes longest, and must not wait for a stretch of small files."""


def assign_layers(
    graph: Graph,
    *,
    exclude: Collection[str],
    limit: int,
    layering: str = POPULARITY,
    jobs: int = 1,
) -> list[tuple[str, ...]]:
    """Return the paths of each of at most `limit` layers of `graph` without those in `exclude`.

    `layering` is `POPULARITY` (the most popular paths alone, and first) or `SIZE` (cohorts of what
    large paths need). Large graphs are worked on by `jobs` processes.
    """
    if layering == SIZE:
        return size_cohorts(graph, limit, exclude=exclude)
    paths = [path for path in by_popularity(graph, jobs=jobs) if path not in exclude]
    return limit_layers(paths, limit)


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
