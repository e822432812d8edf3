"""A directory for the files of one run, which the next run removes where this one is killed."""

import fcntl
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from builders.console.errors import die, remedy

_LOCK = "lock"


@contextmanager
def spool_directory(prefix: str) -> Iterator[str]:
    """Make a directory, and remove it in the end with what others of this user left behind.

    Raises `UserError` where none can be made. Nobody holds the lock in a directory of a process
    that is no more.
    """
    _remove_abandoned(prefix)
    path, lock = _make(prefix)
    try:
        yield path
    finally:
        _remove(path)
        os.close(lock)


def _make(prefix: str) -> tuple[str, int]:
    try:
        while True:
            path = tempfile.mkdtemp(prefix=prefix)
            lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have looked before it was held.
            if os.fstat(lock).st_nlink:
                return path, lock
            os.close(lock)
    except OSError as error:
        die(
            f"can't make a directory for temporary files: {error.strerror}",
            hint=remedy(error, otherwise="set TMPDIR to a directory that you may write to"),
        )


def _remove_abandoned(prefix: str) -> None:
    with suppress(OSError):
        pattern = os.path.join(glob.escape(tempfile.gettempdir()), f"{prefix}*")
        for path in glob.glob(pattern):
            with suppress(OSError):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: str) -> None:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    finally:
        os.close(lock)


def _remove(path: str) -> None:
    """Remove a directory; directories of store paths in it can't be written to."""
    for directory, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(directory, 0o700)
    shutil.rmtree(path, ignore_errors=True)
