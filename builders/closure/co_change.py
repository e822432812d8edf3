"""Layers of store paths that change together, so that an update sends few bytes.

All paths stand in a row, each after what it needs, and neighbours are joined until there are few
enough layers. What changes most is at the end: the topmost layers of the image.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Final

from builders.closure.changes import Changes, find_changes
from builders.closure.graph import Graph
from builders.closure.joining import PER_UPDATE, Row

_LEAST_SAVING: Final = 1 << 16
"""Bytes that a layer has to save with each update, even where layers are left."""


def co_change(
    graph: Graph,
    limit: int,
    *,
    exclude: Collection[str] = (),
    volatile: Collection[str] = (),
    min_layer_size: int = 0,
) -> list[tuple[str, ...]]:
    """Return at most `limit` layers of the paths of `graph` without those in `exclude`.

    No path needs one in a later layer. Paths of a layer are in the order of their names, then their
    hashes. The paths in `volatile` change with every build.
    """
    changes = find_changes(graph, exclude=exclude, volatile=volatile)
    return layers_of(changes, range(len(changes.order)), limit, min_layer_size=min_layer_size)


def layers_of(
    changes: Changes, indices: Iterable[int], limit: int, *, min_layer_size: int = 0
) -> list[tuple[str, ...]]:
    """Return at most `limit` layers of some of the paths of `changes`, given by index."""
    return as_paths(changes, joined(changes, indices, limit, min_layer_size=min_layer_size))


def joined(
    changes: Changes, indices: Iterable[int], limit: int, *, min_layer_size: int = 0
) -> list[list[int]]:
    """Return the layers of `layers_of` as lists of indices.

    While there are too many, a layer below `min_layer_size` bytes is joined to a neighbour, unless
    it costs much less to join others. So no large layer gives way to it, and the small one that
    changes with every build need not share its layer with a large one that doesn't.
    """
    row = Row([[index] for index in indices], changes)
    if min_layer_size:
        row.join_while(lambda _: row.count > limit, favoured=min_layer_size)
    row.join_while(is_too_many(row, limit, changes))
    return row.layers()


def by_change(changes: Changes, layers: Sequence[Iterable[str]]) -> list[int]:
    """Return the numbers of `layers`, those first that the fewest updates change; ties in order."""
    reach = dict(zip(changes.order, changes.reach, strict=True))
    bits = [reduce(or_, [reach.get(path, 0) for path in layer], 0) for layer in layers]
    return sorted(range(len(layers)), key=lambda number: bits[number].bit_count())


def is_too_many(row: Row, limit: int, changes: Changes) -> Callable[[int], bool]:
    """Return whether neighbours of a price should be joined: for the limit, or since it is low."""
    least = PER_UPDATE * _LEAST_SAVING * changes.events
    return lambda price: row.count > limit or price < least


def as_paths(changes: Changes, layers: Iterable[Iterable[int]]) -> list[tuple[str, ...]]:
    """Return layers of indices as paths, sorted: the same paths are the same layer."""
    order, graph = changes.order, changes.graph
    return [
        tuple(sorted((order[i] for i in layer), key=lambda path: graph[path].name_and_hash))
        for layer in layers
    ]
