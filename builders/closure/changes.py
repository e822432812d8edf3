"""Which updates change which store paths, as the graph of a closure tells it.

A store path changes when anything that it needs changes, since its hash is made of theirs. So the
chance that a path changes grows with what it needs, and paths that need the same change together.
What is built from one's own source changes most often, and that is what no other path needs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, islice
from operator import or_
from typing import Final

from builders.closure.graph import Graph

_MOST_EVENTS: Final = 4096
"""Updates that are told apart: more cost memory and say little about the bytes."""

_OWN_WEIGHT: Final = 2
"""How often what nothing needs changes by itself: so many times all other updates together."""


@dataclass(frozen=True)
class Changes:
    """Paths of a closure, dependencies first, and the updates that change each of them.

    `order` has the paths that become layers. `reach` has a bit for each update that changes a path,
    in the order of `order`; `events` is the number of updates of single paths that are told apart.
    """

    graph: Graph
    order: Sequence[str]
    reach: Sequence[int]
    events: int

    @property
    def sizes(self) -> list[int]:
        """The bytes of each path (as a NAR), in the order of `order`."""
        return [self.graph[path].nar_size for path in self.order]


def find_changes(
    graph: Graph,
    *,
    exclude: Collection[str] = (),
    volatile: Collection[str] = (),
    most: int = _MOST_EVENTS,
) -> Changes:
    """Return what changes the paths of `graph` without those in `exclude`.

    The paths in `volatile` change with every build, all of them at once. Where it is empty, what
    nothing needs is taken to change most often. Updates of the `most` largest paths are told apart.
    The order of `graph` makes no difference.
    """
    ties = {path: node.name_and_hash for path, node in graph.items()}
    ranked = sorted(graph, key=ties.__getitem__)
    by_size = sorted(ranked, key=lambda path: -graph[path].nar_size)
    # Sizes count by powers of two, so that an update, which changes them a little, rarely changes
    # the order. Of equal ones the first by name is the first.
    ranked.sort(key=lambda path: -graph[path].nar_size.bit_length())
    rank = {path: number for number, path in enumerate(ranked)}
    needs = [sorted(map(rank.__getitem__, graph[path].references)) for path in ranked]
    whole = _dependencies_first(needs)
    order = [number for number in whole if ranked[number] not in exclude]
    events = min(len(order), most)
    counted = (rank[path] for path in by_size if path not in exclude)
    own = {number: 1 << bit for bit, number in enumerate(islice(counted, events))}
    every_build = ((1 << _OWN_WEIGHT * events) - 1) << events
    for path in rank.keys() & volatile:
        own[rank[path]] = own.get(rank[path], 0) | every_build
    reach = _reach(needs, whole, own)
    if volatile:
        # What needs a volatile path changes with it: together they are the end.
        order.sort(key=lambda number: reach[number] & every_build != 0)
    else:
        _add_own_updates(needs, order, reach, events)
    return Changes(
        graph,
        [ranked[number] for number in order],
        [reach[number] for number in order],
        events,
    )


def _dependencies_first(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return all numbers: depth first, the lowest first, each after what it `needs`."""
    order: list[int] = []
    seen = bytearray(len(needs))
    for root in range(len(needs)):
        # Numbers that are to be looked at, the next one last. A negative one is a path whose needs
        # are done.
        pending = [root]
        while pending:
            number = pending.pop()
            if number < 0:
                order.append(~number)
            elif not seen[number]:
                seen[number] = True
                pending.append(~number)
                pending += reversed(needs[number])
    return order


def _reach(
    needs: Sequence[Sequence[int]], order: Sequence[int], own: Mapping[int, int]
) -> list[int]:
    """Return the bits of each number: its `own`, and those of all that it needs."""
    reach = [0] * len(needs)
    for number in order:
        reach[number] = reduce(or_, map(reach.__getitem__, needs[number]), own.get(number, 0))
    return reach


def _add_own_updates(
    needs: Sequence[Sequence[int]], order: Sequence[int], reach: list[int], events: int
) -> None:
    """Give more bits to each number of `order` that no other of them needs: updates of its own.

    All such paths share them by what they need: a large program is worked on more than a small one.
    """
    needed = set(chain.from_iterable(needs[number] for number in order))
    roots = [number for number in order if number not in needed]
    total = sum(reach[root].bit_count() for root in roots)
    at = events
    for root in roots:
        share = -(-_OWN_WEIGHT * events * reach[root].bit_count() // total)
        reach[root] |= ((1 << share) - 1) << at
        at += share
