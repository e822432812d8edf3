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
    """What a benchmark finds: rows of the table, curves of growth, or bytes that stay or are sent.

    Of what is sent there are means: over updates of every single path, and over updates that were.
    """

    rows: list[Row]
    curves: Sequence[dict[str, Any]] = ()
    sharing: Sequence[dict[str, Any]] = ()
    every_update: Sequence[dict[str, Any]] = ()
    real_updates: Sequence[dict[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what results.json keeps."""
        found = {"rows": [asdict(line) for line in self.rows]}
        for name in ("curves", "sharing", "every_update", "real_updates"):
            if values := getattr(self, name):
                found[name] = list(values)
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
store paths that stay, and so many in layers that stay and need no upload, with each `layering`, and
with a layering lock:

| closure | change | paths that stay | popularity | size | co-change | with a lock |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""


EVERY_UPDATE = """
## What an update sends

In the mean over updates of each single store path, an image of at most 100 layers sends so much.
The least is what is in the store paths that change:

| closure | least | popularity | size | co-change | with a lock |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


REAL_UPDATES = """
Six closures of Debian packages, 83 to 914 store paths, after updates that they really had, a commit
of the application, additions and removals (benchmarks/layering-cases.json). Of each two builds the
second sends so much, by how many layers store paths may have:

| layers | least | popularity | size | co-change | with a lock |
| --- | ---: | ---: | ---: | ---: | ---: |
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
            # Bytes are the same on every machine.
            if results[name]["rows"] and results[name]["machine"] not in machines:
                machines.append(results[name]["machine"])
    text = INTRODUCTION + "\n".join(lines) + "\n\nMeasured on:\n\n"
    text += "".join(f"- {machine}\n" for machine in machines)
    if "sharing" in results:
        text += SHARING
        for shared in results["sharing"]["sharing"]:
            text += f"| {' | '.join(sharing_cells(shared))} |\n"
        for title, key, name in (
            (EVERY_UPDATE, "every_update", "closure"),
            (REAL_UPDATES, "real_updates", "layers"),
        ):
            text += title
            for found in results["sharing"].get(key, ()):
                text += f"| {found[name]} | {' | '.join(mean_cells(found['means']))} |\n"
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


def mean_cells(means: dict[str, float]) -> list[str]:
    """Return what stands in the tables of bytes that are sent: the least, and the others by it."""
    least = means["least"]
    others = [count for name, count in means.items() if name != "least"]
    return [
        f"{least / 1e6:,.1f} MB",
        *(f"{count / 1e6:,.1f} MB ({count / least:.2f} ×)" for count in others),
    ]
