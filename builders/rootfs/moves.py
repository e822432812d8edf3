"""Files of a tree moved to other places in it, as the build's user, who is no root."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager


def redirect(place: str, old: str, new: str, *, top: str) -> None:
    """Let a relative link at `place` lead from the name `new` where it led from `old`.

    Nothing changes if it stays in the directory `top`, which is moved as a whole.
    """
    if not os.path.islink(place):
        return
    target = os.readlink(place)
    if target.startswith("/") or not _leaves(os.path.dirname(old)[len(top) :], target):
        return
    meant = os.path.normpath(f"/{os.path.dirname(old)}/{target}")
    status = os.lstat(place)
    with writable(os.path.dirname(place)):
        os.unlink(place)
        os.symlink(os.path.relpath(meant, f"/{os.path.dirname(new)}"), place)
    made = os.lstat(place)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        os.lchown(place, status.st_uid, status.st_gid)


def rename(place: str, new: str) -> None:
    """Move a file from one directory to another, whatever the modes of all three are."""
    with (
        writable(os.path.dirname(place)),
        writable(os.path.dirname(new)),
        writable(place, renamed=new),
    ):
        os.rename(place, new)


def _leaves(directory: str, target: str) -> bool:
    """Whether a relative link that lies `directory` deep in a tree climbs out of the tree."""
    depth = len([name for name in directory.split("/") if name])
    for name in target.split("/"):
        if name == "..":
            depth -= 1
        elif name not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


@contextmanager
def writable(path: str, *, renamed: str | None = None) -> Iterator[None]:
    """Let names in the directory `path` be changed for a while; `renamed` is where it is then.

    Directories from the store may be written to by nobody, not even to be moved.
    """
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode) or mode & 0o300 == 0o300:
        yield
        return
    os.chmod(path, stat.S_IMODE(mode) | 0o300)
    try:
        yield
    finally:
        os.chmod(renamed or path, stat.S_IMODE(mode))
