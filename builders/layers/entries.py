"""The entries of store-path layers: headers and contents, in large pieces.

This is where an image's time goes, once per file. So names stay the bytes that
the kernel gives, what headers share is laid out and summed up once, and a
header is a handful of pieces that are joined with many others.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.tar.header import (
    BLOCK,
    DIRECTORY,
    REGULAR,
    SYMLINK,
    Attributes,
    Entry,
    extended_header,
    pax_header,
    pax_record,
    type_of,
    ustar_fields,
)
from builders.tar.sinks import LEAVE_ALONE, OPEN_FLAGS, Sink, changed, unreadable

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
    zero where it is no regular file. All of them get the `attributes`. `at` is where the directory
    lies, with a slash as well, if that is not where its name says.
    """

    prefix: bytes
    names: Sequence[bytes]
    regular: bytes
    attributes: Attributes
    at: bytes | None = None


class EntryWriter:
    """Writes entries to a sink. `size` counts the bytes.

    `hint` says what to do about a file that is missing or has changed.
    """

    def __init__(self, sink: Sink, *, hint: str = LEAVE_ALONE) -> None:
        self.hint = hint
        self._sink = sink
        self._copy_from = sink.copy_from
        self._parts: list[bytes] = []
        self._pending = 0
        self._size = 0
        self._attributes: Attributes | None = None
        self._headers: dict[Attributes, _Headers] = {}
        self._extended_headers: dict[int, bytes] = {}
        self._checksums: dict[int, bytes] = {}

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._pending += len(data)

    @property
    def size(self) -> int:
        """Bytes of all that was added."""
        return self._size + self._pending

    def add(self, group: Group) -> None:
        """Add the entries of `group`."""
        if group.attributes is not self._attributes:
            self._change_attributes(group.attributes)
        # A helper's sink may serve another kind of sink with each batch.
        self._copy_from = self._sink.copy_from
        directory = _Directory(group.prefix, group.at)
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

    def _change_attributes(self, attributes: Attributes) -> None:
        self._attributes = attributes
        if attributes not in self._headers:
            self._headers[attributes] = _Headers(attributes)
        self._common = self._headers[attributes]
        self._files = self._common.files
        self._modes = self._common.modes

    def _file(self, directory: "_Directory", name: bytes) -> None:
        """Add a regular file: most of a closure, and so without a step that can be spared."""
        path = directory.prefix + name
        try:
            file = os.open(path if directory.at is None else directory.at + name, OPEN_FLAGS)
        except OSError as error:
            unreadable(os.fsdecode(path), error, hint=self.hint)
        try:
            status = os.fstat(file)
            mode = status.st_mode
            size = status.st_size
            known = self._files.get((mode, size)) or self._common.file(mode, size)
            copied = size >= self._copy_from
            data = b"" if copied else os.read(file, size + 1)
            if len(data) != size and not copied:
                data = _rest_of(file, data, size, path, self.hint)
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
                self._sink.copy(file, size, os.fsdecode(path), hint=self.hint)
                self._size += size
                self._put(known.padding)
            elif self._pending >= _CHUNK:
                self.flush()
        finally:
            os.close(file)

    def _checksum(self, checksum: int) -> bytes:
        """Return `checksum` as it stands in a header."""
        text = self._checksums[checksum] = b"%06o\0 " % checksum
        return text

    def _other(self, directory: "_Directory", name: bytes) -> None:
        """Add what is no regular file."""
        common = self._common
        place = (directory.prefix if directory.at is None else directory.at) + name
        mode = os.lstat(place).st_mode
        linkname = b""
        kind = mode & 0o170000
        if kind == 0o120000:
            flag = SYMLINK
            linkname = os.readlink(place)
        elif kind == 0o040000:
            flag = DIRECTORY
            name += b"/"
        else:
            flag = _other_type(directory.prefix + name, mode)
        known = self._modes.get(mode) or common.mode(mode)

        length = directory.length + len(name)
        if common.extended or not directory.plain or not name.isascii() or not linkname.isascii():
            self._put_extended(directory.prefix + name, flag, mode, 0, linkname)
        elif length <= _NAME and len(linkname) <= _NAME:
            self._parts += (
                directory.prefix,
                name,
                _NUL[_NAME - length],
                known[0],
                _NO_SIZE,
                common.mtime,
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
                common.end,
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
                common.mtime,
                b"%06o\0 " % (known[1] + sum(start) + _NO_SIZE_SUM + flag[0] + sum(link_start)),
                flag,
                link_start,
                _NUL[_NAME - len(link_start)],
                common.end,
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
        entry = self._common.entry(
            os.fsdecode(name), flag, mode, size=size, linkname=os.fsdecode(linkname)
        )
        self._put(pax_header(entry))


class _Headers:
    """What the headers of all entries with the same attributes have in common.

    `mtime` is what stands between the digits of the size and the checksum, `end` what stands behind
    the name of a link. `extended` tells whether each entry has an extended header: for an
    owner or a time that doesn't fit a plain one, or for extended attributes.
    """

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes
        header = pax_header(self.entry("", REGULAR, 0))
        fields = ustar_fields(header)
        self.extended = len(header) > BLOCK
        self.mtime = b"\0" + fields.mtime
        self.end = fields.rest
        self._owner = b"\0" + fields.uid + fields.gid
        self._sum = sum(self._owner) + sum(self.mtime) + sum(self.end) + 8 * ord(" ")
        # Store paths have few modes.
        self.modes: dict[int, tuple[bytes, int]] = {}
        self.files: dict[tuple[int, int], _File] = {}

    def entry(
        self, name: str, kind: bytes, mode: int, *, size: int = 0, linkname: str = ""
    ) -> Entry:
        """Return the entry of a file of `st_mode` `mode`."""
        attributes = self._attributes
        return Entry(
            name=name,
            type=kind,
            mode=self._permissions(mode),
            uid=attributes.owner.uid,
            gid=attributes.owner.gid,
            mtime=attributes.mtime,
            size=size,
            linkname=linkname,
            uname=attributes.owner.uname,
            gname=attributes.owner.gname,
            xattrs=attributes.xattrs,
        )

    def file(self, mode: int, size: int) -> "_File":
        """Return what the headers of all regular files of this mode and size have in common."""
        known = self.modes.get(mode) or self.mode(mode)
        octal = b"%011o" % size
        file = _File(
            facts=known[0] + octal + self.mtime,
            end=REGULAR + _NUL[_NAME] + self.end,
            padding=_NUL[-size % BLOCK],
            sum=known[1] + sum(octal) + sum(REGULAR),
            plain=not self.extended and size < 8**11,
        )
        if len(self.files) >= _FILES_KEPT:
            self.files.clear()
        self.files[mode, size] = file
        return file

    def mode(self, mode: int) -> tuple[bytes, int]:
        """Return mode and owner as they stand in a header, and the sum of all that is fixed."""
        digits = b"%07o" % self._permissions(mode)
        known = self.modes[mode] = (digits + self._owner, sum(digits) + self._sum)
        return known

    def _permissions(self, mode: int) -> int:
        given = self._attributes.mode
        return mode & 0o7777 if given is None or stat.S_ISLNK(mode) else given & 0o7777


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
    `plain` tells whether they are all ASCII. `at` is as in `Group`.
    """

    __slots__ = ("at", "length", "plain", "prefix", "sum")

    def __init__(self, prefix: bytes, at: bytes | None) -> None:
        self.prefix = prefix
        self.at = at
        self.length = len(prefix)
        self.sum = sum(prefix)
        self.plain = prefix.isascii()


def _rest_of(file: int, data: bytes, size: int, path: bytes, hint: str) -> bytes:
    """Return the `size` bytes of `file`, of which `data` are read."""
    while 0 < len(data) < size and (more := os.read(file, size + 1 - len(data))):
        data += more
    if len(data) != size:
        changed(os.fsdecode(path), size, hint=hint)
    return data


def _other_type(path: bytes, mode: int) -> bytes:
    known = type_of(mode)
    if known is None:
        die(
            f"{os.fsdecode(path)} is a socket, which no layer can hold",
            hint="remove it where the rest of the tree is made",
        )
    return known
