"""The popularity contest: which store paths get a layer of their own.

The more of a closure depends on a path, the likelier it is that other images
hold it too, so the most popular paths come first and one to a layer. Source:
Graham Christensen, "Optimising Docker Layers for Better Caching with Nix"
(2018), and the contest that nixpkgs has run since.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import compress, pairwise
from operator import getitem
from typing import Final

from builders.closure.graph import Graph, referrers_first
from builders.processes import fork_map

_BLOCK: Final = 6000
"""Paths whose ancestry is looked at in one go. Sets of that many bits stay in a core's caches."""

_SPARSE: Final = 50
"""From one bit in so many on, a set is summed up by bytes and not by bits."""

_WORTH_TABLES: Final = 500
"""Bits in a set, from which on it is worth while to make tables for sums by bytes."""


def by_popularity(graph: Graph, *, jobs: int | None = None) -> list[str]:
    """Return all paths of `graph` by falling popularity; ties by package name, then by hash.

    Large graphs are worked on by `jobs` processes, or by one for each core.
    """
    popularity = contest(graph, jobs=jobs)
    return sorted(graph, key=lambda path: (-popularity[path], _name_first(path)))


def contest(graph: Graph, *, jobs: int | None = None) -> dict[str, int]:
    """Return the popularity of each path of `graph`.

    It is the number of walks that start at a root (a path that nothing refers
    to) and end at a path from which the contestant can be reached, or at the
    contestant. nixpkgs finds it by recursion over all pairs of paths; in
    topological order it is the sum of the walks to each ancestor.
    """
    order = referrers_first(graph)
    index = {path: number for number, path in enumerate(order)}
    referrers: list[list[int]] = [[] for _ in order]
    for number, path in enumerate(order):
        for reference in graph[path].references:
            referrers[index[reference]].append(number)
    walks: list[int] = []
    for parents in referrers:
        walks.append(sum([walks[parent] for parent in parents]) if parents else 1)
    references = [len(graph[path].references) for path in order]
    parts = fork_map(
        lambda block: _popularity_by(block, referrers, references, walks),
        _blocks(len(order)),
        jobs=jobs or len(os.sched_getaffinity(0)),
    )
    return dict(zip(order, map(sum, zip(*parts, strict=True)), strict=True))


def _blocks(count: int) -> list[range]:
    """Cut `count` numbers into blocks of equal work: a number is looked at for each later one."""
    blocks = max(1, round(count / _BLOCK))
    cuts = [round(count * (1 - (1 - at / blocks) ** 0.5)) for at in range(blocks + 1)]
    return [range(first, end) for first, end in pairwise(cuts)]


def _popularity_by(
    block: range, referrers: Sequence[list[int]], references: Sequence[int], walks: Sequence[int]
) -> list[int]:
    """Return the part of each path's popularity that its ancestors in `block` bring.

    A path shares nearly all of its ancestors with one of its referrers, so only
    the others are added to that referrer's sum. Sets of ancestors are integers, a bit a path.
    """
    count = len(referrers)
    popularity = [0] * count
    ancestors = [0] * count
    sizes = [0] * count
    unread = list(references)
    sums = _Sums(walks[block.start : block.stop])
    for number in range(block.start, count):
        parents = referrers[number]
        union = size = total = 0
        if parents:
            nearest = max(parents, key=sizes.__getitem__)
            shared = union = ancestors[nearest]
            for parent in parents:
                union |= ancestors[parent]
            others = union ^ shared
            size = sizes[nearest] + others.bit_count()
            total = popularity[nearest] + sums.at(others)
            for parent in parents:
                unread[parent] -= 1
                if not unread[parent]:
                    # Of 50,000 paths the sets are 300 MB: too much to keep all of them.
                    ancestors[parent] = 0
        if number < block.stop:
            union |= 1 << (number - block.start)
            size += 1
            total += walks[number]
        ancestors[number] = union
        sizes[number] = size
        popularity[number] = total
    return popularity


class _Sums:
    """Sums of those of `values` whose index is a one bit of an integer."""

    def __init__(self, values: Sequence[int]) -> None:
        self._values = values
        self._tables: list[list[int]] = []

    def at(self, bits: int) -> int:
        if not bits:
            return 0
        ones = bits.bit_count()
        if ones * _SPARSE > bits.bit_length() and (self._tables or ones > _WORTH_TABLES):
            return self._by_bytes(bits)
        return self._by_bits(bits)

    def _by_bits(self, bits: int) -> int:
        # Searching a string of digits for '1' is the fastest walk over the bits of
        # a large integer that pure Python has.
        values = self._values
        start = (bits & -bits).bit_length() - 1
        digits = bin(bits >> start)[:1:-1]
        total = 0
        at = digits.find("1")
        while at != -1:
            total += values[start + at]
            at = digits.find("1", at + 1)
        return total

    def _by_bytes(self, bits: int) -> int:
        tables = self._tables = self._tables or list(map(_sums_of_all, self._eights()))
        data = bits.to_bytes(len(tables), "little")
        return sum(map(getitem, compress(tables, data), data.replace(b"\0", b"")))

    def _eights(self) -> Iterator[Sequence[int]]:
        for at in range(0, len(self._values), 8):
            yield self._values[at : at + 8]


def _sums_of_all(values: Sequence[int]) -> list[int]:
    """Return the sum of `values` for each choice of them, a bit of the index a value."""
    sums = [0]
    for value in values:
        sums += [one + value for one in sums]
    return sums


def limit_layers(paths: Sequence[str], layers: int) -> list[tuple[str, ...]]:
    """Cut `paths` into at most `layers` layers: each path alone, all the rest in the last."""
    if not paths:
        return []
    alone = max(layers - 1, 0)
    split: list[tuple[str, ...]] = [(path,) for path in paths[:alone]]
    rest = tuple(paths[alone:])
    return [*split, rest] if rest else split


def _name_first(path: str) -> str:
    """Return `path` with what is before its first "-" at the end, as nixpkgs compares paths.

    As one string: `libsigc++` is before `libsigc`, since "+" is before "-".
    """
    start, _, name = path.partition("-")
    return f"{name}-{start}"
