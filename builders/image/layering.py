"""From a closure to hashed layers, on all cores."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from builders.closure.graph import Graph
from builders.closure.pipeline import run_pipeline
from builders.closure.popularity import by_popularity, limit_layers
from builders.closure.size_cohorts import size_cohorts
from builders.console.errors import die, warn
from builders.image.plan import StoreLayer
from builders.layers.store_paths import hash_store_layer
from builders.processes import fork_map
from builders.tar.header import Stamp

POPULARITY: Final = "popularity"
SIZE: Final = "size"

_AHEAD: Final = 1 << 28
"""Bytes of a layer that may have been read and not yet hashed. Where one layer is most of
the image, its hash is what takes longest, and must not wait for a stretch of small files."""


def assign_layers(
    graph: Graph,
    *,
    exclude: Collection[str],
    max_layers: int,
    base_layers: int,
    layering: str = POPULARITY,
    pipeline: object = None,
    jobs: int = 1,
) -> tuple[StoreLayer, ...]:
    """Return the store layers of `graph` without the paths in `exclude`.

    `layering` is `POPULARITY` (the most popular paths alone, and first) or `SIZE` (cohorts of what
    large paths need); a `pipeline` (see builders.closure.pipeline) takes its place. `max_layers` is
    for the whole image: the base image's layers and the customisation layer count. Large graphs
    are worked on by `jobs` processes. Raises `UserError` where no layer is left.
    """
    used = base_layers + 1
    left = max_layers - used
    is_empty = all(path in exclude for path in graph)
    if left < 1 and (left < 0 or not is_empty):
        die(
            f"maxLayers = {max_layers} leaves no layer for store paths: the base image has "
            f"{base_layers} layers and the customisation layer is one more",
            hint=f"set maxLayers to {used + 1} or more, or use a base image of fewer layers",
        )
    if pipeline is not None:
        layers = run_pipeline(pipeline, graph, exclude=exclude)
        if len(layers) > left:
            warn(
                f"layeringPipeline makes {len(layers)} layers, and maxLayers = {max_layers} leaves "
                f"{left} for store paths: the last ones become one layer; "
                f"for all of them set maxLayers = {len(layers) + used}"
            )
            layers = [*layers[: left - 1], tuple(itertools.chain(*layers[left - 1 :]))]
    elif layering == SIZE:
        layers = size_cohorts(graph, left, exclude=exclude)
    else:
        paths = [path for path in by_popularity(graph, jobs=jobs) if path not in exclude]
        layers = limit_layers(paths, left)
    return tuple(StoreLayer(paths=layer) for layer in layers)


def hash_layers(
    layers: Sequence[StoreLayer], *, graph: Graph | None, stamp: Stamp, store_dir: str, jobs: int
) -> tuple[StoreLayer, ...]:
    """Return `layers` with their digests and sizes, found by `jobs` processes at once."""

    def weight(layer: StoreLayer) -> int:
        return sum(graph[path].nar_size for path in layer.paths) if graph else 0

    weights = [weight(layer) for layer in layers]
    # As long as there are other layers to hash, more threads or processes would only be in the way.
    # But a layer with more than one process's part of all bytes is what the others are done before.
    part = sum(weights) // max(jobs, 1)

    def hashed(number: int) -> StoreLayer:
        layer = layers[number]
        is_large = jobs > 1 and weights[number] >= part
        digest, size = hash_store_layer(
            layer.paths,
            stamp=stamp,
            store_dir=store_dir,
            ahead=_AHEAD if is_large else 0,
            helpers=jobs - 1 if is_large else 0,
        )
        return replace(layer, digest=digest, size=size)

    # The largest first: what is left at the end is small enough to even out.
    order = sorted(range(len(layers)), key=weights.__getitem__, reverse=True)
    by_number = dict(zip(order, fork_map(hashed, order, jobs=jobs), strict=True))
    return tuple(by_number[number] for number in range(len(layers)))
