"""What is at the other end of the standard streams, and how text gets there."""

import fcntl
import os
import re
import sys
from contextlib import suppress
from typing import Final, TextIO

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""What moves the cursor, sets colours, turns the direction of writing, or is no text."""


def takes_output(fd: int) -> bool:
    """Whether the file descriptor `fd` can be written to.

    Where a shell starts a script with a closed stream, bash leaves the script itself in its place.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


def visible(text: str) -> str:
    """Return `text` as one line in which control characters are seen, and control nothing.

    Names in a base image are of whoever made it; in a terminal they could write over other lines.
    """
    return _UNSEEN.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a name that is not UTF-8.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def tell(text: str, *, end: str = "\n", stream: TextIO | None = None) -> None:
    """Write `text` to `stream`, by default stderr, if anybody takes it.

    Where stderr is closed, full or gone, that ends no work: what can't be shown is dropped.
    """
    stream = stream or sys.stderr
    try:
        try:
            print(text, end=end, file=stream, flush=True)
        except BlockingIOError:
            # Whoever shares the terminal may have set it so.
            os.set_blocking(stream.fileno(), True)
            stream.flush()
    except (OSError, ValueError):
        discard(stream)


def discard(stream: TextIO) -> None:
    """Let all that is written to `stream` go nowhere, what it holds back included.

    Else Python would fail again when it exits.
    """
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, stream.fileno())
        os.close(null)


class Shown:
    """A stream of bytes, text that a program says, which `tell` shows line by line."""

    def write(self, line: bytes) -> None:
        """Show a line."""
        tell(visible(line.decode(errors="replace").rstrip("\n")))

    def flush(self) -> None:
        """Do nothing: all is out."""
