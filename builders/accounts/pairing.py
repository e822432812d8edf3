"""Which store path of one image is which of another.

A change of anything gives all that refers to it another hash, so that most paths are there under
the same name on both sides. An update gives a path another version; its package stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builders.accounts.account import Account, store_name
from builders.closure.graph import Graph
from builders.closure.package_names import stable_name


@dataclass(frozen=True)
class Pairing:
    """`same` are on both sides; `pairs` lead from old paths to what has taken their place."""

    same: frozenset[str]
    pairs: Mapping[str, str]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def pair(old: Account, new: Account) -> Pairing:
    """Pair what the two have of one name, and then what they have of one package."""
    same = old.paths.keys() & new.paths.keys()
    left = _by_package(path for path in old.paths if path not in same)
    right = _by_package(path for path in new.paths if path not in same)
    pairs: dict[str, str] = {}
    for package in sorted(left.keys() & right.keys()):
        pairs.update(_pair_package(left[package], right[package], old, new))
    taken = set(pairs.values())
    return Pairing(
        same=frozenset(same),
        pairs=pairs,
        removed=tuple(path for path in old.paths if path not in same and path not in pairs),
        added=tuple(path for path in new.paths if path not in same and path not in taken),
    )


def package_of(path: str) -> str:
    """Return the name of a store path without its version, with its output."""
    return stable_name(store_name(path))


def _by_package(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(package_of(path), []).append(path)
    return found


def _pair_package(left: list[str], right: list[str], old: Account, new: Account) -> dict[str, str]:
    """Pair paths of one package: of the same name and references, of the same name, and the rest.

    Several of one name are taken in the order of their sizes and hashes.
    """
    pairs: dict[str, str] = {}
    for key in (_name_and_references, _name, _nothing):
        waiting: dict[object, list[str]] = {}
        taken = set(pairs.values())
        for path in sorted(right, key=lambda path: _order(path, new)):
            if path not in taken:
                waiting.setdefault(key(path, new.image.graph), []).append(path)
        for path in sorted(left, key=lambda path: _order(path, old)):
            if path not in pairs and (found := waiting.get(key(path, old.image.graph))):
                pairs[path] = found.pop(0)
    return pairs


def _order(path: str, account: Account) -> tuple[object, ...]:
    return store_name(path), account.paths[path].own, path


def _name_and_references(path: str, graph: Graph | None) -> object:
    return store_name(path), reference_names(path, graph)


def _name(path: str, graph: Graph | None) -> object:
    del graph
    return store_name(path)


def _nothing(path: str, graph: Graph | None) -> object:
    del path, graph
    return ()


def reference_names(path: str, graph: Graph | None) -> tuple[str, ...]:
    """Return the packages that a path refers to, each as often as it does."""
    return tuple(sorted(map(package_of, graph[path].references))) if graph else ()
