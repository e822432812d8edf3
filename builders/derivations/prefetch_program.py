"""Builds the package of one program: nix-prefetch-docker."""

import os
from dataclasses import dataclass

from builders.derivations import arguments


@dataclass(frozen=True)
class Arguments:
    """What prefetch_program takes.

    `python` is the interpreter, `library` this package, `program` the name of the file to make;
    `settings` are the arguments of builders.programs.nix_prefetch_docker before those of the user.
    """

    python: str
    library: str
    program: str
    settings: list[str]


def main(_: list[str]) -> None:
    """Write the program below the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    directory = os.path.join(build.out, "bin")
    os.makedirs(directory)
    path = os.path.join(directory, given.program)
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            # One word: the kernel passes on no more.
            f"#!{given.python} -IBXutf8\n"
            "import runpy\n"
            "import sys\n"
            "\n"
            f"sys.argv[1:1] = {['nix_prefetch_docker', *given.settings]!r}\n"
            f'runpy.run_path({given.library!r}, run_name="__main__")\n'
        )
    os.chmod(path, 0o555)
