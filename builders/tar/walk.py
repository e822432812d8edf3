"""Walking a tree in the order of an archive."""

import os
import stat
from collections.abc import Callable, Iterator

from builders.tar.store_layer import sorted_entries


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
    stack = [iter(sorted_entries(os.fsencode(path)))]
    while stack:
        for entry in stack[-1]:
            name = os.fsdecode(entry.path)
            if skip(name):
                continue
            yield name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                stack.append(iter(sorted_entries(entry.path)))
                break
        else:
            stack.pop()
