"""Layers that stay as a lock has them, and the layers that are worth locking.

Without a lock, a package that comes or goes may shift what shares a layer. With one, layers need
not be found again in the next closure, so they may be better than neighbours in a row can be.
"""

from collections.abc import Sequence
from typing import Final

from builders.closure.changes import Changes
from builders.closure.co_change import as_paths, is_too_many, joined
from builders.closure.departures import with_departures
from builders.closure.gathering import bettered, gathered
from builders.closure.joining import Row
from builders.closure.layering_lock import LayeringLock

_FIRST: Final = 600
_WORK: Final = 2_000_000
"""Layers of neighbours, of which any two may be joined then: fewer where there are many paths."""

LOCK_EVENTS: Final = 1024
"""Updates that are told apart for a lock, which compares more layers than a build does."""

_LEAST: Final = 1 << 20
"""Bytes of a layer that is not made smaller."""

_RESERVE: Final = 10
"""Of so many layers one is held in reserve."""


def locked_layers(
    changes: Changes, lock: LayeringLock, names: dict[str, str], limit: int
) -> list[tuple[str, ...]]:
    """Return at most `limit` layers: those of `lock`, with new layers for what it doesn't name.

    `names` are the stable names of all paths. New paths get a part of the layers that are left, so
    that the next ones get some as well, and lie below the layers that need them. Where no layer is
    left, they share the layers where this costs least. Layers of the lock are joined only where
    there are more of them than `limit`.
    """
    number_of = {name: number for number, layer in enumerate(lock.layers) for name in layer}
    kept: list[list[int]] = [[] for _ in lock.layers]
    new: list[int] = []
    for index, path in enumerate(changes.order):
        number = number_of.get(names[path])
        (new if number is None else kept[number]).append(index)
    before = _places(changes, kept, new)
    row: list[list[int]] = []
    known: set[int] = set()
    for number, layer in enumerate([*kept, []]):
        row += [[index] for index in before.get(number, ())]
        if layer:
            known.add(len(row))
            row.append(layer)
    left = limit - len(known)
    share = max(1, left * 2 // 3) if left > 0 else 0
    return as_paths(changes, _few_enough(row, known, changes, len(known) + share, limit))


def lockable_layers(changes: Changes, limit: int, *, min_layer_size: int) -> list[tuple[str, ...]]:
    """Return layers for a lock: fewer than `limit`, so that some are left for new packages.

    They begin as those of `co_change`, of which there are more. Then those are joined that cost
    least together, and each path goes to the layer where it costs least, even if this is far from
    its neighbours. What goes with a package stays together. What changes most is on top.
    """
    changes = with_departures(changes)
    count = max(1, limit - reserve(limit))
    first = max(count, min(_FIRST, _WORK // max(len(changes.order), 1)))
    layers = joined(changes, range(len(changes.order)), first, min_layer_size=min_layer_size)
    layers = gathered(changes, layers, count)
    return as_paths(changes, bettered(changes, layers, max(min_layer_size, _LEAST)))


def reserve(limit: int) -> int:
    """Return how many of `limit` layers a new lock leaves free."""
    return -(-limit // _RESERVE) if limit > 1 else 0


def _places(changes: Changes, kept: Sequence[list[int]], new: list[int]) -> dict[int, list[int]]:
    """Return which new paths come before which layer: the first one that needs them."""
    place = {changes.order[i]: number for number, layer in enumerate(kept) for i in layer}
    wanted: dict[str, int] = {}
    for index in range(len(changes.order) - 1, -1, -1):
        path = changes.order[index]
        own = place.setdefault(path, wanted.get(path, len(kept)))
        for reference in changes.graph[path].references:
            wanted[reference] = min(wanted.get(reference, own), own)
    before: dict[int, list[int]] = {}
    for index in new:
        before.setdefault(place[changes.order[index]], []).append(index)
    return before


def _few_enough(
    layers: list[list[int]], known: set[int], changes: Changes, count: int, limit: int
) -> list[list[int]]:
    """Join layers until there are `count`, those that are `known` with others only for `limit`."""
    row = Row(layers, changes, kept=frozenset(known))
    row.join_while(
        is_too_many(row, count, changes), lambda left, right: not row.any_kept(left, right)
    )
    row.join_while(lambda _: row.count > limit, lambda left, right: not row.both_kept(left, right))
    row.join_while(lambda _: row.count > limit)
    return row.layers()
