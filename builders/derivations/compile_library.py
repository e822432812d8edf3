"""Builds this very package with its byte code, so that a stream script starts at once.

Without it every start would compile every module again: the store is read-only.
"""

import compileall
import json
import os
import py_compile
import shutil
from dataclasses import dataclass

from builders.derivations import arguments


@dataclass(frozen=True)
class Arguments:
    """What compile_library takes.

    `source` is the directory that holds the package `builders`, `libdeflate` the library's file and
    `libdeflate_version` its version.
    """

    source: str
    libdeflate: str
    libdeflate_version: str


def main(_: list[str]) -> None:
    """Copy the package to the output and compile it there."""
    build = arguments.load()
    given = build.arguments(Arguments)
    shutil.copytree(
        os.path.join(given.source, "builders"),
        os.path.join(build.out, "builders"),
        copy_function=shutil.copyfile,
    )
    module = os.path.join(build.out, "builders/compression/libdeflate.py")
    substitute(module, '"libdeflate.so.0"', json.dumps(given.libdeflate))
    # The docstring has the word, too.
    substitute(module, 'Final = "unknown"', f"Final = {json.dumps(given.libdeflate_version)}")
    for directory, _, _ in os.walk(build.out):
        os.chmod(directory, 0o755)
    compileall.compile_dir(
        build.out,
        quiet=1,
        # Times of files say nothing in a store; there is nothing to check.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def substitute(path: str, old: str, new: str) -> None:
    """Replace `old`, which the file at `path` has once, by `new`."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        raise ValueError(f"{path} doesn't have {old} once")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
