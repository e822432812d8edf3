"""Store-path layers: the tar stream of a list of store paths.

The rules are the reference streamer's, to the byte (design.md, "Byte rules of
a store-path layer"): pax format, absolute names, `/nix` and `/nix/store`
first, each directory's names sorted by code point before descending, every
entry with the same owner and time, hard links as files of their own.

This is where an image's time goes, once per file. So names stay the bytes that
the kernel gives, what headers share is laid out and summed up once, and a
header is a handful of pieces that are joined with many others.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from builders.console.errors import UserError, die
from builders.tar.header import (
    BLOCK,
    DIRECTORY,
    REGULAR,
    SYMLINK,
    Entry,
    Stamp,
    end_of_archive,
    extended_header,
    pax_header,
    pax_record,
    type_of,
)
from builders.tar.sinks import OPEN_FLAGS, HashSink, Sink, changed, unreadable

_PARENT_MODE: Final = 0o755

_CHUNK: Final = 1 << 18
"""Bytes that are joined before they are handed on."""

_NUL: Final = [bytes(count) for count in range(BLOCK + 1)]
_NAME: Final = 100
_NO_SIZE: Final = b"00000000000"
_NO_SIZE_SUM: Final = sum(_NO_SIZE)
_FILES_KEPT: Final = 1 << 14
"""Kinds of files whose headers are kept in mind: a few hundred bytes each."""


def write_store_layer(sink: Sink, paths: Sequence[str], *, stamp: Stamp, store_dir: str) -> int:
    """Write the layer of the store paths `paths`, in that order; return its size in bytes.

    Raises `UserError` for a path that is missing, unreadable or of a kind that
    no store path may hold.
    """
    writer = _LayerWriter(sink, stamp)
    for directory in parents(store_dir):
        writer.put(pax_header(writer.entry(f"{directory}/", DIRECTORY, _PARENT_MODE)))
    for path in paths:
        writer.tree(os.fsencode(path))
    return writer.finish()


def hash_store_layer(
    paths: Sequence[str], *, stamp: Stamp, store_dir: str, ahead: int = 1 << 26
) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, and the size in bytes of the layer of `paths`.

    Up to `ahead` bytes of it are held in memory.
    """
    sink = HashSink(ahead=ahead)
    size = write_store_layer(sink, paths, stamp=stamp, store_dir=store_dir)
    return sink.digest(), size


def parents(store_dir: str) -> Iterator[str]:
    """Yield the store directory's own parents and itself: `/nix`, then `/nix/store`."""
    at = 0
    while (at := store_dir.find("/", at + 1)) != -1:
        yield store_dir[:at]
    yield store_dir


class _LayerWriter:
    """Writes the entries of one layer to a sink, in large pieces."""

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

    def finish(self) -> int:
        """Write the end of the archive; return the layer's size in bytes."""
        self.put(end_of_archive(self._size + self._pending))
        self._flush()
        return self._size

    def tree(self, path: bytes) -> None:
        """Add the file, symlink or directory at `path`, with all that is below it."""
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            raise UserError(
                f"store path {os.fsdecode(path)} is missing",
                hint="realise it with 'nix-store --realise', or build the image again",
            ) from None
        parent, name = os.path.split(path)
        directory = _Directory(parent + b"/")
        if stat.S_ISREG(status.st_mode):
            self._file(directory, name)
            return
        self._add(directory, name, status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            self._below(path)

    def _below(self, path: bytes) -> None:
        # A stack of iterators rather than recursion: how deep it goes is the closure's choice.
        directory = _Directory(path + b"/")
        stack = [(directory, iter(sorted_entries(path)))]
        while stack:
            directory, entries = stack[-1]
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    self._file(directory, entry.name)
                    continue
                status = entry.stat(follow_symlinks=False)
                self._add(directory, entry.name, status.st_mode)
                if entry.is_dir(follow_symlinks=False):
                    path = directory.prefix + entry.name
                    stack.append((_Directory(path + b"/"), iter(sorted_entries(path))))
                    break
            else:
                stack.pop()

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
                self._flush()
                self._sink.copy(file, size, os.fsdecode(path))
                self._size += size
                self.put(known.padding)
            elif self._pending >= _CHUNK:
                self._flush()
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

    def _add(self, directory: "_Directory", name: bytes, mode: int) -> None:
        """Add what is no regular file."""
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
            self._flush()

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

    def _flush(self) -> None:
        self._sink.write(b"".join(self._parts))
        self._parts.clear()
        self._size += self._pending
        self._pending = 0


class _File:
    """What the headers of files of one mode and size have in common.

    `facts` is what stands between name and checksum, `end` what stands behind it, and `sum` the sum of
    both; `plain` tells whether they fit a header. `padding` goes behind the content.
    """

    __slots__ = ("end", "facts", "padding", "plain", "sum")

    def __init__(
        self, *, facts: bytes, end: bytes, padding: bytes, sum: int, plain: bool
    ) -> None:
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


def sorted_entries(directory: bytes) -> list["os.DirEntry[bytes]"]:
    """Return what is in `directory`, in the order of its names' code points.

    Raises `UserError` where it can't be read: a layer that silently lacks a
    file is worse than none.
    """
    try:
        with os.scandir(directory) as iterator:
            entries = list(iterator)
    except OSError as error:
        raise UserError(
            f"can't read the directory {os.fsdecode(directory)}: {error.strerror}",
            hint="make it readable for the build user",
        ) from None
    if len(entries) > 1:
        # Of ASCII, and of UTF-8, the bytes are in the order of the code points; not so of others.
        plain = all(entry.name.isascii() for entry in entries)
        entries.sort(key=_bytes if plain else _text)
    return entries


def _bytes(entry: "os.DirEntry[bytes]") -> bytes:
    return entry.name


def _text(entry: "os.DirEntry[bytes]") -> str:
    return os.fsdecode(entry.name)
