"""Walking a tree in the order that GNU tar puts it into an archive with --sort=name."""

import os
import stat
from collections.abc import Callable, Iterator

from builders.layers.store_paths import list_entries


def walk(
    path: str, *, skip: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name and lstat of `path` and of all below it, directories before their contents.

    Symlinks are not followed; what `skip` is true of is left out with all that
    is below it. Raises `UserError` where a directory can't be read.
    """
    status = os.lstat(path)
    yield path, status
    if not stat.S_ISDIR(status.st_mode):
        return
    # A stack of iterators rather than recursion: how deep it goes is the author's choice.
    stack = [iter(_sorted(os.fsencode(path)))]
    while stack:
        for entry in stack[-1]:
            name = os.fsdecode(entry.path)
            if skip(name):
                continue
            yield name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                stack.append(iter(_sorted(entry.path)))
                break
        else:
            stack.pop()


def _sorted(directory: bytes) -> list["os.DirEntry[bytes]"]:
    return sorted(list_entries(directory), key=lambda entry: entry.name)
