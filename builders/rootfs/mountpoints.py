"""Directories that exist only while something is mounted on them."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from builders.console.errors import die

_Facts: TypeAlias = tuple[int, int, int]


@contextmanager
def mountpoints(root: str, paths: Sequence[str], *, what: str) -> Iterator[None]:
    """Make the directories `paths` (absolute names inside of `root`); remove them afterwards.

    What was there before stays, and so does one that has got another mode or owner meanwhile, or
    anything in it.
    Raises `UserError` where something else than a directory is in the way; `what` needs them.
    """
    made: list[tuple[str, _Facts]] = []
    try:
        for path in paths:
            at = root
            for part in path.strip("/").split("/"):
                at = os.path.join(at, part)
                try:
                    os.mkdir(at, 0o755)
                    made.append((at, _facts(at)))
                except FileExistsError:
                    if not stat.S_ISDIR(os.lstat(at).st_mode):
                        die(
                            f"{what} needs {at[len(root) :]} as a directory to mount "
                            f"{path} on, but the image has something else there",
                            hint="leave it out, or make it in a later layer",
                        )
        yield
    finally:
        for directory, facts in reversed(made):
            try:
                if _facts(directory) != facts:
                    continue
                os.rmdir(directory)
            except OSError:
                continue


def _facts(path: str) -> _Facts:
    status = os.lstat(path)
    return status.st_mode, status.st_uid, status.st_gid
