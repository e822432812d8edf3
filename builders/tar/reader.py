"""Reading tar archives: their members, and where the content of each lies.

tarfile takes a damaged or cut-off header for the end of the archive, and a
header's word for how much memory to fill; and it needs seconds for the headers
of a large layer. An image that is half there must not look whole, so that the
reader is our own. It knows ustar, pax, GNU tar's long names and large numbers,
and the archives before them.
Sources: POSIX.1-2017, "pax Interchange Format"; GNU tar manual, "Basic Tar
Format"; star(5) for SCHILY.xattr.
"""

import posixpath
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from builders.compression.streams import CHUNK, FileRange, Reader
from builders.console.errors import UserError, die
from builders.tar.header import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SPARSE,
    SYMLINK,
    checksum,
    padding,
)

REMAKE: Final = "make or fetch it again"

_AHEAD: Final = 1 << 15
"""Headers are read in pieces of so many bytes: one call for many small files."""

_EXTENSION_LIMIT: Final = 1 << 20
"""Long names and pax records of more bytes than this are no image's."""

_SPARSE_CONTINUES: Final = (482, 504)
"""Where a GNU sparse header, and each block that continues it, say whether another one follows."""

_HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2x32s32s8s8s155s12x")
_CONTIGUOUS: Final = b"7"
_SYNONYMS: Final = {b"\0": REGULAR, _CONTIGUOUS: REGULAR}
_PAX: Final = (b"x", b"X")
_PAX_GLOBAL: Final = b"g"
_GNU_LONG: Final = {b"L": "path", b"K": "linkpath"}
_EXTENSIONS: Final = frozenset((*_PAX, _PAX_GLOBAL, *_GNU_LONG))
_EMPTY: Final = frozenset((HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO))
"""Members of these types have no content, whatever size their header has."""
_XATTR: Final = "SCHILY.xattr."
_TEXTS: Final = ("path", "linkpath", "uname", "gname")

_WORDS: Final = {
    REGULAR: "a file",
    HARD_LINK: "a hard link",
    SYMLINK: "a symbolic link",
    CHARACTER_DEVICE: "a character device",
    BLOCK_DEVICE: "a block device",
    DIRECTORY: "a directory",
    FIFO: "a FIFO",
    SPARSE: "a sparse file",
}


class Member(NamedTuple):
    """One member of a tar archive.

    `name` is relative to the archive's root and normalised: "./a//b/" is "a/b";
    it may begin with "..". `type` is one of the types in builders.tar.header, or
    another byte as it stands in the archive. `linkname` is where a link leads,
    as it stands there too. File names are as `os.fsdecode` gives them. `mtime`
    is in seconds since 1970, a fraction cut off. The `size` bytes of a file's
    content start at `offset` of the archive; what is no file has size 0.
    `device` is (major, minor) of a device, `xattrs` are sorted by name.
    """

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    linkname: str
    uname: str
    gname: str
    device: tuple[int, int] | None
    xattrs: tuple[tuple[str, bytes], ...]
    offset: int

    @property
    def is_file(self) -> bool:
        """Whether it has content. A type that nobody knows is a file, says POSIX."""
        return self.type == REGULAR or self.type not in _WORDS

    def describe(self) -> str:
        """Return what the member is, in words."""
        return _WORDS.get(self.type, f"of the unknown type {self.type!r}")


class Tape:
    """A reader that knows its position and takes the end of the archive for an error.

    `what` names the archive in errors.
    """

    def __init__(self, source: Reader, *, what: str) -> None:
        self.position = 0
        self.what = what
        self._source = source
        self._ahead = b""
        self._next = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` of the next bytes, none at the end."""
        start = self._next
        data = self._ahead[start : start + size]
        if data:
            self._next = start + len(data)
        else:
            data = self._source.read(size)
        self.position += len(data)
        return data

    def read_all(self, size: int) -> bytes:
        """Return the next `size` bytes, less only at the end."""
        start = self._next
        end = start + size
        if end > len(self._ahead):
            self._fill(size)
            start, end = 0, size
        data = self._ahead[start:end]
        self._next = start + len(data)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Pass over `size` bytes; return False where the archive has less."""
        held = min(size, len(self._ahead) - self._next)
        self._next += held
        self.position += held
        if held == size:
            return True
        size -= held
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

    def _fill(self, size: int) -> None:
        """Hold `size` bytes or more, less only at the end."""
        parts = [self._ahead[self._next :]]
        missing = size - len(parts[0])
        while missing > 0 and (more := self._source.read(max(missing, _AHEAD))):
            parts.append(more)
            missing -= len(more)
        self._ahead = b"".join(parts)
        self._next = 0


class Scan:
    """The members of the tar archive on a tape, in order.

    Who iterates may read content from the tape until the next member. In the end
    `has_end` tells whether the archive is closed by a zero block; `docker load`
    needs none. Raises `UserError` where a header or content is cut off or damaged.
    """

    def __init__(self, tape: Tape) -> None:
        self.has_end = False
        self._tape = tape

    def __iter__(self) -> Iterator[Member]:
        tape = self._tape
        defaults: dict[str, bytes] = {}
        records: dict[str, bytes] = {}
        while block := self._block():
            try:
                member = _decode(block, tape.position)
            except ValueError as error:
                raise self._damaged(str(error)) from None
            if member.size < 0:
                raise self._damaged("negative size")
            if member.type in _EXTENSIONS:
                data = self._extension(member)
                if member.type in _PAX:
                    records |= self._records(data)
                elif member.type == _PAX_GLOBAL:
                    defaults |= self._records(data)
                else:
                    records[_GNU_LONG[member.type]] = data.partition(b"\0")[0]
                continue
            if records or defaults:
                member = self._extended(member, defaults | records)
                records = {}
            if member.type == SPARSE and block[156:157] == SPARSE:
                self._pass_sparse_map(block)
                member = member._replace(offset=tape.position)
            yield member
            self._finish(member)

    def _block(self) -> bytes:
        """Return the next header block, nothing at the end of the archive."""
        tape = self._tape
        block = tape.read_all(BLOCK)
        if len(block) == BLOCK and block[0]:
            return block
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

    def _extension(self, header: Member) -> bytes:
        """Return the content of an extension: pax records, or a long name of GNU tar."""
        if header.size > _EXTENSION_LIMIT:
            raise self._damaged(f"an extension of {header.size} bytes")
        data = self._tape.read_all(header.size + padding(header.size))
        if len(data) < header.size + padding(header.size):
            raise self._tape.cut_off("within a tar header")
        return data[: header.size]

    def _records(self, data: bytes) -> dict[str, bytes]:
        """Return the pax records in `data`; each is a length, a keyword=value and a newline."""
        records = {}
        start = 0
        while start < len(data) and data[start]:
            space = data.find(b" ", start, start + 8)
            digits = data[start:space] if space > start else b""
            end = start + (int(digits) if digits.isdigit() else 0)
            keyword, equals, value = data[space + 1 : end].partition(b"=")
            if end > len(data) or not equals or not value.endswith(b"\n"):
                raise self._damaged("bad pax record")
            name = keyword.decode("utf-8", "surrogateescape")
            if b"\0" in value and not name.startswith(_XATTR):
                raise self._damaged(f"bad pax record {name}")
            # An empty value stands for the one of the header.
            if len(value) > 1 or name.startswith(_XATTR):
                records[name] = value[:-1]
            start = end
        return records

    def _extended(self, member: Member, records: dict[str, bytes]) -> Member:
        """Return `member` with what pax records say of it."""
        texts = {
            key: records[key].decode("utf-8", "surrogateescape") for key in _TEXTS if key in records
        }
        is_sparse = any(key.startswith("GNU.sparse.") for key in records)
        kind = SPARSE if is_sparse else member.type
        size = self._number(records, "size", member.size)
        if size < 0:
            raise self._damaged("negative size")
        return Member(
            name=normalise(texts["path"]) if "path" in texts else member.name,
            type=kind,
            mode=member.mode,
            uid=self._number(records, "uid", member.uid),
            gid=self._number(records, "gid", member.gid),
            mtime=self._number(records, "mtime", member.mtime),
            size=0 if kind in _EMPTY else size,
            linkname=texts.get("linkpath", member.linkname),
            uname=texts.get("uname", member.uname),
            gname=texts.get("gname", member.gname),
            device=member.device,
            xattrs=tuple(
                (key.removeprefix(_XATTR), records[key])
                for key in sorted(records)
                if key.startswith(_XATTR)
            ),
            offset=self._tape.position,
        )

    def _number(self, records: dict[str, bytes], key: str, value: int) -> int:
        if key not in records:
            return value
        # Only times have a fraction.
        digits, _, _ = records[key].partition(b".")
        if not digits.removeprefix(b"-").isdigit() or len(digits) > 20:
            raise self._damaged(f"bad pax record {key}")
        number = int(digits)
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
        size = member.size
        left = member.offset + size - tape.position
        if left and not tape.skip(left):
            raise tape.cut_off(f"within its member {member.name} of {size} bytes")
        # Padding may be missing at the end; then there is no next header either.
        if size % BLOCK:
            tape.skip(padding(size))

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self._tape.what} is damaged: no tar header where one should be, "
            f"before byte {self._tape.position} ({reason})",
            hint=REMAKE,
        )


def normalise(name: str) -> str:
    """Return a member's name relative to the archive's root, without "." and doubled slashes."""
    return posixpath.normpath(name.lstrip("/") or ".")


def is_header(block: bytes) -> bool:
    """Whether a tar archive may start with `block`."""
    try:
        _decode(block, 0)
    except (ValueError, struct.error):
        return False
    return True


def _decode(block: bytes, offset: int) -> Member:
    """Return what a header block says; raises `ValueError` where it is none."""
    (
        name,
        mode,
        uid,
        gid,
        size,
        mtime,
        claimed,
        kind,
        linkname,
        magic,
        uname,
        gname,
        major,
        minor,
        prefix,
    ) = _HEADER.unpack(block)
    if _parse_number(claimed) != checksum(block):
        _check_signed_sum(block, _parse_number(claimed))
    name = name.partition(b"\0")[0]
    # Only in POSIX' own format; GNU tar keeps times there.
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    if kind == b"\0" and name.endswith(b"/"):
        # Before POSIX there was no type for directories.
        kind = DIRECTORY
    kind = _SYNONYMS.get(kind, kind)
    is_device = kind in (CHARACTER_DEVICE, BLOCK_DEVICE)
    return Member(
        normalise(name.decode("utf-8", "surrogateescape")),
        kind,
        _number(mode) & 0o7777,
        _number(uid),
        _number(gid),
        _number(mtime),
        0 if kind in _EMPTY else _parse_number(size),
        linkname.partition(b"\0")[0].decode("utf-8", "surrogateescape") if linkname[0] else "",
        _text(uname),
        _text(gname),
        (_number(major), _number(minor)) if is_device else None,
        (),
        offset,
    )


def _parse_number(field: bytes) -> int:
    """Return an octal number, or GNU tar's base 256, where the first byte has its highest bit set.

    Raises `ValueError`.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # 0x80 in the first byte marks a positive number, 0xff is the sign of a negative one.
        number = value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
        if abs(number) >= 1 << 63:
            raise ValueError("number out of range")
        return number
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise ValueError("bad number") from None


# What many members have in common is decoded once, and held once.
_number = lru_cache(1 << 10)(_parse_number)


@lru_cache(1 << 10)
def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _check_signed_sum(block: bytes, claimed: int) -> None:
    # Some old programs added up signed bytes.
    negative = sum(byte > 127 for byte in block[:148] + block[156:])
    if claimed != checksum(block) - 256 * negative:
        raise ValueError("bad checksum")
