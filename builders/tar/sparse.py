"""Where the data of a sparse file lie in an archive: its map, read by libarchive.

There are four forms of such maps: GNU tar's own, in the header and in blocks that continue it,
and three of its pax forms, of which 0.0 and 0.1 are in pax records and 1.0 stands before the
data. libarchive knows them all, and gives data as blocks with offsets. It checks neither that
blocks follow each other nor that the archive has as many bytes, so that this is done here.

libarchive sees the map, and no byte of the data: it gets zeros in their place. Names it does not
see, since it would change those that are not in Unicode's normal form C.
Sources: GNU tar manual, "Storing Sparse Files"; archive_read_data(3).
"""

import ctypes
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from libarchive import ffi
from libarchive.exception import ArchiveError

from builders.tar.header import (
    BLOCK,
    GNU_MAGIC,
    REGULAR,
    SPARSE,
    Entry,
    checksum,
    extended_header,
    gnu_header,
    padding,
    pax_record,
)
from builders.tar.member import Extent
from builders.tar.tape import Tape

# Its warnings are errors here, and said as such.
ffi.logger.disabled = True

_MAP_LIMIT: Final = 1 << 20
"""Bytes of a map that are read; some 50,000 extents take as many."""
_STORED_LIMIT: Final = 1 << 44
"""Bytes of data that a sparse file may have."""
_MAGIC: Final = slice(257, 265)
_MAP_FIELDS: Final = 345
"""From here on a header of GNU tar's has what only sparse files need."""
_SIZES: Final = frozenset(("GNU.sparse.size", "GNU.sparse.realsize"))
_ZEROS: Final = 1 << 26
"""Bytes that stand for data at once. None of them is touched, so that they take no memory."""


class SparseMapError(Exception):
    """A map is damaged; the text says how."""


def read_map(
    header: bytes, records: Sequence[tuple[str, bytes]], stored: int, tape: Tape
) -> tuple[int, tuple[Extent, ...]]:
    """Return the size of a sparse file and where its data belong, in the order of the archive.

    `header` is the block on `tape` just read, `records` are its pax records that begin with
    GNU.sparse, and `stored` is the size in the header: of the data, with the map of pax 1.0.
    Afterwards the tape is where the data start. Raises `SparseMapError`, and `UserError` where
    the archive is cut off within the map.
    """
    if not records and header[_MAGIC] != GNU_MAGIC:
        raise SparseMapError("is in a header that is not GNU tar's")
    if records and not _SIZES & dict(records).keys():
        raise SparseMapError("has no size")
    if stored > _STORED_LIMIT:
        raise SparseMapError(f"goes with {stored} bytes of data")
    start = tape.position
    extents: list[Extent] = []
    left = stored
    # A byte more than there is, so that libarchive doesn't keep silent about what claims it.
    with _Map(_headers(header, records, stored + 1), tape) as found:
        size = found.size
        if records:
            left -= tape.position - start
        if size < 0:
            raise SparseMapError("has no size")
        for extent in found.blocks():
            left -= extent.size
            if left < 0:
                raise SparseMapError("has more data than the archive")
            _add(extents, extent, size)
    if left:
        raise SparseMapError("has less data than the archive")
    return size, tuple(extents)


def _add(extents: list[Extent], new: Extent, size: int) -> None:
    last = extents[-1] if extents else Extent(0, 0)
    if new.start < last.end:
        raise SparseMapError("goes back")
    if new.end > size:
        raise SparseMapError(f"goes beyond the file's {size} bytes")
    if extents and new.start == last.end:
        extents[-1] = Extent(last.start, last.size + new.size)
    else:
        extents.append(new)


def _headers(header: bytes, records: Sequence[tuple[str, bytes]], stored: int) -> bytes:
    """Return headers with the same map, of a member with another name and size."""
    entry = Entry("sparse", REGULAR if records else SPARSE, 0, 0, 0, 0, size=stored)
    block = gnu_header(entry)
    if records:
        data = b"".join(pax_record(os.fsencode(key), value) for key, value in records)
        return extended_header(len(data)) + data + bytes(padding(len(data))) + block
    block = block[:_MAP_FIELDS] + header[_MAP_FIELDS:]
    return block[:148] + b"%06o\0 " % checksum(block) + block[156:]


class _Map:
    """A sparse file as libarchive reads it; a context manager, which frees what that needs."""

    size: int

    def __init__(self, headers: bytes, tape: Tape) -> None:
        self._tape = tape
        self._start = tape.position
        self._headers = headers
        self._zeros: Any = None
        self._error: BaseException | None = None
        # libarchive has pointers to both, so that they have to stay.
        self._piece: Any = None
        self._callback: Any = ffi.READ_CALLBACK(self._read)

    def __enter__(self) -> Self:
        """Read the map."""
        self._archive = ffi.read_new()
        self._entry = ffi.entry_new()
        try:
            ffi.read_support_filter_none(self._archive)
            ffi.read_support_format_tar(self._archive)
            # Null pointers: there is nothing to open or close.
            opened, closed = ffi.OPEN_CALLBACK(), ffi.CLOSE_CALLBACK()
            self._call(ffi.read_open, None, opened, self._callback, closed)
            self._call(ffi.read_next_header2, self._entry)
            self.size = ffi.entry_size(self._entry)
        except BaseException:
            self._free()
            raise
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Free what was needed."""
        self._free()

    def blocks(self) -> Iterator[Extent]:
        """Yield where data belong: an extent at a time, or a piece of one."""
        self._zeros = (ctypes.c_char * _ZEROS).from_buffer(mmap.mmap(-1, _ZEROS))
        data, size, start = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_longlong()
        while self._call(ffi.read_data_block, data, size, start) != ffi.ARCHIVE_EOF:
            if size.value:
                yield Extent(start.value, size.value)

    def _call(self, function: Callable[..., int], *arguments: object) -> int:
        try:
            status = function(self._archive, *arguments)
        except ArchiveError as error:
            raise self._error or SparseMapError(f"can't be read: {error.msg}") from None
        if status == ffi.ARCHIVE_WARN:
            raise SparseMapError("can't be read whole")
        return status

    def _read(self, _archive: int, _client: object, pointer: Any) -> int:
        """Point libarchive to its next bytes; return how many there are, -1 for an error."""
        try:
            self._piece = self._next()
        # What is raised here would come out nowhere.
        except BaseException as error:
            self._error = error
            return -1
        pointer[0] = ctypes.addressof(self._piece)
        return ctypes.sizeof(self._piece)

    def _next(self) -> Any:
        if self._zeros is not None:
            return self._zeros
        data, self._headers = self._headers, b""
        if not data:
            # Block by block, so that the tape is where the data start.
            if self._tape.position - self._start >= _MAP_LIMIT:
                raise SparseMapError(f"has more than {_MAP_LIMIT} bytes")
            data = self._tape.read_all(BLOCK)
            if len(data) < BLOCK:
                raise self._tape.cut_off("within the map of a sparse file")
        return ctypes.create_string_buffer(data, len(data))

    def _free(self) -> None:
        ffi.entry_free(self._entry)
        ffi.read_free(self._archive)
        # It refers to this object; a cycle would stay until the next garbage collection.
        self._callback = self._zeros = self._piece = None
