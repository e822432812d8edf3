"""Streams of bytes as they lie in files: parts of them, looked at before they are read, ahead."""

import errno
import hashlib
import os
import queue
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final, Protocol

from builders.console.errors import die, remedy

CHUNK: Final = 1 << 20
"""Streams are best read in pieces of so many bytes."""

_PIECES_AHEAD: Final = 8
_ROOM: Final = "make room for it in the build directory"


class Reader(Protocol):
    """A stream of bytes.

    `read` returns at least one byte and at most `size`, or none at the end of
    the stream; less than `size` does not mean that the end is near.
    """

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


class FileRange:
    """The bytes of an open file from `start` up to `end`; many may share the file descriptor.

    `what` names the file in errors. A file that is shorter ends the stream early.
    """

    def __init__(self, fd: int, start: int, end: int, *, what: str) -> None:
        self._fd = fd
        self._position = start
        self._end = end
        self._what = what

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; raise `UserError` where the file can't be read."""
        try:
            data = os.pread(self._fd, min(size, self._end - self._position), self._position)
        except OSError as error:
            die(f"can't read {self._what}: {error.strerror}", hint="check the disk that it is on")
        self._position += len(data)
        return data

    def skip(self, size: int) -> int:
        """Pass over `size` bytes, or all there are; return how many they were."""
        count = min(size, self._end - self._position)
        self._position += count
        return count


class Section:
    """The next `size` bytes of another reader."""

    def __init__(self, source: Reader, size: int) -> None:
        self._source = source
        self.left = size

    def read(self, size: int, /) -> bytes:
        """Return the next bytes of the section."""
        if not self.left:
            return b""
        data = self._source.read(min(size, self.left))
        self.left -= len(data)
        return data


class Peekable:
    """Another reader, whose next bytes can be seen before they are read."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._seen = b""

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or all there are, and leave them to be read."""
        while len(self._seen) < size and (more := self._source.read(size - len(self._seen))):
            self._seen += more
        return self._seen[:size]

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        if not self._seen:
            return self._source.read(size)
        data, self._seen = self._seen[:size], self._seen[size:]
        return data


class Chunks:
    """A reader of bytes that come in pieces of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            if 0 < len(chunk) <= size:
                return chunk
            self._rest = memoryview(chunk)
        data, self._rest = self._rest[:size], self._rest[size:]
        return bytes(data)


class Tee:
    """Another reader, of which every byte that is read is written to an unbuffered file, too."""

    def __init__(self, source: Reader, file: BinaryIO) -> None:
        self._source = source
        self._file = file

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; raise `UserError` where there is no room for them in the file."""
        data = self._source.read(size)
        _write_all(self._file, data)
        return data


class HashingReader:
    """Another reader, of which every byte that is read is hashed and counted."""

    def __init__(self, source: Reader) -> None:
        self.size = 0
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def digest(self) -> str:
        """Return the SHA-256 of all that was read, in hexadecimal."""
        return self._hash.hexdigest()


@contextmanager
def read_ahead(source: Reader) -> Iterator[Reader]:
    """Give a reader of what a thread reads from `source` meanwhile, some MiB in advance.

    Decompressing lets go of the interpreter, so that one core does it while another one hashes.
    """
    pieces: queue.Queue[bytes | BaseException] = queue.Queue(_PIECES_AHEAD)
    stopped = threading.Event()

    def produce() -> None:
        piece: bytes | BaseException = b"more"
        while piece and not isinstance(piece, BaseException) and not stopped.is_set():
            try:
                piece = source.read(CHUNK)
            except BaseException as error:
                piece = error
            pieces.put(piece)

    def consume() -> Iterator[bytes]:
        while piece := pieces.get():
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield Chunks(consume())
    finally:
        stopped.set()
        while thread.is_alive():
            # It may wait for room.
            with suppress(queue.Empty):
                pieces.get_nowait()
            thread.join(0.001)


def copy_to_file(source: Reader, file: BinaryIO) -> int:
    """Write all of `source` to an unbuffered file; return how many bytes that were.

    Raises `UserError` where there is no room for it.
    """
    size = 0
    while data := source.read(CHUNK):
        _write_all(file, data)
        size += len(data)
    return size


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        die(
            f"can't write the decompressed file {file.name}: {error.strerror}",
            hint=_ROOM if error.errno == errno.ENOSPC else remedy(error, otherwise=_ROOM),
        )


@contextmanager
def open_file(path: str, *, what: str) -> Iterator[tuple[int, int]]:
    """Open the regular file at `path`, as file descriptor and size in bytes.

    Raises `UserError`, with `what` for its subject, where there is none or it can't be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        die(f"{what} does not exist", hint="check the path, and build or fetch the file")
    except OSError as error:
        die(
            f"can't read {what}: {error.strerror}",
            hint=remedy(error, otherwise="check the path, and make the file readable"),
        )
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            die(f"{what} is a directory", hint="give the path of a file")
        if not stat.S_ISREG(status.st_mode):
            die(f"{what} is no regular file", hint="write it to a file and give the path of that")
        yield fd, status.st_size
    finally:
        os.close(fd)
