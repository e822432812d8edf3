"""Builds the stream script of a layered image: a file that runs builders.programs.stream."""

import os
import shlex
from dataclasses import dataclass

from builders.derivations import arguments
from builders.derivations.script_arguments import PYTHON_OPTIONS


@dataclass(frozen=True)
class Arguments:
    """What stream_script takes.

    `shell` and `python` are interpreters, `library` this package, `plan` the
    image plan and `program` the name under which the script speaks of itself.
    """

    shell: str
    python: str
    library: str
    plan: str
    program: str


def main(_: list[str]) -> None:
    """Write the script to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    command = shlex.join([given.python, *PYTHON_OPTIONS, given.library, "stream", given.plan])
    with open(build.out, "w", encoding="utf-8") as file:
        file.write(
            f'#!{given.shell}\nLONGSHORE_PROGRAM={shlex.quote(given.program)} exec {command} "$@"\n'
        )
    os.chmod(build.out, 0o555)
