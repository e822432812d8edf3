"""The members of an image archive: where they lie in the tar, and the digests of layers.

tarfile takes a damaged or cut-off header for the end of the archive, and a
header's word for how much memory to fill. An image that is half there must not
look whole, so the scan is our own; tarfile only decodes the single blocks.
Sources: POSIX.1-2017, "pax Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from builders.compression.streams import (
    CHUNK,
    MAGIC_LENGTH,
    NONE,
    Decompressed,
    FileRange,
    Peekable,
    Reader,
    detect,
)
from builders.console.errors import UserError, die
from builders.tar.header import BLOCK, padding

REMAKE: Final = "make or fetch it again"

_EXTENSION_LIMIT: Final = 1 << 20
"""Long names and pax records of more bytes than this are no image's."""

_SPARSE_CONTINUES: Final = (482, 504)
"""Where a GNU sparse header, and each block that continues it, say whether another one follows."""


class Kind(Enum):
    """What a member of an archive is."""

    FILE = "a file"
    SYMLINK = "a symbolic link"
    HARD_LINK = "a hard link"
    SPARSE = "a sparse file"
    OTHER = "a directory or a special file"


@dataclass(frozen=True)
class Member:
    """One member of a tar archive.

    `name` is relative to the archive's root and normalised: "./a//b" is "a/b".
    `target` is where a link leads, as it stands in the archive. The `size`
    bytes of a file's content start at `offset` of the decompressed archive.
    """

    name: str
    kind: Kind
    target: str
    offset: int
    size: int
    mode: int
    mtime: int
    uid: int
    gid: int
    uname: str
    gname: str


@dataclass(frozen=True)
class LayerDigest:
    """What a layer hashes to.

    `blob` is the hexadecimal SHA-256 of its bytes as they are stored, `diff` that of the
    uncompressed tar, which has `size` bytes.
    """

    blob: str
    diff: str
    size: int


class Tape:
    """A reader that knows its position and takes the end of the archive for an error.

    `what` names the archive in errors.
    """

    def __init__(self, source: Reader, *, what: str) -> None:
        self.position = 0
        self.what = what
        self._source = source

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes, none at the end."""
        data = self._source.read(size)
        self.position += len(data)
        return data

    def read_all(self, size: int) -> bytes:
        """Return the next `size` bytes, less only at the end."""
        data = self.read(size)
        if len(data) < size:
            parts = [data]
            left = size - len(data)
            while left and (more := self.read(left)):
                parts.append(more)
                left -= len(more)
            data = b"".join(parts)
        return data

    def skip(self, size: int) -> bool:
        """Pass over `size` bytes; return False where the archive has less."""
        if isinstance(self._source, FileRange):
            skipped = self._source.skip(size)
            self.position += skipped
            return skipped == size
        end = self.position + size
        while self.position < end:
            if not self.read(min(CHUNK, end - self.position)):
                return False
        return True

    def cut_off(self, reason: str) -> UserError:
        """Return the error that the archive ends here, where it should not because of `reason`."""
        return UserError(
            f"{self.what} is cut off after {self.position} bytes, {reason}", hint=REMAKE
        )


class Scan:
    """The members of the tar archive on a tape, in order.

    Who iterates may read content from the tape until the next member. In the end
    `has_end` tells whether the archive is closed by a zero block; `docker load`
    needs none. Raises `UserError` where a header or content is cut off or damaged.
    """

    def __init__(self, tape: Tape) -> None:
        self.has_end = False
        self._tape = tape
        self._defaults: dict[str, str] = {}

    def __iter__(self) -> Iterator[Member]:
        records: dict[str, str] = {}
        while block := self._block():
            header = self._decode(block)
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                records |= self._records(self._extension(header))
            elif header.type == tarfile.XGLTYPE:
                self._defaults |= self._records(self._extension(header))
            elif header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
                value, _, _ = self._extension(header).partition(b"\0")
                records[key] = value.decode("utf-8", "surrogateescape")
            else:
                member = self._member(header, block, self._defaults | records)
                records = {}
                yield member
                self._finish(member)

    def _block(self) -> bytes:
        """Return the next header block, nothing at the end of the archive."""
        tape = self._tape
        block = tape.read_all(BLOCK)
        if not block.strip(b"\0"):
            self.has_end = bool(block)
            start = tape.position
            if tape.read_all(BLOCK).strip(b"\0"):
                die(
                    f"{tape.what} is damaged: its end is marked at byte {start}, but more follows",
                    hint=REMAKE,
                )
            return b""
        if len(block) < BLOCK:
            raise tape.cut_off("within a tar header")
        return block

    def _decode(self, block: bytes) -> tarfile.TarInfo:
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._damaged(str(error)) from None
        if header.size < 0:
            raise self._damaged("negative size")
        return header

    def _extension(self, header: tarfile.TarInfo) -> bytes:
        """Return the content of an extension: pax records, or a long name of GNU tar."""
        if header.size > _EXTENSION_LIMIT:
            raise self._damaged(f"an extension of {header.size} bytes")
        data = self._tape.read_all(header.size + padding(header.size))
        if len(data) < header.size + padding(header.size):
            raise self._tape.cut_off("within a tar header")
        return data[: header.size]

    def _records(self, data: bytes) -> dict[str, str]:
        """Return the pax records in `data`; each is a length, a keyword=value and a newline."""
        records = {}
        while data.strip(b"\0"):
            digits, _, _ = data.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
            keyword, equals, value = data[len(digits) + 1 : length].partition(b"=")
            if len(data) < length or not equals or not value.endswith(b"\n"):
                raise self._damaged("bad pax record")
            records[keyword.decode("utf-8", "surrogateescape")] = value[:-1].decode(
                "utf-8", "surrogateescape"
            )
            data = data[length:]
        return records

    def _member(self, header: tarfile.TarInfo, block: bytes, records: Mapping[str, str]) -> Member:
        kind = _kind(header, records)
        size = self._number(records, "size", header.size)
        if size < 0:
            raise self._damaged("negative size")
        if header.type == tarfile.GNUTYPE_SPARSE:
            self._pass_sparse_map(block)
        return Member(
            name=normalise(records.get("path", header.name)),
            kind=kind,
            target=records.get("linkpath", header.linkname),
            offset=self._tape.position,
            size=size if kind in (Kind.FILE, Kind.SPARSE) else 0,
            mode=header.mode & 0o7777,
            mtime=self._number(records, "mtime", header.mtime),
            uid=self._number(records, "uid", header.uid),
            gid=self._number(records, "gid", header.gid),
            uname=records.get("uname", header.uname),
            gname=records.get("gname", header.gname),
        )

    def _number(self, records: Mapping[str, str], key: str, value: int | float) -> int:
        try:
            # Only times have a fraction.
            number = int(records.get(key, str(int(value))).partition(".")[0])
        except ValueError:
            raise self._damaged(f"bad pax record {key}") from None
        if abs(number) >= 1 << 63:
            raise self._damaged(f"{key} out of range")
        return number

    def _pass_sparse_map(self, block: bytes) -> None:
        flag, next_flag = _SPARSE_CONTINUES
        while block[flag]:
            block = self._tape.read_all(BLOCK)
            if len(block) < BLOCK:
                raise self._tape.cut_off("within a tar header")
            flag = next_flag

    def _finish(self, member: Member) -> None:
        """Go to the end of `member`, of which some content may have been read."""
        tape = self._tape
        if not tape.skip(member.offset + member.size - tape.position):
            raise tape.cut_off(f"within its member {member.name} of {member.size} bytes")
        # Padding may be missing at the end; then there is no next header either.
        tape.skip(padding(member.size))

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self._tape.what} is damaged: no tar header where one should be, "
            f"before byte {self._tape.position} ({reason})",
            hint=REMAKE,
        )


def normalise(name: str) -> str:
    """Return a member's name relative to the archive's root, without "." and doubled slashes."""
    return posixpath.normpath(name.lstrip("/") or ".")


def digest_layer(source: Reader, *, what: str) -> LayerDigest:
    """Hash the layer that `source` holds, itself compressed or not; `what` names it in errors.

    Raises `LayerError` where it is compressed and cut off or damaged.
    """
    blob = _Hashing(source)
    peekable = Peekable(blob)
    compression = detect(peekable.peek(MAGIC_LENGTH))
    if compression == NONE:
        while peekable.read(CHUNK):
            pass
        return LayerDigest(blob=blob.digest(), diff=blob.digest(), size=blob.size)
    inner = Decompressed(peekable, compression, what=what)
    layer = _Hashing(inner)
    try:
        while layer.read(CHUNK):
            pass
    except UserError as error:
        if error is inner.error:
            raise LayerError(error.message, hint=error.hint) from None
        raise
    return LayerDigest(blob=blob.digest(), diff=layer.digest(), size=layer.size)


class LayerError(UserError):
    """A layer is damaged, while the archive around it may be whole."""


class _Hashing:
    """Another reader, of which every byte that is read is hashed and counted."""

    def __init__(self, source: Reader) -> None:
        self.size = 0
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def _kind(header: tarfile.TarInfo, records: Mapping[str, str]) -> Kind:
    if header.type == tarfile.GNUTYPE_SPARSE or any(
        key.startswith("GNU.sparse.") for key in records
    ):
        return Kind.SPARSE
    if header.type == tarfile.SYMTYPE:
        return Kind.SYMLINK
    if header.type == tarfile.LNKTYPE:
        return Kind.HARD_LINK
    # A type that nobody knows is a file, says POSIX.
    if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES:
        return Kind.FILE
    return Kind.OTHER
