"""Layers that stay as a lock has them, and the layers that are worth locking.

Without a lock, a package that comes or goes may shift what shares a layer. With one, layers need
not be found again in the next closure, so they may be better than neighbours in a row can be.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Final

from builders.closure.changes import Changes
from builders.closure.co_change import as_paths, is_too_many, joined
from builders.closure.departures import with_departures
from builders.closure.joining import Row
from builders.closure.layering_lock import LayeringLock

_ROUNDS: Final = 6
_WORK: Final = 60_000
"""Paths that are looked at while layers are bettered: all of them, `_ROUNDS` times at most."""

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

    They begin as those of `co_change`. Then each path goes to the layer where it costs least, even
    if this is far from its neighbours. What goes with a package stays together. What changes most
    is on top.
    """
    changes = with_departures(changes)
    count = max(1, limit - reserve(limit))
    layers = joined(changes, range(len(changes.order)), count, min_layer_size=min_layer_size)
    return as_paths(changes, _bettered(changes, layers, max(min_layer_size, _LEAST)))


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


def _bettered(changes: Changes, layers: list[list[int]], least: int) -> list[list[int]]:
    """Move paths between layers as long as an update then sends less; sort by what changes most.

    No layer shrinks below `least` bytes by it.
    """
    reach, sizes = changes.reach, changes.sizes
    found = [set(layer) for layer in layers]
    number_of = {index: number for number, layer in enumerate(layers) for index in layer}
    unions = [reduce(or_, [reach[index] for index in layer], 0) for layer in layers]
    bits = [union.bit_count() for union in unions]
    bytes_of = [sum([sizes[index] for index in layer]) for layer in layers]
    for _ in range(max(1, min(_ROUNDS, _WORK // max(len(reach), 1)))):
        moved = False
        for index in range(len(reach) - 1, -1, -1):
            here, size, own = number_of[index], sizes[index], reach[index]
            left = bytes_of[here] - size
            if len(found[here]) > 1 and left < least <= bytes_of[here]:
                continue
            rest = reduce(or_, [reach[other] for other in found[here] if other != index], 0)
            rest_bits = rest.bit_count()
            best, least_cost = here, bytes_of[here] * bits[here] - left * rest_bits
            for there, union in enumerate(unions):
                cost = (bytes_of[there] + size) * (union | own).bit_count()
                cost -= bytes_of[there] * bits[there]
                if cost < least_cost and there != here:
                    best, least_cost = there, cost
            if best != here:
                found[here].remove(index)
                unions[here], bits[here], bytes_of[here] = rest, rest_bits, left
                found[best].add(index)
                unions[best] |= own
                bits[best] = unions[best].bit_count()
                bytes_of[best] += size
                number_of[index] = best
                moved = True
        if not moved:
            break
    order = sorted(range(len(found)), key=lambda number: (bits[number], min(found[number] or {0})))
    return [sorted(found[number]) for number in order if found[number]]
