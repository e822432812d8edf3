"""How far a path reaches in a closure graph: what it needs, what needs it, and the way to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from builders.closure.graph import Graph

_FEW: Final = 16
"""Paths whose sizes are added up one by one; sums of more go by the bits of the sizes."""


def closure_sizes(graph: Graph, order: Sequence[str], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of the closure of each path, itself included.

    `order` has all paths, each before what it refers to. What a path needs is kept as the bits of
    an integer, until all that refer to it are done. It is nearly what the largest of its references
    needs, so only the others are summed up.
    """
    waiting = dict.fromkeys(order, 0)
    for path in order:
        for reference in graph[path].references:
            waiting[reference] += 1
    weights = _Weights([sizes[path] for path in reversed(order)])
    needed: dict[str, int] = {}
    found: dict[str, int] = {}
    for number, path in enumerate(reversed(order)):
        references = graph[path].references
        everything = 1 << number
        for reference in references:
            everything |= needed[reference]
        nearest = max(references, key=found.__getitem__, default=None)
        known = 0 if nearest is None else needed[nearest]
        more = weights.sum(everything & ~known)
        found[path] = more + (0 if nearest is None else found[nearest])
        needed[path] = everything
        for reference in references:
            waiting[reference] -= 1
            if not waiting[reference]:
                del needed[reference]
        if not waiting[path]:
            del needed[path]
    return found


class _Weights:
    """Sums the weights of the bits that are set in an integer."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._planes: list[int] | None = None

    def sum(self, bits: int) -> int:
        if bits.bit_count() > _FEW:
            if self._planes is None:
                self._planes = self._slice()
            return sum(
                (bits & plane).bit_count() << place for place, plane in enumerate(self._planes)
            )
        total = 0
        while bits:
            lowest = bits & -bits
            total += self._weights[lowest.bit_length() - 1]
            bits ^= lowest
        return total

    def _slice(self) -> list[int]:
        """Return, for each binary place of the weights, which of them have it set."""
        places = max(self._weights).bit_length()
        planes = []
        for place in range(places):
            digits = "".join("1" if weight >> place & 1 else "0" for weight in self._weights)
            planes.append(int(digits[::-1], 2))
        return planes


def shortest_ways(graph: Graph, roots: Iterable[str]) -> dict[str, str | None]:
    """Return before each path the one that a shortest way from one of `roots` comes from.

    None stands before a root. Of ways of one length it is that of the first root, by name, and of
    the first references.
    """
    key = _by_name(graph)
    before: dict[str, str | None] = dict.fromkeys(sorted(roots, key=key))
    ring = list(before)
    while ring:
        following = []
        for path in ring:
            for reference in sorted(graph[path].references, key=key):
                if reference not in before:
                    before[reference] = path
                    following.append(reference)
        ring = following
    return before


def way_to(path: str, before: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the way to `path` from its root, both included; `before` is of `shortest_ways`."""
    way = []
    at: str | None = path
    while at is not None:
        way.append(at)
        at = before[at]
    return tuple(reversed(way))


Begin = tuple[int, tuple[str, ...]]
"""How many steps a way has, root and end included, and the first `BEGIN_MAX` of them."""
BEGIN_MAX: Final = 4


def begins(before: Mapping[str, str | None]) -> dict[str, Begin]:
    """Return how the way to each path begins; `before` is of `shortest_ways`, in its order."""
    found: dict[str, Begin] = {}
    for path, last in before.items():
        steps, first = found[last] if last is not None else (0, ())
        found[path] = steps + 1, first if len(first) == BEGIN_MAX else (*first, path)
    return found


def ends_of_way(
    path: str, before: Mapping[str, str | None], begin: Mapping[str, Begin], most: int
) -> tuple[str | None, ...]:
    """Return the way to `path`, of more than `most` steps only as many, and None between them.

    `begin` is of `begins`. `most` is from 2 to twice `BEGIN_MAX`.
    """
    steps, first = begin[path]
    count = steps if steps <= most else most - most // 2
    last: list[str] = []
    at: str | None = path
    while at is not None and len(last) < count:
        last.append(at)
        at = before[at]
    last.reverse()
    return tuple(last) if steps <= most else (*first[: most // 2], None, *last)


def changed_layers(
    graph: Graph,
    order: Sequence[str],
    layers: Mapping[str, Iterable[int]],
    *,
    roots: Iterable[str],
    of_roots: Iterable[int] = (),
) -> dict[str, int]:
    """Return which layers change with each path, as the bits of an integer.

    A path changes with all that refer to it, directly or not, and so do their `layers`. Those
    `of_roots` change with every one of the `roots`.
    """
    found = {path: sum(1 << layer for layer in set(layers.get(path, ()))) for path in order}
    for path in roots:
        found[path] |= sum(1 << layer for layer in set(of_roots))
    for path in order:
        mask = found[path]
        for reference in graph[path].references:
            found[reference] |= mask
    return found


def _by_name(graph: Graph) -> Callable[[str], tuple[str, str]]:
    keys = {path: node.name_and_hash for path, node in graph.items()}
    return keys.__getitem__
