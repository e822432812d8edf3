"""Why paths changed: the few whose own inputs did, and not the many that refer to them.

A path is downstream if it refers to packages of the same names as before, and one of these changed.
What else changed is a cause: it has another version, or refers to something else, or nothing that
it refers to changed. Graphs don't know what a build saw and did not keep. So a downstream path
whose content has changed as well may be a cause, too, and is named apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from builders.accounts.account import Account, store_name
from builders.accounts.pairing import Pairing, reference_names
from builders.closure.graph import Graph
from builders.closure.package_names import parse_name

VERSION_CHANGED: Final = "version"
REFERENCES_CHANGED: Final = "references"
REBUILT: Final = "content"
SAME_CONTENT: Final = "rebuilt"
ADDED: Final = "added"
REMOVED: Final = "removed"

REASONS: Final = {
    VERSION_CHANGED: "another version",
    REFERENCES_CHANGED: "refers to other packages",
    REBUILT: "other content, of the same version",
    SAME_CONTENT: "built again, with the same content",
    ADDED: "new in the image",
    REMOVED: "no longer in the image",
}


@dataclass(frozen=True)
class Cause:
    """A package whose paths changed by themselves: `reason` is one of `REASONS`.

    `old` and `new` are its paths on either side.
    """

    package: str
    reason: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Causes:
    """What changed by itself.

    `perhaps` are new paths downstream of a cause whose content differs in more than hashes.
    `toward` leads from each changed path of the new image to the one next to it on a shortest way
    to a cause; a cause leads to itself.
    """

    causes: tuple[Cause, ...]
    perhaps: tuple[str, ...]
    toward: Mapping[str, str]

    @cached_property
    def steps(self) -> Mapping[str, int]:
        """How many steps the way from each changed path has; 0 of a cause."""
        found: dict[str, int] = {}
        # In the order in which they were reached: the next one is there.
        for path, following in self.toward.items():
            found[path] = found[following] + 1 if following != path else 0
        return found

    def way(self, path: str) -> tuple[str, ...]:
        """Return the way from a changed path to a cause, both included; () where none is known."""
        if path not in self.toward:
            return ()
        way = [path]
        while self.toward[way[-1]] != way[-1]:
            way.append(self.toward[way[-1]])
        return tuple(way)


SameContent = Callable[[str, str], bool | None]
"""Whether two paths differ in nothing but hashes; None where nobody knows."""


def find_causes(
    old: Account, new: Account, pairing: Pairing, *, same_content: SameContent
) -> Causes:
    """Return the causes; without any graph every change is one."""
    graph, before = new.image.graph, old.image.graph
    reasons: list[tuple[str, str | None, str | None]] = []
    perhaps = []
    for left, right in pairing.pairs.items():
        reason = _reason(left, right, old, new, pairing)
        if reason:
            reasons.append((reason, left, right))
        elif before and graph and _differs(left, right, old, new, same_content):
            perhaps.append(right)
    reasons += [(ADDED, None, path) for path in pairing.added if _is_alone(path, new)]
    reasons += [(REMOVED, path, None) for path in pairing.removed if _is_alone(path, old)]
    changed = {*pairing.pairs.values(), *pairing.added}
    sources = sorted(right for _, _, right in reasons if right is not None)
    toward = _toward(graph, changed, sources) if graph else {path: path for path in sources}
    return Causes(causes=_grouped(reasons), perhaps=_by_name(perhaps), toward=toward)


def _reason(left: str, right: str, old: Account, new: Account, pairing: Pairing) -> str | None:
    """Return why a pair is a cause, None where it is downstream of one."""
    if store_name(left) != store_name(right):
        return VERSION_CHANGED
    before, after = old.image.graph, new.image.graph
    if before and after and reference_names(left, before) != reference_names(right, after):
        return REFERENCES_CHANGED
    # One side's references tell as much of what follows.
    references = after[right].references if after else before[left].references if before else ()
    if any(reference not in pairing.same for reference in references):
        return None
    if not before or not after:
        return REBUILT
    hashes = {before[left].nar_hash, after[right].nar_hash}
    return SAME_CONTENT if len(hashes) == 1 and hashes != {""} else REBUILT


def _differs(left: str, right: str, old: Account, new: Account, same_content: SameContent) -> bool:
    """Whether a downstream path has changed in more than hashes."""
    same = same_content(left, right)
    if same is not None:
        return not same
    lengths = [
        _name_lengths(account.image.graph, path) for account, path in ((old, left), (new, right))
    ]
    # Where names are as long as before, nothing else is moved by another hash.
    comparable = old.image.measure == new.image.measure and lengths[0] == lengths[1]
    return comparable and old.paths[left].own != new.paths[right].own


def _name_lengths(graph: Graph | None, path: str) -> list[int]:
    return (
        sorted(len(store_name(reference)) for reference in graph[path].references) if graph else []
    )


def _is_alone(path: str, account: Account) -> bool:
    """Whether nothing refers to a path; else it has come, or gone, with what does."""
    return not account.paths[path].referrers


def _toward(graph: Graph, changed: set[str], sources: Sequence[str]) -> dict[str, str]:
    """Return from each changed path the next one on a shortest way to one of `sources`."""
    referrers: dict[str, list[str]] = {}
    for path in sorted(changed, key=store_name):
        for reference in graph[path].references:
            if reference in changed:
                referrers.setdefault(reference, []).append(path)
    toward = {path: path for path in sources}
    ring: Iterable[str] = list(toward)
    while ring:
        following = []
        for path in ring:
            for referrer in referrers.get(path, ()):
                if referrer not in toward:
                    toward[referrer] = path
                    following.append(referrer)
        ring = following
    return toward


def _by_name(paths: Iterable[str | None]) -> tuple[str, ...]:
    there = (path for path in paths if path is not None)
    return tuple(sorted(there, key=lambda path: (store_name(path), path)))


def _grouped(
    reasons: Iterable[tuple[str, str | None, str | None]],
) -> tuple[Cause, ...]:
    """Return one cause for all outputs of a package that changed for the same reason."""
    found: dict[tuple[str, str], list[tuple[str | None, str | None]]] = {}
    for reason, left, right in reasons:
        package, _ = parse_name(store_name(right or left or ""))
        found.setdefault((package, reason), []).append((left, right))
    return tuple(
        Cause(
            package=package,
            reason=reason,
            old=_by_name(left for left, _ in paths),
            new=_by_name(right for _, right in paths),
        )
        for (package, reason), paths in sorted(found.items())
    )
