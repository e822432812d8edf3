"""Parts of blobs, as clients ask for them who go on after a cut connection.

Source: RFC 9110, section 14 ("Range Requests").
"""

import re
from dataclasses import dataclass

from builders.tar.sinks import LEAVE_ALONE, Sink


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` on up to `end`, which is not among them."""

    start: int
    end: int


def read_range(header: str | None, size: int) -> ByteRange | None:
    """Return the part of a blob of `size` bytes that a Range header asks for, None for all of it.

    What is no single range of bytes is left out of account, as the source has it. Raises
    `ValueError` where the blob has nothing of the range.
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        # The last bytes.
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        if found[2] and int(found[2]) < start:
            return None
        end = min(int(found[2]) + 1, size) if found[2] else size
    if start >= end:
        raise ValueError(f"no bytes of {size} in {header}")
    return ByteRange(start, end)


class RangeWrittenError(Exception):
    """All of a part is written, and the rest need not be made."""


class RangeSink(Sink):
    """Passes a part of a stream on to `target`, and raises `RangeWrittenError` where more comes."""

    def __init__(self, target: Sink, part: ByteRange) -> None:
        self.copy_from = target.copy_from
        self._target = target
        self._part = part
        self._position = 0

    def write(self, data: bytes) -> None:
        """Take `data`."""
        start, end = self._overlap(len(data))
        if (start, end) == (0, len(data)):
            self._target.write(data)
        elif start < end:
            self._target.write(data[start:end])

    def copy_range(
        self, file: int, offset: int, size: int, path: str, *, hint: str = LEAVE_ALONE
    ) -> None:
        """Take `size` bytes from `offset` on of the open `file`."""
        start, end = self._overlap(size)
        if start < end:
            self._target.copy_range(file, offset + start, end - start, path, hint=hint)

    def _overlap(self, size: int) -> tuple[int, int]:
        """Go on by `size` bytes, and return from where to where they are in the part."""
        before = self._position
        if before >= self._part.end:
            raise RangeWrittenError
        self._position += size
        start = max(self._part.start - before, 0)
        return min(start, size), min(self._part.end - before, size)
