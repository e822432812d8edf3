"""Layers that lie in an image archive, passed on as they are."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from builders.compression.readers import CHUNK, FileRange, Reader, Section, open_file, read_ahead
from builders.compression.streams import NONE, open_decompressed
from builders.console.errors import UserError
from builders.tar.sinks import Sink
from builders.tar.tape import Tape


class ArchiveReader:
    """An archive from which layers are read; a context manager, which closes it.

    `path` is the archive's and `compression` what it is compressed with, in the words of
    builders.compression.streams; `what` names it in errors. An uncompressed archive is read
    anywhere; a compressed one from its start on, so that layers are best asked for in the order
    of their offsets. All methods raise `UserError` where the archive can't be read or is no longer
    the one that was planned.
    """

    def __init__(self, path: str, compression: str, *, what: str) -> None:
        self._path = path
        self._compression = compression
        self._what = what
        self._opened = ExitStack()
        self._file: tuple[int, int] | None = None
        self._tape: Tape | None = None

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self._opened.close()

    def copy(self, sink: Sink, offset: int, size: int, *, name: str) -> None:
        """Write the layer called `name`, `size` bytes from `offset` on, to `sink`."""
        if self._compression == NONE:
            file, end = self._open_file()
            if offset + size > end:
                raise self._changed(name)
            sink.copy_range(file, offset, size, self._path)
        else:
            for chunk in self.chunks(offset, size, name=name):
                sink.write(chunk)

    def chunks(self, offset: int, size: int, *, name: str) -> Iterator[bytes]:
        """Yield the bytes of the layer called `name` in pieces of 1 MiB or less.

        They have to be read before anything else is asked for.
        """
        left = size
        content = self._content(offset, size, name=name)
        while chunk := content.read(CHUNK):
            left -= len(chunk)
            yield chunk
        if left:
            raise self._changed(name)

    def _content(self, offset: int, size: int, *, name: str) -> Reader:
        if self._compression == NONE:
            file, end = self._open_file()
            if offset + size > end:
                raise self._changed(name)
            return FileRange(file, offset, offset + size, what=self._what)
        tape = self._tape
        if tape is None or tape.position > offset:
            tape = self._open_tape(name)
        if not tape.skip(offset - tape.position):
            raise self._changed(name)
        return Section(tape, size)

    def _open_file(self) -> tuple[int, int]:
        """Return the open file, and its size."""
        if self._file is None:
            self._file = self._opened.enter_context(open_file(self._path, what=self._what))
        return self._file

    def _open_tape(self, name: str) -> Tape:
        # There is no way back in a compressed stream but from its start.
        self._opened.close()
        found, stream = self._opened.enter_context(open_decompressed(self._path, what=self._what))
        if found != self._compression:
            raise self._changed(name)
        self._tape = Tape(self._opened.enter_context(read_ahead(stream)), what=self._what)
        return self._tape

    def _changed(self, name: str) -> UserError:
        return UserError(
            f"{self._what} no longer holds layer {name} where it was when the image was planned",
            hint="build the image again",
        )
