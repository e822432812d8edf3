"""Where the bytes of a tar stream go: a hash, a file descriptor, or both."""

import errno
import fcntl
import hashlib
import os
import queue
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from builders.console.errors import die, remedy

_BUFFER: Final = 1 << 20
_STARVING: Final = 1 << 22
"""Bytes in memory that are too few to be sure that the hash will not have to wait."""
_FILES_AHEAD: Final = 1 << 8
"""Open files that may wait for the hash. They take no memory, but a process has few of them."""
_PIECE: Final = 1 << 18
"""Bytes of a file that are read and hashed at once: they stay in the processor's cache."""
_PLENTY: Final = 1 << 28
"""Bytes of files that keep the hash busy for long."""
_SENDFILE_MAX: Final = 1 << 25
"""The kernel would copy 2 GiB in one call, and the progress line would stand still."""
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_F_SETPIPE_SZ: Final = 1031
"""From linux/fcntl.h; `fcntl.F_SETPIPE_SZ` exists in CPython from 3.10, but not in every build."""
LEAVE_ALONE: Final = "leave the file alone while it is read, and start again"
"""What to do about a file that is missing or has changed, where no caller knows better."""


class Sink(ABC):
    """Takes a tar stream.

    A new kind has to define `write`. All else then works, and the kind may do it better. What comes
    by different methods is one stream, in the order of the calls.
    """

    copy_from: int = 1 << 18
    """Files of at least so many bytes are better copied than read and written."""

    shares_memory: bool = False
    """Whether `write_shared` is quicker than `splice`: where the stream ends in this process."""

    @property
    def wants_help(self) -> bool:
        """Whether, at the moment, helper processes should write a part of the stream."""
        return True

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take `data`."""

    def write_shared(self, data: memoryview) -> None:
        """Take `data`, which may change afterwards."""
        self.write(bytes(data))

    def copy(self, file: int, size: int, path: str, *, hint: str = LEAVE_ALONE) -> None:
        """Take the open `file`, which has `size` bytes.

        Raises `UserError` where it has fewer; `path` names the file then, and `hint` says what to
        do about it.
        """
        self.copy_range(file, 0, size, path, hint=hint)

    def copy_range(
        self, file: int, offset: int, size: int, path: str, *, hint: str = LEAVE_ALONE
    ) -> None:
        """Take `size` bytes from `offset` on of the open `file`; all else is as in `copy`."""
        end = offset + size
        while offset < end:
            data = os.pread(file, min(end - offset, _BUFFER), offset)
            if not data:
                changed(path, size, hint=hint)
            self.write(data)
            offset += len(data)

    def splice(self, pipe: int, size: int) -> bool:
        """Take `size` bytes out of the pipe `pipe`; return False where it has no more."""
        while size:
            data = os.read(pipe, min(size, _BUFFER))
            if not data:
                return False
            self.write(data)
            size -= len(data)
        return True

    def flush(self) -> None:  # noqa: B027
        """Pass on what is held back; nothing is, where a kind of sink doesn't say so."""


def copy_file(
    sink: Sink, path: str, size: int, *, whole: bool = True, hint: str = LEAVE_ALONE
) -> None:
    """Write the file at `path` to `sink`, or only its first `size` bytes where not `whole`.

    Raises `UserError` where it can't be read or has not `size` bytes; `hint` says what to do about
    a file that is missing or has changed.
    """
    file = _open(path, hint)
    try:
        found = os.fstat(file).st_size
        if found < size or (whole and found != size):
            changed(path, size, hint=hint)
        if size >= sink.copy_from:
            sink.copy(file, size, path, hint=hint)
        else:
            data = os.read(file, size)
            if len(data) != size:
                changed(path, size, hint=hint)
            sink.write(data)
    finally:
        os.close(file)


def sha256(path: str) -> str:
    """Return the SHA-256 of the file at `path`, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashSink(Sink):
    """Hashes a stream with SHA-256 and keeps nothing of it.

    A thread of its own does the hashing, for which the interpreter's lock is
    not needed, while the caller collects what comes next: a single large layer
    keeps more than one core busy. Large files are read by that thread, so that the caller
    may be far ahead of the hash without holding their bytes in memory. They are not mapped: a
    mapped file that is cut off kills the process that reads it.
    """

    # To hand over a file costs as much as to read some pages of it.
    copy_from = 1 << 18
    shares_memory = True

    def __init__(self, *, ahead: int = 1 << 26) -> None:
        """Up to `ahead` bytes in memory may wait for being hashed; with 0 there is no thread."""
        self._ahead = ahead
        self._hash = hashlib.sha256()
        self._queue: queue.SimpleQueue[bytes | _WaitingFile | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._room = threading.Condition()
        self._held = 0
        self._files = 0
        self._files_size = 0
        self._error: BaseException | None = None

    def write(self, data: bytes) -> None:
        """Take `data`."""
        if self._is_direct(len(data)):
            self._hash.update(data)
        else:
            self._put(data)

    def write_shared(self, data: memoryview) -> None:
        """Take `data`, which may change afterwards; what is hashed at once needs no copy."""
        if self._is_direct(len(data)):
            self._hash.update(data)
        else:
            self._put(bytes(data))

    def copy(self, file: int, size: int, path: str, *, hint: str = LEAVE_ALONE) -> None:
        """Take the open `file`, which has `size` bytes."""
        if not self._ahead:
            self._read(_WaitingFile(file, size, path, hint))
            return
        try:
            own = os.dup(file)
        except OSError:
            # Too many are open. Then they are read here, and wait in memory.
            self.copy_range(file, 0, size, path, hint=hint)
        else:
            self._put(_WaitingFile(own, size, path, hint))

    @property
    def wants_help(self) -> bool:
        """Whether the hash has so little before it that helpers should see to more."""
        return self._held < _STARVING and self._files < 4 and self._files_size < _PLENTY

    def digest(self) -> str:
        """Return the SHA-256 of all that was written, in hexadecimal.

        Raises `UserError` where a file had fewer bytes than it should have, as `write` and `copy`
        do soon afterwards.
        """
        if self._thread:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._error:
            raise self._error
        return self._hash.hexdigest()

    def _is_direct(self, size: int) -> bool:
        """Whether so many bytes are hashed by the caller, and not by the thread."""
        return not self._ahead or (self._thread is None and size < _BUFFER)

    def _put(self, data: "bytes | _WaitingFile") -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        with self._room:
            while self._held > self._ahead or self._files > _FILES_AHEAD:
                self._room.wait()
            self._count(data, 1)
        self._queue.put(data)
        if self._error:
            raise self._error

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            try:
                # After an error the rest is of no use, but who waits for room has to get it.
                if self._error is None:
                    self._update(data)
            except BaseException as error:
                self._error = error
            if not isinstance(data, bytes):
                os.close(data.file)
            with self._room:
                self._count(data, -1)
                self._room.notify()

    def _update(self, data: "bytes | _WaitingFile") -> None:
        if isinstance(data, bytes):
            self._hash.update(data)
        else:
            self._read(data)

    def _read(self, waiting: "_WaitingFile") -> None:
        piece = memoryview(bytearray(min(_PIECE, waiting.size)))
        offset = 0
        while offset < waiting.size:
            count = os.preadv(waiting.file, [piece[: waiting.size - offset]], offset)
            if not count:
                changed(waiting.path, waiting.size, hint=waiting.hint)
            self._hash.update(piece[:count])
            offset += count

    def _count(self, data: "bytes | _WaitingFile", sign: int) -> None:
        if isinstance(data, bytes):
            self._held += sign * len(data)
        else:
            self._files += sign
            self._files_size += sign * data.size


class _WaitingFile(NamedTuple):
    """An open file of which `size` bytes are to be hashed; the rest is as in `Sink.copy`."""

    file: int
    size: int
    path: str
    hint: str


class FileSink(Sink):
    """Writes a stream to a file descriptor: a pipe, a socket or a file.

    `written` counts the bytes that are out.
    Small pieces are joined to writes of about 1 MiB; large files go from the
    page cache into the descriptor without passing through this process.
    """

    # From some pages on it is quicker to hand the kernel's pages to the reader.
    copy_from = 1 << 15

    def __init__(self, fd: int, *, on_written: Callable[[int], None] = lambda _: None) -> None:
        """`on_written` is told, now and then, how many bytes have been written in all."""
        self.written = 0
        self._fd = fd
        self._on_written = on_written
        self._parts: list[bytes] = []
        self._pending = 0
        mode = os.fstat(fd).st_mode
        self._sendfile = True
        if stat.S_ISFIFO(mode):
            enlarge_pipe(fd)

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _BUFFER:
            self.flush()

    def copy_range(
        self, file: int, offset: int, size: int, path: str, *, hint: str = LEAVE_ALONE
    ) -> None:
        """Take `size` bytes from `offset` on of the open `file`."""
        self.flush()
        end = offset + size
        while offset < end:
            count = self._send(file, offset, end - offset)
            if count == 0:
                changed(path, size, hint=hint)
            offset += count
            self.written += count
            self._on_written(self.written)

    def splice(self, pipe: int, size: int) -> bool:
        """Take `size` bytes out of the pipe `pipe`; return False where it has no more."""
        self.flush()
        while size:
            count = self._splice(pipe, size)
            if count == 0:
                return False
            size -= count
            self.written += count
        self._on_written(self.written)
        return True

    def flush(self) -> None:
        """Write out what is still held back."""
        data = memoryview(b"".join(self._parts))
        self._parts.clear()
        self._pending = 0
        while data:
            count = os.write(self._fd, data)
            self.written += count
            data = data[count:]
        self._on_written(self.written)

    def _send(self, file: int, offset: int, size: int) -> int:
        if self._sendfile:
            try:
                return os.sendfile(self._fd, file, offset, min(size, _SENDFILE_MAX))
            except OSError as error:
                # A descriptor opened for appending, or one of a file system without splice.
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                self._sendfile = False
        return os.write(self._fd, os.pread(file, min(size, _BUFFER), offset))

    def _splice(self, pipe: int, size: int) -> int:
        if self._sendfile:
            try:
                return os.splice(pipe, self._fd, size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                self._sendfile = False
        data = os.read(pipe, min(size, _BUFFER))
        self._write_all(data)
        return len(data)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def enlarge_pipe(fd: int) -> None:
    """Let the pipe hold 1 MiB: fewer switches between writer and reader."""
    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _BUFFER)
    except OSError:
        # Beyond the user's share of pipe memory (pipe-user-pages-soft): only slower.
        return


def _open(path: str, hint: str) -> int:
    try:
        return os.open(path, OPEN_FLAGS)
    except OSError as error:
        unreadable(path, error, hint=hint)


def unreadable(path: str, error: OSError, *, hint: str) -> NoReturn:
    """Raise the `UserError` of a file that can't be opened; `hint` is for one that is missing."""
    if isinstance(error, FileNotFoundError):
        die(f"{path} is missing", hint=hint)
    die(
        f"can't read {path}: {error.strerror}",
        hint=remedy(error, otherwise="make it readable for the build user"),
    )


def changed(path: str, size: int, *, hint: str) -> NoReturn:
    """Raise the `UserError` of a file that does not have its `size` bytes."""
    die(f"{path} no longer has the {size} bytes that it had when the image was planned", hint=hint)
