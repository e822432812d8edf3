"""The one exception type for what a user can cause, and the one way to print it.

A message is one line: "error: " or "warning: ", then in a build where it is that something is
wrong ("in docker image app: "), then what is wrong, and behind a semicolon what to do. What
evaluation refuses begins in the same way (nix/checks/messages.nix).
"""

import sys
from typing import NoReturn

_beginning = ""


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
    print(f"error: {_beginning}{error}", file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Print one line of warning to stderr."""
    print(f"warning: {_beginning}{message}", file=sys.stderr, flush=True)


def die(message: str, *, hint: str) -> NoReturn:
    """Raise `UserError`: shorthand for the many places that only refuse input."""
    raise UserError(message, hint=hint)


def _remake(message: str, hint: str) -> UserError:
    return UserError(message, hint=hint)
