"""Compresses a plan, so that Nix finds no store path in it.

Whoever substitutes the output gets no closure with it. What the plan is of is fetched by
builders.programs.fetching, as far as it is needed.
"""

import gzip
from dataclasses import dataclass

from builders.console.errors import writing
from builders.derivations import arguments


@dataclass(frozen=True)
class Arguments:
    """What hidden_plan takes: the image `plan`."""

    plan: str


def main(_: list[str]) -> None:
    """Write the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    with open(given.plan, "rb") as file:
        data = gzip.compress(file.read(), mtime=0)
    with writing(build.out), open(build.out, "wb") as output:
        output.write(data)
