"""Dominators of a closure graph: which path everything must come through.

The dominator of a path is the nearest one that lies on every way from the roots to it. Without that
one, the path would not be in the closure. A closure graph has no cycles. So if each path comes
after all that refer to it, its dominator is the nearest common ancestor, in the tree of dominators
so far, of those that refer to it. Source: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance
Algorithm", whose iteration needs one round here. Ancestors are found over jumps that double, as in
Myers, "An applicative random-access stack", so that deep closures take no longer.
"""

from collections.abc import Collection, Mapping, Sequence

from builders.closure.graph import Graph


class _Tree:
    """A tree that grows at its leaves and finds nearest common ancestors. Node 0 is its root."""

    def __init__(self) -> None:
        self.parent = [0]
        self._jump = [0]
        self._depth = [0]

    def add(self, parent: int) -> int:
        """Add a child of `parent`, and return its number."""
        jump, depth = self._jump, self._depth
        near = jump[parent]
        far = jump[near]
        doubles = depth[parent] - depth[near] == depth[near] - depth[far]
        self.parent.append(parent)
        jump.append(far if doubles else parent)
        depth.append(depth[parent] + 1)
        return len(self.parent) - 1

    def common(self, one: int, other: int) -> int:
        """Return the nearest node that is an ancestor of both, or one of them."""
        parent, jump, depth = self.parent, self._jump, self._depth
        if depth[one] < depth[other]:
            one, other = other, one
        while depth[one] > depth[other]:
            one = jump[one] if depth[jump[one]] >= depth[other] else parent[one]
        while one != other:
            if jump[one] == jump[other]:
                one, other = parent[one], parent[other]
            else:
                one, other = jump[one], jump[other]
        return one


def dominators(graph: Graph, order: Sequence[str], roots: Collection[str]) -> dict[str, str | None]:
    """Return the nearest dominator of each path, None where the `roots` alone bring it in.

    `order` has all paths of `graph`, each before what it refers to. Every path has to be a root or
    be referred to.
    """
    tree = _Tree()
    # Of those that come in through the paths that are done: where they lie so far.
    met = dict.fromkeys(roots, 0)
    dominator: dict[str, str | None] = {}
    path_of: list[str | None] = [None]
    for path in order:
        above = met[path]
        dominator[path] = path_of[above]
        number = tree.add(above)
        path_of.append(path)
        for reference in graph[path].references:
            known = met.get(reference)
            met[reference] = number if known is None else tree.common(known, number)
    return dominator


def vanishing_bytes(
    order: Sequence[str], dominator: Mapping[str, str | None], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Return the bytes that would go with each path: of all that is there only through it.

    `order` and `dominator` are as in `dominators`, `sizes` in bytes.
    """
    found = {path: sizes[path] for path in order}
    for path in reversed(order):
        above = dominator[path]
        if above is not None:
            found[above] += found[path]
    return found
