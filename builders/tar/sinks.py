"""Where the bytes of a tar stream go: a hash, a file descriptor, or both."""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from builders.console.errors import die

SENDFILE_FROM: Final = 1 << 20
"""Files of at least so many bytes are copied by the kernel; smaller ones are cheaper to join."""

_BUFFER: Final = 1 << 20
_SENDFILE_MAX: Final = 1 << 25
"""The kernel would copy 2 GiB in one call, and the progress line would stand still."""
_F_SETPIPE_SZ: Final = 1031
"""From linux/fcntl.h; `fcntl.F_SETPIPE_SZ` exists in CPython from 3.10, but not in every build."""


class Sink(Protocol):
    """Takes a tar stream; `written` counts its bytes."""

    written: int

    def write(self, data: bytes) -> None:
        """Take `data`."""

    def copy(self, path: str, size: int) -> None:
        """Take the `size` bytes of the file at `path`.

        Raises `UserError` where the file can't be read or has another size.
        """


class HashSink:
    """Hashes a stream with SHA-256 and keeps nothing of it."""

    def __init__(self) -> None:
        self.written = 0
        self._hash = hashlib.sha256()
        self._buffer = bytearray(_BUFFER)
        self._parts: list[bytes] = []
        self._pending = 0

    def write(self, data: bytes) -> None:
        """Take `data`."""
        # One update of many headers and small files: each call costs more than its bytes.
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _BUFFER:
            self._flush()

    def copy(self, path: str, size: int) -> None:
        """Take the `size` bytes of the file at `path`."""
        if size < _BUFFER // 4:
            self.write(_read_whole(path, size))
            return
        self._flush()
        file = _open(path)
        try:
            left = size
            view = memoryview(self._buffer)
            while left:
                count = os.readv(file, [view[: min(left, _BUFFER)]])
                if count == 0:
                    _changed(path, size)
                self._hash.update(view[:count])
                left -= count
            if os.read(file, 1):
                _changed(path, size)
        finally:
            os.close(file)
        self.written += size

    def digest(self) -> str:
        """Return the SHA-256 of all that was written, in hexadecimal."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(b"".join(self._parts))
        self.written += self._pending
        self._parts.clear()
        self._pending = 0


class FileSink:
    """Writes a stream to a file descriptor: a pipe, a socket or a file.

    Small pieces are joined to writes of about 1 MiB; large files go from the
    page cache into the descriptor without passing through this process.
    """

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
            _enlarge_pipe(fd)

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _BUFFER:
            self.flush()

    def copy(self, path: str, size: int) -> None:
        """Take the `size` bytes of the file at `path`."""
        if size < SENDFILE_FROM:
            self.write(_read_whole(path, size))
            return
        file = _open(path)
        try:
            if os.fstat(file).st_size != size:
                _changed(path, size)
            self.copy_range(file, 0, size, path)
        finally:
            os.close(file)

    def copy_range(self, file: int, offset: int, size: int, path: str) -> None:
        """Take `size` bytes from `offset` on of the open `file`; `path` names it in errors."""
        self.flush()
        end = offset + size
        while offset < end:
            count = self._send(file, offset, end - offset)
            if count == 0:
                _changed(path, size)
            offset += count
            self.written += count
            self._on_written(self.written)

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


def _enlarge_pipe(fd: int) -> None:
    """Let the pipe hold 1 MiB: fewer switches between writer and reader."""
    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _BUFFER)
    except OSError:
        # Beyond the user's share of pipe memory (pipe-user-pages-soft): only slower.
        return


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        _unreadable(path, error)


def _read_whole(path: str, size: int) -> bytes:
    file = _open(path)
    try:
        data = os.read(file, size + 1)
        while 0 < len(data) < size and (more := os.read(file, size + 1 - len(data))):
            data += more
    finally:
        os.close(file)
    if len(data) != size:
        _changed(path, size)
    return data


def _unreadable(path: str, error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        die(
            f"{path} is missing",
            hint="realise it again with 'nix-store --realise', or check the store with "
            "'nix-store --verify --check-contents --repair'",
        )
    die(f"can't read {path}: {error.strerror}", hint="make it readable for the build user")


def _changed(path: str, size: int) -> NoReturn:
    die(
        f"{path} no longer has the {size} bytes that it had when the image was planned",
        hint="check the store with 'nix-store --verify --check-contents --repair'",
    )
