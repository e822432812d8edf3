"""The program `longshore`: one subcommand for each thing to be done with an image.

    longshore SUBCOMMAND [ARGUMENT…]

A subcommand is a module of this room: `DESCRIPTION` is a sentence about it and `EXAMPLES` are
command lines with what they do; `configure` adds its arguments to a parser, and `run` does it.
"""

import argparse
import importlib
import os
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from builders.console.errors import die
from builders.processes import end_as_by_ctrl_c

SUBCOMMANDS: Final = {
    "push": "builders.programs.push",
    "load": "builders.programs.load",
    "copy": "builders.programs.copy_image",
    "explain": "builders.programs.explain",
    "diff": "builders.programs.diff",
    "completion": "builders.programs.completion",
}
"""The module of each subcommand. It is imported when it runs, or when all are to be described."""

_PROGRAM: Final = "longshore"


def main(arguments: list[str]) -> None:
    """Run the subcommand that the first argument names with the others."""
    end_as_by_ctrl_c()
    name, *words = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(_overview(), end="")
        return
    if name not in SUBCOMMANDS:
        die(
            f"longshore has no subcommand {name!r}",
            hint=f"use one of {', '.join(SUBCOMMANDS)}; 'longshore --help' tells about them",
        )
    module = _module(name)
    # What comes after --, too, and options between them.
    try:
        given = parser_of(name).parse_intermixed_args(words)
    except SystemExit:
        # Of --help. Whether somebody took what it printed is seen to elsewhere.
        return
    module.run(given)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of the subcommand `name`."""
    module = _module(name)
    # A program that is one subcommand only, of an image of its own, speaks of itself so.
    own = os.environ.get("LONGSHORE_PROGRAM")
    parser = Parser(
        prog=own or f"{_PROGRAM} {name}",
        description=module.DESCRIPTION,
        epilog=None if own else _examples(module.EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    return parser


class Parser(argparse.ArgumentParser):
    """Fails as the rest of Longshore does."""

    def error(self, message: str) -> NoReturn:
        """Raise `UserError`."""
        die(f"{self.prog}: {message}", hint=f"'{self.prog} --help' lists what it takes")

    def print_help(self, file: Any = None) -> None:
        """Print the help; raises `OSError` where nobody takes it, which argparse passes over."""
        print(self.format_help(), end="", file=file)


def _module(name: str) -> Any:
    return importlib.import_module(SUBCOMMANDS[name])


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {command}\n      {does}" for command, does in examples]
    return "\n".join(["examples:", *lines])


def _overview() -> str:
    width = max(map(len, SUBCOMMANDS)) + 2
    modules = {name: _module(name) for name in SUBCOMMANDS}
    listed = [f"  {name:{width}}{module.DESCRIPTION}" for name, module in modules.items()]
    examples = [module.EXAMPLES[0] for module in modules.values()]
    return "\n".join(
        [
            f"usage: {_PROGRAM} SUBCOMMAND [ARGUMENT…]",
            "",
            "Does things with images of Nix closures, before and after they are built.",
            "",
            *listed,
            "",
            _examples(examples),
            "",
            f"'{_PROGRAM} SUBCOMMAND --help' lists its arguments.\n",
        ]
    )
