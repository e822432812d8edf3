"""Layers for a lock: which paths to put together, be they neighbours in a row or not.

What counts are the bytes that are sent in vain, and that few updates send many of them: ten small
updates in a row should not cost as much as a large one.
"""

import heapq
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Final

from builders.closure.changes import Changes

_BURST: Final = 64
"""How much more it counts if an update sends in vain what a whole one changes in the mean."""

_ROUNDS: Final = 6
_WORK: Final = 12_000
"""Paths that are looked at while layers are bettered, the largest: `_ROUNDS` times at most."""


class _Layer:
    """Indices of paths, their bytes, which updates change one of them, and which change two.

    `ideal` are the bytes that updates would send if each path had a layer of its own. The binary
    digits of how many paths each update changes are the bits of `_digits`, the lowest first: so
    paths come and go in few steps, however many there are.
    """

    __slots__ = ("_digits", "bits", "burst", "cost", "ideal", "paths", "reach", "size", "twice")

    def __init__(
        self, paths: Iterable[int], reach: Sequence[int], sizes: Sequence[int], burst: int
    ) -> None:
        self.paths: set[int] = set()
        self.burst = burst
        self.size = self.ideal = 0
        self._digits: list[int] = []
        for index in paths:
            self._count(index, sizes[index], reach[index])
        self._weigh()

    def add(self, index: int, size: int, own: int) -> None:
        """Add a path of `size` bytes, which the updates `own` change."""
        self._count(index, size, own)
        self._weigh()

    def _count(self, index: int, size: int, own: int) -> None:
        self.paths.add(index)
        self.size += size
        self.ideal += size * own.bit_count()
        for place, digit in enumerate(self._digits):
            if not own:
                return
            self._digits[place], own = digit ^ own, digit & own
        if own:
            self._digits.append(own)

    def remove(self, index: int, size: int, own: int) -> None:
        """Remove a path of `size` bytes, which the updates `own` change."""
        self.paths.remove(index)
        self.size -= size
        self.ideal -= size * own.bit_count()
        for place, digit in enumerate(self._digits):
            if not own:
                break
            self._digits[place], own = digit ^ own, own & ~digit
        self._weigh()

    def _weigh(self) -> None:
        self.twice = reduce(or_, self._digits[1:], 0)
        self.reach = reduce(or_, self._digits[:1], self.twice)
        self.bits = self.reach.bit_count()
        self.cost = self.cost_of(self.size, self.ideal, self.bits)

    def cost_of(self, size: int, ideal: int, bits: int) -> int:
        """Return what a layer costs: the bytes sent in vain, with a surcharge for many at once."""
        in_vain = size * bits - ideal
        return in_vain + (_BURST * in_vain * in_vain // (bits * self.burst) if bits else 0)

    def cost_with(self, other: "_Layer") -> int:
        """Return how much more a layer of both costs than the two of them."""
        bits = (self.reach | other.reach).bit_count()
        joined = self.cost_of(self.size + other.size, self.ideal + other.ideal, bits)
        return joined - self.cost - other.cost

    def least_cost_with(self, size: int, bits: int) -> int:
        """Return what `cost_with` is at least, for a layer of so many bytes and updates."""
        more = bits - self.bits
        return self.size * more if more > 0 else -size * more


def gathered(changes: Changes, layers: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """Join two of `layers`, whichever cost least together, until there are `count`."""
    burst = _burst(changes)
    reach, sizes = changes.reach, changes.sizes
    found = {number: _Layer(layer, reach, sizes, burst) for number, layer in enumerate(layers)}

    def offer(number: int) -> tuple[int, int, int]:
        own = found[number]
        best, cheapest = -1, 0
        for other, layer in found.items():
            if other == number or (
                best >= 0 and (layer.least_cost_with(own.size, own.bits) >= cheapest)
            ):
                continue
            cost = own.cost_with(layer)
            if best < 0 or cost < cheapest:
                best, cheapest = other, cost
        return cheapest, number, best

    following = len(layers)
    heap = [offer(number) for number in found] if len(found) > count else []
    heapq.heapify(heap)
    while len(found) > count:
        _, number, other = heapq.heappop(heap)
        if number not in found:
            continue
        if other in found:
            paths = [*found.pop(number).paths, *found.pop(other).paths]
            # A number of its own: what was offered to either is void.
            number, following = following, following + 1
            found[number] = _Layer(paths, reach, sizes, burst)
        if len(found) > 1:
            heapq.heappush(heap, offer(number))
    return [sorted(layer.paths) for layer in found.values()]


def bettered(changes: Changes, layers: Sequence[Sequence[int]], least: int) -> list[list[int]]:
    """Move paths between layers as long as this costs less; sort by what changes most.

    No layer shrinks below `least` bytes by it.
    """
    burst = _burst(changes)
    reach, sizes = changes.reach, changes.sizes
    found = [_Layer(layer, reach, sizes, burst) for layer in layers]
    number_of = {index: number for number, layer in enumerate(layers) for index in layer}
    largest = sorted(range(len(reach)), key=lambda index: (-sizes[index], index))[:_WORK]
    chosen = sorted(largest, reverse=True)
    for _ in range(max(1, min(_ROUNDS, _WORK // max(len(reach), 1)))):
        moved = False
        for index in chosen:
            here = found[number_of[index]]
            size, own = sizes[index], reach[index]
            left = here.size - size
            if len(here.paths) > 1 and left < least <= here.size:
                continue
            own_bits = own.bit_count()
            ideal = size * own_bits
            rest_bits = (here.reach & (here.twice | ~own)).bit_count()
            saved = here.cost - here.cost_of(left, here.ideal - ideal, rest_bits)
            best = here
            for there in found:
                # As least_cost_with says, without a call: here most time is spent.
                more = own_bits - there.bits
                least_cost = there.size * more if more > 0 else -size * more
                if least_cost >= saved or there is here:
                    continue
                bits = (there.reach | own).bit_count()
                cost = there.cost_of(there.size + size, there.ideal + ideal, bits) - there.cost
                if cost < saved:
                    best, saved = there, cost
            if best is not here:
                here.remove(index, size, own)
                best.add(index, size, own)
                number_of[index] = found.index(best)
                moved = True
        if not moved:
            break
    found = [layer for layer in found if layer.paths]
    found.sort(key=lambda layer: (layer.bits, min(layer.paths)))
    return [sorted(layer.paths) for layer in found]


def _burst(changes: Changes) -> int:
    """Return the bytes that an update changes in the mean, 1 or more."""
    pairs = zip(changes.sizes, changes.reach, strict=True)
    total = sum(size * bits.bit_count() for size, bits in pairs)
    updates = reduce(or_, changes.reach, 0).bit_count()
    return max(1, total // max(1, updates))
