"""Which updates change which store paths, as the graph of a closure tells it.

A store path changes when anything that it needs changes, since its hash is made of theirs. So the
chance that a path changes grows with what it needs, and paths that need the same change together.
What is built from one's own source changes most often, and that is what no other path needs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import or_
from typing import Final

from builders.closure.graph import Graph, StorePath

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
    graph: Graph, *, exclude: Collection[str] = (), volatile: Collection[str] = ()
) -> Changes:
    """Return what changes the paths of `graph` without those in `exclude`.

    The paths in `volatile` change with every build, all of them at once. Where it is empty, what
    nothing needs is taken to change most often. The order of `graph` makes no difference.
    """
    ties = {path: node.name_and_hash for path, node in graph.items()}
    whole = _dependencies_first(graph, ties)
    order = [path for path in whole if path not in exclude]
    by_size = sorted(order, key=ties.__getitem__)
    by_size.sort(key=lambda path: -graph[path].nar_size)
    events = min(len(order), _MOST_EVENTS)
    own = {path: 1 << number for number, path in enumerate(by_size[:events])}
    every_build = ((1 << _OWN_WEIGHT * events) - 1) << events
    for path in volatile:
        own[path] = own.get(path, 0) | every_build
    reach = _reach(graph, whole, own)
    if volatile:
        # What needs a volatile path changes with it: together they are the end.
        order.sort(key=lambda path: reach[path] & every_build != 0)
    else:
        _add_own_updates(graph, order, reach, events)
    return Changes(graph, order, [reach[path] for path in order], events)


def _dependencies_first(graph: Graph, ties: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return all paths: depth first, the largest first, each after what it needs.

    Sizes count by powers of two, so that an update, which changes them a little, rarely changes the
    order. Of equal ones the first is the one that is first by `ties`.
    """
    # By name first: the sort by sizes keeps the order of equal ones.
    ranked = sorted(graph, key=ties.__getitem__)
    ranked.sort(key=lambda path: -graph[path].nar_size.bit_length())
    rank = {path: number for number, path in enumerate(ranked)}
    order: list[str] = []
    seen = bytearray(len(ranked))
    for root in range(len(ranked)):
        if seen[root]:
            continue
        seen[root] = True
        # Numbers of paths that are begun, below what is left of the references of each.
        pending = [~root, *_ranks(graph[ranked[root]], rank)]
        while pending:
            number = pending.pop()
            if number < 0:
                order.append(ranked[~number])
            elif not seen[number]:
                seen[number] = True
                pending.append(~number)
                pending += _ranks(graph[ranked[number]], rank)
    return order


def _ranks(node: StorePath, rank: Mapping[str, int]) -> list[int]:
    """Return the numbers of what `node` refers to, the first one last."""
    return sorted(map(rank.__getitem__, node.references), reverse=True)


def _reach(graph: Graph, order: Sequence[str], own: Mapping[str, int]) -> dict[str, int]:
    """Return the bits of each path: its `own`, and those of all that it needs."""
    reach: dict[str, int] = {}
    for path in order:
        needed = map(reach.__getitem__, graph[path].references)
        reach[path] = reduce(or_, needed, own.get(path, 0))
    return reach


def _add_own_updates(
    graph: Graph, order: Sequence[str], reach: dict[str, int], events: int
) -> None:
    """Give more bits to each path of `order` that no other of them needs: updates of its own.

    All such paths share them by what they need: a large program is worked on more than a small one.
    """
    needed = set(chain.from_iterable(graph[path].references for path in order))
    roots = [path for path in order if path not in needed]
    total = sum(reach[root].bit_count() for root in roots)
    at = events
    for root in roots:
        share = -(-_OWN_WEIGHT * events * reach[root].bit_count() // total)
        reach[root] |= ((1 << share) - 1) << at
        at += share
