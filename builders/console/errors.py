"""The one exception type for what a user can cause, and the one way to print it.

A message is one line: "error: " or "warning: ", then in a build where it is that something is
wrong ("in docker image app: "), then what is wrong, and behind a semicolon what to do. What
evaluation refuses begins in the same way (nix/checks/messages.nix).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from builders.console.terminal import tell, visible

_beginning = ""

_LONGEST: Final = 4000
"""Characters of a message. Names that others chose have any number."""
_ROOM: Final = "make room on that disk, and try again"
_MEMORY: Final = "give it more memory, or fewer cores to use"
_REMEDIES: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or use another file system",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files (fs.file-max)",
    errno.ENOMEM: _MEMORY,
    errno.EIO: "check the disk",
    errno.EPIPE: "see why the program that reads the output ended",
    errno.EROFS: "see to the file system, which can't be written to",
}
"""What is wrong with the machine and not with a file, and what to do about it."""


def begin_messages(where: str) -> None:
    """Let errors and warnings of this process and its forks say first `where` something is wrong.

    A build serves one image: no code below it need know the image's name.
    """
    global _beginning
    _beginning = f"{where}: " if where else ""


class UserError(Exception):
    """A failure that the user of Longshore can mend.

    `message` says what is wrong and where (which option, file or part of an image);
    `hint` says what to do about it. Both are parts of one line: no newline, no
    full stop at the end.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Crosses process borders, where exceptions are made again from `args` alone.
        return _remake, self.args

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}".replace("\n", " ")


def print_error(error: UserError) -> None:
    """Print the one line of an error to stderr."""
    tell(f"error: {_shortened(visible(f'{_beginning}{error}'))}")


def warn(message: str) -> None:
    """Print one line of warning to stderr."""
    tell(f"warning: {_shortened(visible(f'{_beginning}{message}'))}")


def _shortened(line: str) -> str:
    """Return a line of at most `_LONGEST` characters: the end, too, says what to do."""
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]}…{line[-_LONGEST // 2 :]}"


def die(message: str, *, hint: str) -> NoReturn:
    """Raise `UserError`: shorthand for the many places that only refuse input."""
    raise UserError(message, hint=hint)


def remedy(error: OSError, *, otherwise: str) -> str:
    """Return what to do about `error`: of the machine's limits what helps, else `otherwise`."""
    return _REMEDIES.get(error.errno or 0, otherwise)


def explained(error: BaseException) -> UserError | None:
    """Return what to print of an error that nobody expected; None where it is a bug.

    A disk may be full, and memory or another thing that machines have some of may run out, wherever
    a program is.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        return UserError("there is not enough memory", hint=_MEMORY)
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        names = (error.filename, error.filename2)
        where = " to ".join(os.fsdecode(name) for name in names if isinstance(name, str | bytes))
        message = f"{where}: {error.strerror}" if where else f"{error.strerror}"
        return UserError(message, hint=_REMEDIES[error.errno])
    return None


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Name `what` is being written in errors of the machine, which don't know it themselves."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise UserError(
            f"can't write {what}: {error.strerror}", hint=_REMEDIES[error.errno]
        ) from None


def _remake(message: str, hint: str) -> UserError:
    return UserError(message, hint=hint)
