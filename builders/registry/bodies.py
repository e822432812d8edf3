"""The bytes of a blob, to be read from anywhere on, as requests need them.

Contents write themselves into a sink; a request asks for its next bytes. Between the two lies a
queue of a few pieces, so that a blob of any size takes little memory.
"""

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from builders.blobs.source import Blob
from builders.console.errors import UserError, die, explained, remedy
from builders.layers.resources import Resources
from builders.tar.sinks import OPEN_FLAGS, Sink

_PIECE: Final = 1 << 18
"""Bytes that are handed on at a time."""
_WAITING: Final = 8
"""Pieces that may wait."""


class Bytestream(ABC):
    """A blob of `size` bytes with the `digest`."""

    digest: str
    size: int

    @abstractmethod
    def read(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `offset` on.

        Raises `UserError` where they can't be had or are not those that the digest is of.
        """


@dataclass(frozen=True)
class InMemory(Bytestream):
    """A document."""

    digest: str
    data: bytes

    @property
    def size(self) -> int:  # type: ignore[override]
        """The bytes that there are."""
        return len(self.data)

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """Yield them."""
        yield self.data[offset:]


@dataclass(frozen=True)
class InFile(Bytestream):
    """A file of our own at `path`, whose digest is known since it was written."""

    digest: str
    size: int
    path: str

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """Yield what is in the file."""
        try:
            file = os.open(self.path, OPEN_FLAGS)
        except OSError as error:
            die(f"can't read {self.path}: {error.strerror}", hint=remedy(error, otherwise="retry"))
        try:
            while piece := os.pread(file, _PIECE, offset):
                yield piece
                offset += len(piece)
        finally:
            os.close(file)


class Made(Bytestream):
    """A blob that is made while it is read."""

    def __init__(
        self,
        blob: Blob,
        *,
        threads: int,
        hint: str,
        changed: Callable[[], UserError],
        places: Mapping[str, str] | None = None,
    ) -> None:
        """`hint` says what to do about files that have changed; `places` are where they lie.

        `changed` makes the failure for bytes of another digest.
        """
        self.digest = blob.descriptor.digest
        self.size = blob.descriptor.size
        self._blob = blob
        self._threads = threads
        self._hint = hint
        self._places = places
        self._changed = changed

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """Make all of it, and yield what is behind `offset`, the end once the digest is right."""
        hashed = hashlib.sha256()
        position = 0
        with closing(self._made()) as pieces:
            for piece in pieces:
                hashed.update(piece)
                position += len(piece)
                if position > self.size:
                    raise self._changed()
                if position == self.size and f"sha256:{hashed.hexdigest()}" != self.digest:
                    raise self._changed()
                if position > offset:
                    yield piece[max(0, offset - (position - len(piece))) :]
        if position != self.size:
            raise self._changed()

    def _made(self) -> Generator[bytes, None, None]:
        queue = _Queue()

        def produce() -> None:
            try:
                with Resources(
                    helpers=0, threads=self._threads, hint=self._hint, places=self._places
                ) as resources:
                    self._blob.content.write(queue, resources)
                queue.flush()
                queue.end(None)
            except _StoppedError:
                pass
            except BaseException as error:
                # An OSError would be taken for one of the connection.
                queue.end(explained(error) or error)

        thread = threading.Thread(target=produce, daemon=True)
        thread.start()
        try:
            yield from queue.pieces()
        finally:
            queue.stop()
            thread.join()


class _StoppedError(Exception):
    """Nobody reads any more."""


class _Queue(Sink):
    """Takes a stream in one thread and gives it to another one."""

    wants_help = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._pending = 0
        self._pieces: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def write(self, data: bytes) -> None:
        """Take `data`; wait while there is much of it."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Pass on what is held back."""
        piece = b"".join(self._parts)
        self._parts, self._pending = [], 0
        with self._changed:
            self._changed.wait_for(lambda: len(self._pieces) < _WAITING or self._stopped)
            if self._stopped:
                raise _StoppedError
            if piece:
                self._pieces.append(piece)
            self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        """Say that nothing follows, or that `error` came in between."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Say that nobody reads any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def pieces(self) -> Iterator[bytes]:
        """Yield what comes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._ended)
                if not self._pieces:
                    if self._error:
                        raise self._error
                    return
                piece = self._pieces.popleft()
                self._changed.notify_all()
            yield piece
