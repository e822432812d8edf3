"""Closures with updates that they had, and what images of them send after each.

layering-cases.json has six closures of Debian packages. Its `format` says what is in it. Where a
package changes, all that needs it gets another hash, as in Nix.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from builders.closure.graph import StorePath

CASES = pathlib.Path(__file__).parent / "layering-cases.json"
WEIGHTS = {"app": 50, "sec": 25, "bump": 10, "add": 10, "remove": 5}
"""How often each kind of update comes."""


@dataclass(frozen=True)
class Closure:
    """Packages by number: their names, sizes in bytes and references, and how often each changed.

    `salt` is what a change of a package is made of: another for each build.
    """

    names: Mapping[int, str]
    sizes: Mapping[int, int]
    references: Mapping[int, frozenset[int]]
    salts: Mapping[int, str]

    @cached_property
    def graph(self) -> dict[str, StorePath]:
        """The graph of its store paths."""
        hashes: dict[int, str] = {}
        pending = list(self.names)
        while pending:
            number = pending[-1]
            missing = [to for to in self.references[number] if to not in hashes]
            if missing and number not in hashes:
                pending += missing
                continue
            pending.pop()
            needs = sorted(hashes[to] for to in self.references[number])
            text = f"{number} {self.names[number]} {self.salts.get(number)} {needs}"
            hashes[number] = hashlib.sha256(text.encode()).hexdigest()[:32]
        paths = {
            number: f"/nix/store/{hashes[number]}-{name}" for number, name in self.names.items()
        }
        return {
            paths[number]: StorePath(
                paths[number],
                tuple(paths[to] for to in sorted(self.references[number])),
                self.sizes[number],
            )
            for number in self.names
        }

    def after(self, event: Mapping[str, Any], base: "Closure", salt: str = "1") -> "Closure":
        """Return the closure after an event of a file of cases, in which `base` had it.

        Events may follow each other: what is added gets new numbers, of references only the
        difference to those in `base` counts, and none leads to what an event before took out.
        """
        names, sizes = dict(self.names), dict(self.sizes)
        references, salts = dict(self.references), dict(self.salts)
        first, size = max(names) + 1, len(base.names)

        def number(index: int) -> int:
            return index if index < size else first + index - size

        for at, (name, bytes_of, needs) in enumerate(event.get("add", ())):
            names[first + at], sizes[first + at] = name, bytes_of
            references[first + at] = frozenset(map(number, needs))
        for index, needs in event.get("refs", {}).items():
            if int(index) in names:
                before = base.references[int(index)]
                now = frozenset(map(number, needs))
                references[int(index)] = (references[int(index)] | (now - before)) - (before - now)
        sizes |= {int(i): size for i, size in event.get("sizes", {}).items() if int(i) in names}
        salts |= dict.fromkeys(event["update"], salt)
        kept = _reachable(references, _roots(self.references)) & names.keys()
        return replace(
            self,
            names={index: names[index] for index in sorted(kept)},
            sizes=sizes,
            references={index: references[index] & kept for index in kept},
            salts=salts,
        )


@dataclass(frozen=True)
class Case:
    """A closure, its events by kind, and the weighted means of an experiment by layers."""

    name: str
    closure: Closure
    events: Sequence[Mapping[str, Any]]
    reference: Mapping[str, Mapping[str, Mapping[str, float]]]

    @cached_property
    def updates(self) -> list[tuple[str, dict[str, StorePath]]]:
        """The kind of each event, and the graph after it."""
        return [
            (event["kind"], self.closure.after(event, self.closure).graph) for event in self.events
        ]


def read_cases() -> list[Case]:
    """Return the cases of layering-cases.json."""
    return [
        Case(
            name=case["name"],
            closure=Closure(
                names={number: name for number, (name, _, _) in enumerate(case["nodes"])},
                sizes={number: size for number, (_, size, _) in enumerate(case["nodes"])},
                references={
                    number: frozenset(needs) for number, (_, _, needs) in enumerate(case["nodes"])
                },
                salts={},
            ),
            events=case["events"],
            reference=case["reference"],
        )
        for case in json.loads(CASES.read_text())["closures"]
    ]


def sent(
    old: Iterable[Sequence[str]],
    new: Iterable[Sequence[str]],
    graph: Mapping[str, StorePath],
) -> int:
    """Return the bytes of those `new` layers that the `old` ones don't have."""
    known = {frozenset(layer) for layer in old}
    return sum(
        graph[path].nar_size for layer in new if frozenset(layer) not in known for path in layer
    )


def weighted(found: Iterable[tuple[str, int]]) -> float:
    """Return the mean of bytes by kind of update, each kind as often as it comes."""
    by_kind: dict[str, list[int]] = {}
    for kind, count in found:
        by_kind.setdefault(kind, []).append(count)
    total = sum(WEIGHTS[kind] * sum(counts) / len(counts) for kind, counts in by_kind.items())
    return total / sum(WEIGHTS[kind] for kind in by_kind)


def _roots(references: Mapping[int, frozenset[int]]) -> set[int]:
    return references.keys() - frozenset().union(*references.values())


def _reachable(references: Mapping[int, frozenset[int]], starts: Iterable[int]) -> set[int]:
    seen: set[int] = set()
    pending = list(starts)
    while pending:
        number = pending.pop()
        if number not in seen:
            seen.add(number)
            pending += references.get(number, ())
    return seen
