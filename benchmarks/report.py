"""What benchmarks find, and RESULTS.md, which is made of it."""

import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pairs import Spread


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `ratio` is how many times as long the other takes as Longshore does, and should be `at_least`
    so much; where there is none, `ours` should be `at_most` so much. Figures are in `unit`.
    """

    what: str
    against: str
    unit: str
    ours: Spread
    other: Spread
    ratio: Spread | None = None
    at_least: float | None = None
    at_most: float | None = None

    def cells(self) -> list[str]:
        """Return what stands in the table."""
        return [
            self.what,
            self.against,
            f"{self.ours} {self.unit}",
            f"{self.other} {self.unit}",
            f"{self.ratio} ×" if self.ratio else "",
            self.wanted + ("" if self.met else " (missed)"),
        ]

    @property
    def wanted(self) -> str:
        """What the figure should be, in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least} ×"
        return f"≤ {self.at_most} {self.unit}"

    @property
    def met(self) -> bool:
        """Whether it is."""
        if self.ratio and self.at_least is not None:
            return self.ratio.median >= self.at_least
        return self.at_most is not None and self.ours.median <= self.at_most


def from_json(value: dict[str, Any]) -> Row:
    """Return the row that `asdict` made `value` of."""
    spreads = {
        key: Spread(**value[key]) if value[key] else None for key in ("ours", "other", "ratio")
    }
    return Row(**{**value, **spreads})


@dataclass(frozen=True)
class Measured:
    """What a benchmark finds: rows of the table, curves of growth, or bytes that stay."""

    rows: list[Row]
    curves: Sequence[dict[str, Any]] = ()
    sharing: Sequence[dict[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what results.json keeps."""
        found = {"rows": [asdict(line) for line in self.rows]}
        if self.curves:
            found["curves"] = list(self.curves)
        if self.sharing:
            found["sharing"] = list(self.sharing)
        return found


INTRODUCTION = """\
# Results

Made by `benchmarks/run`; don't edit. Each figure is the median over all runs, with the least and
the most in brackets. A ratio is of one pair of runs, one right after the other: how many times as
long the other one takes. Everything is read from the page cache, and written to a pipe that
`cat` empties. Seconds depend on the machine, and on what else it does; ratios much less.

"""


SHARING = """
## What stays

An image of at most 100 layers is built again after a change of its closure. So many bytes are in
store paths that stay, and so many in layers that stay and need no upload, with `layering =
"popularity"` and with `"size"`:

| closure | change | paths that stay | by popularity | by size |
| --- | --- | ---: | ---: | ---: |
"""


def write_table(table: pathlib.Path, results: dict[str, Any], names: Iterable[str]) -> None:
    """Write `results`, in the order of `names`, to the Markdown file `table`."""
    lines = [
        "| benchmark | what | beside | Longshore | the other | ratio | wanted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    machines = []
    for name in names:
        if name in results:
            for line in results[name]["rows"]:
                lines.append(f"| `{name}` | {' | '.join(from_json(line).cells())} |")
            if results[name]["machine"] not in machines:
                machines.append(results[name]["machine"])
    text = INTRODUCTION + "\n".join(lines) + "\n\nMeasured on: " + "; ".join(machines) + ".\n"
    if "sharing" in results:
        text += SHARING
        for shared in results["sharing"]["sharing"]:
            text += f"| {' | '.join(sharing_cells(shared))} |\n"
    table.write_text(text)


def sharing_cells(shared: dict[str, Any]) -> list[str]:
    """Return what stands in the table of bytes that stay."""

    def part(size: int) -> str:
        return f"{size / 1e6:,.1f} MB ({size / shared['total']:.0%})"

    return [
        shared["closure"],
        shared["change"],
        part(shared["total"] - shared["new"]),
        *map(part, shared["stay"].values()),
    ]
