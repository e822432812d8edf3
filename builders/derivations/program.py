"""Builds the package of one program: longshore, nix-prefetch-docker, or one of an image's own."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from builders.console.errors import writing
from builders.derivations import arguments

_COMPLETIONS = {
    "bash": "share/bash-completion/completions/{}",
    "fish": "share/fish/vendor_completions.d/{}.fish",
    "zsh": "share/zsh/site-functions/_{}",
}
"""Where shells look for them, below a package."""


@dataclass(frozen=True)
class Arguments:
    """What program takes.

    `python` is the interpreter, `library` this package, `program` the name of the file to make;
    `command` is the command of builders.__main__ and its arguments before those of the user, and
    `variables` are set in its environment where the user has set none of that name. With
    `image`, the fields of builders.formats.image_sources, the program is of that image alone. With
    `completions` there are files for the shells.
    """

    python: str
    library: str
    program: str
    command: list[str]
    variables: dict[str, str]
    image: dict[str, Any] | None
    completions: bool


def main(_: list[str]) -> None:
    """Write the program below the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    path = os.path.join(build.out, "bin", given.program)
    os.makedirs(os.path.dirname(path))
    variables = dict(given.variables)
    if given.image is not None:
        image = os.path.join(build.out, "share/longshore/image.json")
        os.makedirs(os.path.dirname(image))
        with writing(image), open(image, "w", encoding="utf-8") as file:
            json.dump(given.image, file, indent=2)
        variables |= {"LONGSHORE_PROGRAM": given.program, "LONGSHORE_IMAGE": image}
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            # One word: the kernel passes on no more.
            f"#!{given.python} -IBXutf8\n"
            "import os\n"
            "import runpy\n"
            "import sys\n"
            "\n"
            f"os.environ.update({{**{variables!r}, **os.environ}})\n"
            f"sys.argv[1:1] = {given.command!r}\n"
            f'runpy.run_path({given.library!r}, run_name="__main__")\n'
        )
    os.chmod(path, 0o555)
    if given.completions:
        for shell, name in _COMPLETIONS.items():
            target = os.path.join(build.out, name.format(given.program))
            os.makedirs(os.path.dirname(target))
            with open(target, "wb") as output:
                subprocess.run([path, "completion", shell], stdout=output, check=True)
