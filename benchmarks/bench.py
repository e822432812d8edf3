"""What benchmarks work with: what was built, and lines of the table."""

import json
import os
import pathlib
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pairs import Comparison
from report import Row

HERE: Final = pathlib.Path(__file__).parent
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Bench:
    """What the benchmarks have to work with: what was built, and how often to measure.

    `small` takes an image of a tenth where others would take long.
    """

    built: pathlib.Path
    pairs: int
    small: bool = False

    def stream(self, image: str) -> list[str]:
        """Return the command that streams `image`."""
        return [str(self.built / image)]

    def plan(self, image: str) -> str:
        """Return the path of the plan of `image`."""
        return str(self.built / f"{image}.json")

    def paths(self, image: str) -> list[str]:
        """Return the store paths of `image`, in the order of its layers."""
        plan = json.loads(pathlib.Path(self.plan(image)).read_text())
        return [path for layer in plan["layers"] for path in layer.get("paths", ())]

    def python(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs a script of this directory."""
        return [str(self.built / "python"), "-B", str(HERE / script), *arguments]

    @contextmanager
    def tar(self, image: str) -> Iterator[list[str]]:
        """Give the command with which GNU tar writes the store paths of `image` to a pipe."""
        with tempfile.NamedTemporaryFile("w") as names:
            names.write("\n".join(self.paths(image)))
            names.flush()
            yield ["tar", "-P", "-cf", "-", "-T", names.name]


def row(what: str, against: str, measured: Comparison, *, at_least: float) -> Row:
    """Return the line of a comparison whose ratio should be `at_least` so much."""
    return Row(
        what=what,
        against=against,
        unit="s",
        ours=measured.ours,
        other=measured.other,
        ratio=measured.ratio,
        at_least=at_least,
    )


def machine(pairs: int) -> str:
    """Say in a few words what is measured on."""
    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        f"{pairs} pairs"
    )
