"""Names of packages without versions: what stays of a store path when it is updated.

Source: Nix manual, `builtins.parseDrvName` and `builtins.compareVersions`.
"""

import re
from collections.abc import Iterable
from typing import Final

from builders.closure.graph import Graph

_VERSION: Final = re.compile(r"-(?=[^A-Za-z])")
_COMPONENT: Final = re.compile(r"[0-9]+|[^0-9.-]+")
_WORD: Final = re.compile(r"[A-Za-z]+")


def parse_name(name: str) -> tuple[str, str]:
    """Return the package and the version in the name of a store path, as Nix divides it.

    The version begins after the first "-" that no letter follows. Where there is none, it is "".
    """
    parts = _VERSION.split(name, maxsplit=1)
    return (parts[0], parts[1]) if len(parts) == 2 else (name, "")


def stable_name(name: str) -> str:
    """Return what stays of the name of a store path: the package, and its output behind it.

    `openssl-3.0.13-dev` is `openssl-dev`: words at the end of a version name an output.
    """
    package, version = parse_name(name)
    words = version.split("-")
    first = len(words)
    while first > 1 and _WORD.fullmatch(words[first - 1]):
        first -= 1
    return "-".join([package, *words[first:]]) if package else name


def stable_names(graph: Graph, paths: Iterable[str]) -> dict[str, str]:
    """Return the stable names of `paths`, each of them once.

    Where several have the same, the newest version keeps it, and the next ones are `NAME#2` and
    so on. Of equal versions the largest comes first, then hashes decide.
    """
    same: dict[str, list[str]] = {}
    for path in paths:
        same.setdefault(stable_name(graph[path].name_and_hash[0]), []).append(path)
    names: dict[str, str] = {}
    for name, found in same.items():
        found.sort(key=lambda path: (-graph[path].nar_size, graph[path].name_and_hash[1]))
        found.sort(key=lambda path: _version_key(graph[path].name_and_hash[0]), reverse=True)
        for number, path in enumerate(found, 1):
            names[path] = name if number == 1 else f"{name}#{number}"
    return names


def _version_key(name: str) -> list[tuple[int, int, str]]:
    """Return what orders versions as Nix does: "pre", then the end, then words, then numbers."""
    _, version = parse_name(name)
    end = (1, 0, "")
    return [*map(_component_key, _COMPONENT.findall(version)), end]


def _component_key(component: str) -> tuple[int, int, str]:
    if component[0].isdecimal():
        return 3, int(component), ""
    return (0, 0, "") if component == "pre" else (2, 0, component)
