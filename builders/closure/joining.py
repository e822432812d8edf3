"""Layers in a row, of which neighbours are joined until there are few enough.

Two layers that become one cost more with each update that changes only one of them: the bytes of
the other are sent as well. Neighbours for which this costs least are joined first.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import pairwise
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
        self.sizes = [sum([sizes[index] for index in layer]) for layer in layers]
        self._reach = [_union(changes.reach, layer) for layer in layers]
        self._bits = [reach.bit_count() for reach in self._reach]
        self._is_kept = [number in kept for number in range(self.count)]
        self._is_touched = [False] * self.count
        self._next = list(range(1, self.count + 1))
        self._last = list(range(-1, self.count - 1))
        self._version = [0] * self.count
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

        def offer(left: int, right: int) -> tuple[int, int, int, int, int]:
            price = self.price(left, right)
            if min(self.sizes[left], self.sizes[right]) < favoured:
                price //= _FAVOUR
            return price, left, right, *self._versions(left, right)

        heap = [
            offer(*pair) for pair in pairwise(self.numbers()) if may_join is None or may_join(*pair)
        ]
        heapq.heapify(heap)
        while heap:
            price, left, right, *versions = heap[0]
            if tuple(versions) != self._versions(left, right):
                heapq.heappop(heap)
                continue
            if not wanted(price):
                return
            heapq.heappop(heap)
            self._join(left, right)
            for pair in ((self._last[left], left), (left, self._next[left])):
                is_pair = pair[0] >= 0 and pair[1] < len(self._next)
                if is_pair and (may_join is None or may_join(*pair)):
                    heapq.heappush(heap, offer(*pair))

    def price(self, left: int, right: int) -> int:
        """Return what it costs to join two layers: bytes, by how often they are sent in vain.

        The unit is a byte with every update, for each event of the changes, times `PER_UPDATE`.
        """
        bits = (self._reach[left] | self._reach[right]).bit_count()
        left_size, right_size = self.sizes[left], self.sizes[right]
        in_vain = left_size * (bits - self._bits[left]) + right_size * (bits - self._bits[right])
        price = _PER_EVENT * in_vain + self._events * (left_size + right_size)
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
        self._version[left] += 1
        self._version[right] += 1
        after = self._next[left] = self._next[right]
        if after < len(self._next):
            self._last[after] = left
        self.count -= 1

    def _versions(self, left: int, right: int) -> tuple[int, int]:
        return self._version[left], self._version[right]


def _union(reach: Sequence[int], layer: Sequence[int]) -> int:
    bits = 0
    for index in layer:
        bits |= reach[index]
    return bits
