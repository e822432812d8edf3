"""Layers in a row, of which neighbours are joined until there are few enough.

Two layers that become one cost more with each update that changes only one of them: the bytes of
the other are sent as well. Neighbours for which this costs least are joined first.
"""

import heapq
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import Final

from builders.closure.changes import Changes

PER_UPDATE: Final = 300
"""What a byte that is sent with every update costs, for each event of `Changes`."""
_PER_EVENT: Final = 100
_FAVOUR: Final = 16


class Row:
    """Layers in a row: lists of indices into the order of `changes`, none of them empty.

    Those whose number is in `kept` are known to users of the image: with another path in one of
    them, all of its bytes are sent once.
    """

    def __init__(
        self, layers: Sequence[list[int]], changes: Changes, kept: frozenset[int] = frozenset()
    ) -> None:
        self.count = len(layers)
        self._events = changes.events
        sizes = changes.sizes
        self._layers = [list(layer) for layer in layers]
        self.sizes = [sum(map(sizes.__getitem__, layer)) for layer in layers]
        self._reach = [_union(changes.reach, layer) for layer in layers]
        self._bits = [reach.bit_count() for reach in self._reach]
        self._has_kept = bool(kept)
        self._is_kept = [number in kept for number in range(self.count)]
        self._is_touched = [False] * self.count
        self._next = list(range(1, self.count + 1))
        self._last = list(range(-1, self.count - 1))
        self._is_gone = [False] * self.count

    def layers(self) -> list[list[int]]:
        """Return the layers that are left, in order."""
        return [self._layers[number] for number in self.numbers()]

    def numbers(self) -> list[int]:
        """Return the numbers of the layers that are left."""
        return [number for number, is_gone in enumerate(self._is_gone) if not is_gone]

    def any_kept(self, left: int, right: int) -> bool:
        """Return whether users know the layer of one of both."""
        return self._is_kept[left] or self._is_kept[right]

    def both_kept(self, left: int, right: int) -> bool:
        """Return whether users know layers of both."""
        return self._is_kept[left] and self._is_kept[right]

    def join_while(
        self,
        wanted: Callable[[int], bool],
        may_join: Callable[[int, int], bool] | None = None,
        favoured: int = 0,
    ) -> None:
        """Join the cheapest neighbours while their price is `wanted`; of equal ones the first.

        With `may_join`, only neighbours for which it holds. For those of fewer than `favoured`
        bytes, the price counts `_FAVOUR` times less.
        """
        last, following, sizes, price_of = self._last, self._next, self.sizes, self.price
        end = len(following)
        # One number for the price and the layer on the left: it takes a third of what a tuple does.
        # Of each layer the last one counts, and others are left where they are.
        offers = [-1] * end

        def offer(left: int, right: int) -> int:
            if may_join is not None and not may_join(left, right):
                offers[left] = -1
                return -1
            price = price_of(left, right)
            if favoured and min(sizes[left], sizes[right]) < favoured:
                price //= _FAVOUR
            offers[left] = price * end + left
            return offers[left]

        heap = [found for pair in pairwise(self.numbers()) if (found := offer(*pair)) >= 0]
        heapq.heapify(heap)
        while heap:
            price, left = divmod(heap[0], end)
            if offers[left] != heap[0]:
                heapq.heappop(heap)
                continue
            if not wanted(price):
                return
            heapq.heappop(heap)
            offers[following[left]] = offers[left] = -1
            self._join(left, following[left])
            for one, other in ((last[left], left), (left, following[left])):
                if one >= 0 and other < end and (found := offer(one, other)) >= 0:
                    heapq.heappush(heap, found)

    def price(self, left: int, right: int) -> int:
        """Return what it costs to join two layers: bytes, by how often they are sent in vain.

        The unit is a byte with every update, for each event of the changes, times `PER_UPDATE`.
        """
        reach, known = self._reach, self._bits
        bits = (reach[left] | reach[right]).bit_count()
        left_size, right_size = self.sizes[left], self.sizes[right]
        in_vain = left_size * (bits - known[left]) + right_size * (bits - known[right])
        price = _PER_EVENT * in_vain + self._events * (left_size + right_size)
        if self._has_kept:
            for number in (left, right):
                if self._is_kept[number] and not self._is_touched[number]:
                    price += PER_UPDATE * self._events * self.sizes[number]
        return price

    def _join(self, left: int, right: int) -> None:
        self._layers[left] += self._layers[right]
        self._layers[right] = []
        self.sizes[left] += self.sizes[right]
        self._reach[left] |= self._reach[right]
        self._bits[left] = self._reach[left].bit_count()
        self._reach[right] = 0
        self._is_kept[left] |= self._is_kept[right]
        self._is_touched[left] = True
        self._is_gone[right] = True
        after = self._next[left] = self._next[right]
        if after < len(self._next):
            self._last[after] = left
        self.count -= 1


def _union(reach: Sequence[int], layer: Sequence[int]) -> int:
    return reduce(or_, map(reach.__getitem__, layer), 0)
