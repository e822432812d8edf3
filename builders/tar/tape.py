"""A stream of bytes that is read in blocks, and whose position is known."""

from typing import Final

from builders.compression.readers import CHUNK, FileRange, Reader
from builders.console.errors import UserError

REMAKE: Final = "make or fetch it again"

_AHEAD: Final = 1 << 15
"""Headers are read in pieces of so many bytes: one call for many small files."""


class Tape:
    """A reader that knows its position and takes the end of the archive for an error.

    `what` names the archive in errors.
    """

    def __init__(self, source: Reader, *, what: str) -> None:
        self.position = 0
        self.what = what
        self._source = source
        self._ahead = b""
        self._next = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes, none at the end."""
        start = self._next
        data = self._ahead[start : start + size]
        if data:
            self._next = start + len(data)
        else:
            data = self._source.read(size)
        self.position += len(data)
        return data

    def read_all(self, size: int) -> bytes:
        """Return the next `size` bytes, less only at the end."""
        start = self._next
        end = start + size
        if end > len(self._ahead):
            self._fill(size)
            start, end = 0, size
        data = self._ahead[start:end]
        self._next = start + len(data)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Pass over `size` bytes; return False where the archive has less."""
        held = min(size, len(self._ahead) - self._next)
        self._next += held
        self.position += held
        if held == size:
            return True
        size -= held
        if isinstance(self._source, FileRange):
            skipped = self._source.skip(size)
            self.position += skipped
            return skipped == size
        end = self.position + size
        while self.position < end:
            if not self.read(min(CHUNK, end - self.position)):
                return False
        return True

    def cut_off(self, reason: str) -> UserError:
        """Return the error that the archive ends here, where it should not because of `reason`."""
        return UserError(
            f"{self.what} is cut off after {self.position} bytes, {reason}", hint=REMAKE
        )

    def _fill(self, size: int) -> None:
        """Hold `size` bytes or more, less only at the end."""
        parts = [self._ahead[self._next :]]
        missing = size - len(parts[0])
        while missing > 0 and (more := self._source.read(max(missing, _AHEAD))):
            parts.append(more)
            missing -= len(more)
        self._ahead = b"".join(parts)
        self._next = 0
