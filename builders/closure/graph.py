"""The closure graph: store paths and their references, as Nix hands them to a derivation.

Source: Nix manual, "Advanced Attributes", exportReferencesGraph; with
structured attributes each path is an object with `path`, `references`,
`narSize`, `narHash` and `closureSize`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any


@dataclass(frozen=True)
class StorePath:
    """One node of a closure graph.

    `references` are the paths whose names occur in this one, itself excluded;
    `nar_size` is in bytes, `nar_hash` as Nix writes it (`sha256:…`).
    """

    path: str
    references: tuple[str, ...]
    nar_size: int = 0
    nar_hash: str = ""
    refers_to_itself: bool = False

    @property
    def all_references(self) -> tuple[str, ...]:
        """The references as Nix counts them, itself included where it is one."""
        return (*self.references, self.path) if self.refers_to_itself else self.references

    @property
    def name_and_hash(self) -> tuple[str, str]:
        """The package name and the hash of the path: the order that breaks ties."""
        digest, _, name = self.path.rpartition("/")[2].partition("-")
        return name, digest


Graph = Mapping[str, StorePath]
"""All paths of a closure by path, in the order in which they were given."""


def read_graph(nodes: Sequence[Mapping[str, Any]]) -> dict[str, StorePath]:
    """Return the graph out of the JSON that exportReferencesGraph makes."""
    # One string for each path, where JSON has one for each reference to it.
    known = {node["path"]: node["path"] for node in nodes}
    graph = {}
    for node in nodes:
        path = node["path"]
        references = tuple(map(known.__getitem__, node["references"]))
        refers_to_itself = path in references
        if refers_to_itself:
            references = tuple(reference for reference in references if reference != path)
        graph[path] = StorePath(
            path, references, node["narSize"], node["narHash"], refers_to_itself
        )
    return graph


def graph_to_nodes(graph: Graph) -> list[dict[str, Any]]:
    """Return the JSON that `read_graph` reads, references in the order of their code points."""
    return [
        {
            "path": node.path,
            "narSize": node.nar_size,
            "narHash": node.nar_hash,
            "references": sorted(node.all_references),
        }
        for node in graph.values()
    ]


def induced(graph: Graph, paths: Iterable[str]) -> dict[str, StorePath]:
    """Return those of `paths`, in their order, with the references among themselves."""
    kept = dict.fromkeys(paths)
    return {
        path: replace(
            graph[path], references=tuple(to for to in graph[path].references if to in kept)
        )
        for path in kept
    }


def referrers_first(graph: Graph) -> list[str]:
    """Return all paths, each before everything that it refers to.

    A closure has no cycles; Nix itself refuses to build one.
    """
    left = Counter(chain.from_iterable(node.references for node in graph.values()))
    ready = [path for path in graph if path not in left]
    order = []
    while ready:
        path = ready.pop()
        order.append(path)
        for reference in graph[path].references:
            count = left[reference] - 1
            if count:
                left[reference] = count
            else:
                ready.append(reference)
    if len(order) != len(graph):
        raise ValueError("the closure graph has a cycle")
    return order
