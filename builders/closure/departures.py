"""What goes when a package goes, and which updates are small: what a lock has to reckon with.

A package that goes takes along what nothing else needs. Layers of such paths alone go as a whole.
In a layer with others, these are sent again, although nothing of them changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from builders.closure.changes import Changes

_GOES: Final = 4
"""How often one of the packages goes, in updates of single paths: so many times all of these."""

_FEW: Final = (1, 4)
"""What needs nobody but one package goes with it; what two need, when the second of them goes: so
many times more seldom."""

_PACKAGES_MAX: Final = 4096
"""Of more packages, that one goes says little."""

_SMALL: Final = ((1, 1), (4, 2))
"""Updates of less than the mean, and of less than a quarter of it: how many times more they count.
The bytes that are sent in vain are to be few beside those that change."""


def with_departures(changes: Changes) -> Changes:
    """Return `changes` in which paths also change when packages go, and small updates count more.

    Packages are what nothing needs, or, if there is only one, what that one refers to.
    """
    reach = _with_small_updates(changes)
    at = max((bits.bit_length() for bits in reach), default=0)
    needs = _needs(changes)
    packages = _packages(needs)
    if len(packages) > _PACKAGES_MAX:
        return replace(changes, reach=reach)
    groups: dict[int, list[int]] = {}
    for index, needed_by in enumerate(_needed_by(needs, packages)):
        if 0 < needed_by.bit_count() <= len(_FEW):
            groups.setdefault(needed_by, []).append(index)
    for needed_by, group in groups.items():
        weight = _FEW[needed_by.bit_count() - 1]
        share = _GOES * changes.events // (weight * len(packages))
        for index in group:
            reach[index] |= ((1 << share) - 1) << at
        at += share
    return replace(changes, reach=reach)


def _with_small_updates(changes: Changes) -> list[int]:
    """Return the bits of each path, with more of them for updates that change few bytes."""
    singles = (1 << changes.events) - 1
    changed = [0] * changes.events
    for bits, size in zip(changes.reach, changes.sizes, strict=True):
        for event in _places(bits & singles):
            changed[event] += size
    mean = sum(changed) // max(changes.events, 1)
    reach = list(changes.reach)
    at = max((bits.bit_length() for bits in reach), default=0)
    for part, times in _SMALL:
        small = sum(1 << event for event, count in enumerate(changed) if count * part < mean)
        for _ in range(times):
            for index, bits in enumerate(changes.reach):
                reach[index] |= (bits & small) << at
            at += changes.events
    return reach


def _places(bits: int) -> list[int]:
    """Return which bits are set."""
    digits = f"{bits:b}"[::-1]
    found = []
    at = digits.find("1")
    while at >= 0:
        found.append(at)
        at = digits.find("1", at + 1)
    return found


def _needs(changes: Changes) -> list[list[int]]:
    """Return which others of the paths each one refers to, by index."""
    index = {path: number for number, path in enumerate(changes.order)}
    return [
        [index[to] for to in changes.graph[path].references if to in index]
        for path in changes.order
    ]


def _packages(needs: Sequence[Sequence[int]]) -> Sequence[int]:
    needed = {to for references in needs for to in references}
    roots = [index for index in range(len(needs)) if index not in needed]
    return needs[roots[0]] if len(roots) == 1 else roots


def _needed_by(needs: Sequence[Sequence[int]], packages: Sequence[int]) -> list[int]:
    """Return a bit for each of the packages that needs a path."""
    found = [0] * len(needs)
    for bit, index in enumerate(packages):
        found[index] |= 1 << bit
    # Dependencies come first.
    for index in range(len(needs) - 1, -1, -1):
        for to in needs[index]:
            found[to] |= found[index]
    return found
