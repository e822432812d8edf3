"""What goes when a package goes: the paths that nothing else of the image needs.

Layers of them stay whole, or go as a whole, if the paths share them with each other alone.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from builders.closure.changes import Changes

_HALVES: Final = (4, 1)
"""How often something goes, in halves of all updates of single paths together: of the packages that
the user names, and of what is right below one (of which an environment has much)."""


def with_departures(changes: Changes) -> Changes:
    """Return `changes` in which paths also change when one goes that all users of theirs need."""
    graph, order = changes.graph, changes.order
    users: dict[str, list[str]] = {path: [] for path in order}
    for path in order:
        for reference in graph[path].references:
            if reference in users:
                users[reference].append(path)
    above: dict[str, str | None] = {}
    depth: dict[str, int] = {}
    for path in reversed(order):
        above[path] = _nearest_common(users[path], above, depth)
        up = above[path]
        depth[path] = depth[up] + 1 if up else 1
    roots = [path for path in order if not users[path]]
    first = 1 if len(roots) > 1 else 2
    reach = list(changes.reach)
    at = max((bits.bit_length() for bits in reach), default=0)
    for level, halves in enumerate(_HALVES, first):
        owner: dict[str, str] = {}
        for path in reversed(order):
            up = above[path]
            if depth[path] == level and (up or not users[path]):
                owner[path] = path
            elif up in owner:
                owner[path] = owner[up]
        owners = [path for path in order if owner.get(path) == path]
        share = max(1, halves * changes.events // (2 * max(1, len(owners))))
        bits = {
            path: ((1 << share) - 1) << (at + number * share) for number, path in enumerate(owners)
        }
        at += share * len(owners)
        reach = [
            known | (bits[owner[path]] if path in owner else 0)
            for path, known in zip(order, reach, strict=True)
        ]
    return replace(changes, reach=reach)


def _nearest_common(
    users: Iterable[str], above: dict[str, str | None], depth: dict[str, int]
) -> str | None:
    """Return the lowest path on all ways down to `users`, which may be one of them; None if none.

    It is their nearest common ancestor in the tree that `above` makes: the dominator of what they
    need.
    """
    common: str | None = None
    for number, user in enumerate(users):
        other: str | None = user
        if number == 0:
            common = other
        while common != other:
            if common is None or other is None:
                return None
            if depth[common] < depth[other]:
                other = above[other]
            else:
                common = above[common]
    return common
