"""Builds this very package with its byte code, so that a stream script starts at once.

Without it every start would compile every module again: the store is read-only.
"""

import compileall
import os
import py_compile
import shutil
from dataclasses import dataclass

from builders import arguments


@dataclass(frozen=True)
class Arguments:
    """What compile_library takes: `source`, the directory that holds the package `builders`."""

    source: str


def main(_: list[str]) -> None:
    """Copy the package to the output and compile it there."""
    build = arguments.load()
    given = build.arguments(Arguments)
    shutil.copytree(
        os.path.join(given.source, "builders"),
        os.path.join(build.out, "builders"),
        copy_function=shutil.copyfile,
    )
    for directory, _, _ in os.walk(build.out):
        os.chmod(directory, 0o755)
    compileall.compile_dir(
        build.out,
        quiet=1,
        # Times of files say nothing in a store; there is nothing to check.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
