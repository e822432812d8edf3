"""The entries of store-path layers: headers and contents, in large pieces.

This is where an image's time goes, once per file. So names stay the bytes that
the kernel gives, what headers share is laid out and summed up once, and a
header is a handful of pieces that are joined with many others.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.tar.header import (
    BLOCK,
    DIRECTORY,
    REGULAR,
    SYMLINK,
    Entry,
    Stamp,
    extended_header,
    pax_header,
    pax_record,
    type_of,
)
from builders.tar.sinks import OPEN_FLAGS, Sink, changed, unreadable

_CHUNK: Final = 1 << 18
"""Bytes that are joined before they are handed on."""

_NUL: Final = [bytes(count) for count in range(BLOCK + 1)]
_NAME: Final = 100
_NO_SIZE: Final = b"00000000000"
_NO_SIZE_SUM: Final = sum(_NO_SIZE)
_FILES_KEPT: Final = 1 << 14
"""Kinds of files whose headers are kept in mind: a few hundred bytes each."""


@dataclass(frozen=True)
class Group:
    """Names in one directory that follow each other in the layer.

    `prefix` is the directory's name with a slash at the end; `regular` has a byte for each name,
    zero where it is no regular file.
    """

    prefix: bytes
    names: Sequence[bytes]
    regular: bytes


class EntryWriter:
    """Writes entries to a sink. `size` counts the bytes."""

    def __init__(self, sink: Sink, stamp: Stamp) -> None:
        self._sink = sink
        self._copy_from = sink.copy_from
        self._stamp = stamp
        self._parts: list[bytes] = []
        self._pending = 0
        self._size = 0
        plain = pax_header(self.entry("", REGULAR, 0))
        # An owner or a time that doesn't fit a header gives every entry an extended one.
        self._extended = len(plain) > BLOCK
        self._owner = plain[107:124]
        self._mtime = b"\0" + plain[136:148]
        self._end = plain[257:]
        self._fixed_sum = sum(self._owner) + sum(self._mtime) + sum(self._end) + 8 * ord(" ")
        # Store paths have few modes, and extended headers few sizes.
        self._modes: dict[int, tuple[bytes, int]] = {}
        self._extended_headers: dict[int, bytes] = {}
        self._files: dict[tuple[int, int], _File] = {}
        self._checksums: dict[int, bytes] = {}

    def entry(self, name: str, kind: bytes, mode: int, size: int = 0, linkname: str = "") -> Entry:
        """Return an entry with this layer's owner and time."""
        return Entry(
            name=name,
            type=kind,
            mode=mode,
            uid=self._stamp.uid,
            gid=self._stamp.gid,
            mtime=self._stamp.mtime,
            size=size,
            linkname=linkname,
            uname=self._stamp.uname,
            gname=self._stamp.gname,
        )

    def put(self, data: bytes) -> None:
        """Add `data` to the layer."""
        self._parts.append(data)
        self._pending += len(data)

    @property
    def size(self) -> int:
        """Bytes of all that was added."""
        return self._size + self._pending

    def add(self, group: Group) -> None:
        """Add the entries of `group`."""
        directory = _Directory(group.prefix)
        for name, is_regular in zip(group.names, group.regular, strict=True):
            if is_regular:
                self._file(directory, name)
            else:
                self._other(directory, name)

    def flush(self) -> None:
        """Hand on what is held back."""
        self._sink.write(b"".join(self._parts))
        self._parts.clear()
        self._size += self._pending
        self._pending = 0

    def _file(self, directory: "_Directory", name: bytes) -> None:
        """Add a regular file: most of a closure, and so without a step that can be spared."""
        path = directory.prefix + name
        try:
            file = os.open(path, OPEN_FLAGS)
        except OSError as error:
            unreadable(os.fsdecode(path), error)
        try:
            status = os.fstat(file)
            mode = status.st_mode
            size = status.st_size
            known = self._files.get((mode, size)) or self._known_file(mode, size)
            copied = size >= self._copy_from
            data = b"" if copied else os.read(file, size + 1)
            if len(data) != size and not copied:
                data = _rest_of(file, data, size, path)
            if not (known.plain and directory.plain and name.isascii()):
                self._put_extended(path, REGULAR, mode, size, b"")
                self._parts += (data, known.padding)
            elif (length := len(path)) <= _NAME:
                checksum = known.sum + directory.sum + sum(name)
                self._parts += (
                    path,
                    _NUL[_NAME - length],
                    known.facts,
                    self._checksums.get(checksum) or self._checksum(checksum),
                    known.end,
                    data,
                    known.padding,
                )
                self._pending += BLOCK
            else:
                self._put_records(path, b"")
                start = path[:_NAME]
                checksum = known.sum + sum(start)
                self._parts += (
                    start,
                    known.facts,
                    self._checksums.get(checksum) or self._checksum(checksum),
                    known.end,
                    data,
                    known.padding,
                )
                self._pending += BLOCK
            self._pending += len(data) + len(known.padding)
            if copied:
                del self._parts[-1]
                self._pending -= len(known.padding)
                self.flush()
                self._sink.copy(file, size, os.fsdecode(path))
                self._size += size
                self.put(known.padding)
            elif self._pending >= _CHUNK:
                self.flush()
        finally:
            os.close(file)

    def _known_file(self, mode: int, size: int) -> "_File":
        """Return what the headers of all files of this mode and size have in common."""
        known = self._modes.get(mode) or self._mode(mode)
        octal = b"%011o" % size
        end = REGULAR + _NUL[_NAME] + self._end
        file = _File(
            facts=known[0] + octal + self._mtime,
            end=end,
            padding=_NUL[-size % BLOCK],
            sum=known[1] + sum(octal) + sum(REGULAR),
            plain=not self._extended and size < 8**11,
        )
        if len(self._files) >= _FILES_KEPT:
            self._files.clear()
        self._files[mode, size] = file
        return file

    def _checksum(self, checksum: int) -> bytes:
        """Return `checksum` as it stands in a header."""
        text = self._checksums[checksum] = b"%06o\0 " % checksum
        return text

    def _other(self, directory: "_Directory", name: bytes) -> None:
        """Add what is no regular file."""
        mode = os.lstat(directory.prefix + name).st_mode
        linkname = b""
        kind = mode & 0o170000
        if kind == 0o120000:
            flag = SYMLINK
            linkname = os.readlink(directory.prefix + name)
        elif kind == 0o040000:
            flag = DIRECTORY
            name += b"/"
        else:
            flag = _other_type(directory.prefix + name, mode)
        known = self._modes.get(mode) or self._mode(mode)

        length = directory.length + len(name)
        if self._extended or not directory.plain or not name.isascii() or not linkname.isascii():
            self._put_extended(directory.prefix + name, flag, mode, 0, linkname)
        elif length <= _NAME and len(linkname) <= _NAME:
            self._parts += (
                directory.prefix,
                name,
                _NUL[_NAME - length],
                known[0],
                _NO_SIZE,
                self._mtime,
                b"%06o\0 "
                % (
                    known[1]
                    + directory.sum
                    + sum(name)
                    + _NO_SIZE_SUM
                    + flag[0]
                    + (sum(linkname) if linkname else 0)
                ),
                flag,
                linkname,
                _NUL[_NAME - len(linkname)],
                self._end,
            )
            self._pending += BLOCK
        else:
            # What doesn't fit stands in an extended header before; here only its beginning.
            full = directory.prefix + name
            self._put_records(full, linkname)
            start = full[:_NAME]
            link_start = linkname[:_NAME]
            self._parts += (
                start,
                _NUL[_NAME - len(start)],
                known[0],
                _NO_SIZE,
                self._mtime,
                b"%06o\0 " % (known[1] + sum(start) + _NO_SIZE_SUM + flag[0] + sum(link_start)),
                flag,
                link_start,
                _NUL[_NAME - len(link_start)],
                self._end,
            )
            self._pending += BLOCK
        if self._pending >= _CHUNK:
            self.flush()

    def _put_records(self, name: bytes, linkname: bytes) -> None:
        """Add the extended header of an ASCII name or link that is too long for a plain one."""
        records = pax_record(b"path", name) if len(name) > _NAME else b""
        if len(linkname) > _NAME:
            records += pax_record(b"linkpath", linkname)
        size = len(records)
        header = self._extended_headers.get(size)
        if header is None:
            # Nothing but the size of its records differs from one to the next.
            header = self._extended_headers[size] = extended_header(size)
        self._parts += (header, records, _NUL[-size % BLOCK])
        self._pending += len(header) + size + -size % BLOCK

    def _put_extended(
        self, name: bytes, flag: bytes, mode: int, size: int, linkname: bytes
    ) -> None:
        entry = self.entry(os.fsdecode(name), flag, mode & 0o7777, size, os.fsdecode(linkname))
        self.put(pax_header(entry))

    def _mode(self, mode: int) -> tuple[bytes, int]:
        """Return mode and owner as they stand in a header, and the sum of all that is fixed."""
        digits = b"%07o" % (mode & 0o7777)
        known = self._modes[mode] = (digits + self._owner, sum(digits) + self._fixed_sum)
        return known


class _File:
    """What the headers of files of one mode and size have in common.

    `facts` is what stands between name and checksum, `end` what stands behind it, and `sum` the
    sum of both; `plain` tells whether they fit a header. `padding` goes behind the content.
    """

    __slots__ = ("end", "facts", "padding", "plain", "sum")

    def __init__(self, *, facts: bytes, end: bytes, padding: bytes, sum: int, plain: bool) -> None:
        self.facts = facts
        self.end = end
        self.padding = padding
        self.sum = sum
        self.plain = plain


class _Directory:
    """What the entries of one directory have in common.

    `prefix` is its name with a slash at the end, `sum` that of its bytes, and
    `plain` tells whether they are all ASCII.
    """

    __slots__ = ("length", "plain", "prefix", "sum")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.length = len(prefix)
        self.sum = sum(prefix)
        self.plain = prefix.isascii()


def _rest_of(file: int, data: bytes, size: int, path: bytes) -> bytes:
    """Return the `size` bytes of `file`, of which `data` are read."""
    while 0 < len(data) < size and (more := os.read(file, size + 1 - len(data))):
        data += more
    if len(data) != size:
        changed(os.fsdecode(path), size)
    return data


def _other_type(path: bytes, mode: int) -> bytes:
    known = type_of(mode)
    if known is None:
        die(
            f"{os.fsdecode(path)} is a socket, which no layer can hold",
            hint="remove it from the store path in the derivation that makes it",
        )
    return known
