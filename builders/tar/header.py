"""Tar headers: POSIX pax as Python's tarfile writes it, and GNU as GNU tar writes it.

Both have to be exact to the byte: a layer's digest is what registries and
engines share layers by, and the layers have to be those that nixpkgs makes.
Sources: POSIX.1-2017 "pax Interchange Format"; GNU tar manual, "Basic Tar
Format"; CPython's Lib/tarfile.py for the choices that pax leaves open.
"""

import stat
import struct
import zlib
from dataclasses import dataclass
from typing import Final, NamedTuple

BLOCK: Final = 512
RECORD: Final = 20 * BLOCK
"""Archives are padded to whole records, as GNU tar's default blocking factor has it."""

REGULAR: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER_DEVICE: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
SPARSE: Final = b"S"

_NAME_LENGTH: Final = 100
_OWNER_NAME_LENGTH: Final = 32
_POSIX_MAGIC: Final = b"ustar\x0000"
GNU_MAGIC: Final = b"ustar  \x00"
_SPACES: Final = b"        "

_TYPE_BY_FORMAT: Final = {
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
}


class Owner(NamedTuple):
    """Owner and group of a file, by number and, where they have one, by name."""

    uid: int
    gid: int
    uname: str = ""
    gname: str = ""


@dataclass(frozen=True)
class Attributes:
    """What entries have in place of what their files have.

    `mtime` is in seconds since 1970-01-01 UTC and may be negative. `mode` is the permission bits of
    all but symbolic links, None where each file keeps its own. `xattrs` are names and values of
    extended attributes.
    """

    owner: Owner
    mtime: int
    mode: int | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One member of a tar archive, before it is written in some format.

    `name` and `linkname` are file names as `os.fsdecode` gives them (bytes that
    are not UTF-8 as lone surrogates); a directory's name ends in a slash.
    `size` is in bytes, `device` is (major, minor) and `xattrs` maps extended
    attribute names to values.
    """

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    linkname: str = ""
    uname: str = ""
    gname: str = ""
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()


def type_of(mode: int) -> bytes | None:
    """Return the tar type of a file of `st_mode` `mode`; None for what tar has no type for."""
    return _TYPE_BY_FORMAT.get(stat.S_IFMT(mode))


def padding(size: int) -> int:
    """Return the number of bytes that fill `size` up to whole blocks."""
    return -size % BLOCK


def end_of_archive(size: int) -> bytes:
    """Return the two zero blocks, and the padding to a whole record, after `size` bytes."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def pax_header(entry: Entry) -> bytes:
    """Return the header blocks of `entry` as tarfile's PAX_FORMAT has them.

    An extended header precedes the ustar one only where a value does not fit
    it: too long (names are never split into prefix and name), not ASCII, or a
    number out of range.
    """
    records: list[tuple[str, bytes]] = []
    for value, keyword, length in (
        (entry.name, "path", _NAME_LENGTH),
        (entry.linkname, "linkpath", _NAME_LENGTH),
        (entry.uname, "uname", _OWNER_NAME_LENGTH),
        (entry.gname, "gname", _OWNER_NAME_LENGTH),
    ):
        if not value.isascii() or len(value) > length:
            records.append((keyword, value.encode("utf-8", "surrogateescape")))
    numbers = []
    for number, keyword, digits in (
        (entry.uid, "uid", 7),
        (entry.gid, "gid", 7),
        (entry.size, "size", 11),
        (entry.mtime, "mtime", 11),
    ):
        fits = 0 <= number < 8**digits
        if not fits:
            records.append((keyword, str(number).encode()))
        numbers.append(b"%0*o\x00" % (digits, number if fits else 0))
    records.extend((f"SCHILY.xattr.{name}", value) for name, value in entry.xattrs)
    uid, gid, size, mtime = numbers
    block = _finish(
        _field(entry.name, _NAME_LENGTH)
        + (b"%07o\x00" % (entry.mode & 0o7777))
        + uid
        + gid
        + size
        + mtime
        + _SPACES
        + entry.type
        + _field(entry.linkname, _NAME_LENGTH)
        + _POSIX_MAGIC
        + _field(entry.uname, _OWNER_NAME_LENGTH)
        + _field(entry.gname, _OWNER_NAME_LENGTH)
        + (b"%07o\x00%07o\x00" % entry.device if entry.device else bytes(16))
    )
    return _extended(records) + block if records else block


def gnu_header(entry: Entry, *, long_owner: str = "") -> bytes:
    """Return the header blocks of `entry` as GNU tar's --format=gnu has them.

    Names that don't fit precede the header as members of their own of type L
    and K, whose user and group have the name `long_owner`: root's, but for --numeric-owner.
    Numbers out of range are written in base 256. Extended attributes have no place in this format.
    """
    name = entry.name.encode("utf-8", "surrogateescape")
    linkname = entry.linkname.encode("utf-8", "surrogateescape")
    blocks = b""
    if len(linkname) > _NAME_LENGTH:
        blocks += _gnu_long(linkname, b"K", long_owner)
    if len(name) > _NAME_LENGTH:
        blocks += _gnu_long(name, b"L", long_owner)
    return blocks + _finish(
        name[:_NAME_LENGTH].ljust(_NAME_LENGTH, b"\x00")
        + (b"%07o\x00" % (entry.mode & 0o7777))
        + _gnu_number(entry.uid, 8)
        + _gnu_number(entry.gid, 8)
        + _gnu_number(entry.size, 12)
        + _gnu_number(entry.mtime, 12)
        + _SPACES
        + entry.type
        + linkname[:_NAME_LENGTH].ljust(_NAME_LENGTH, b"\x00")
        + GNU_MAGIC
        + _field(entry.uname, _OWNER_NAME_LENGTH)
        + _field(entry.gname, _OWNER_NAME_LENGTH)
        + (b"%07o\x00%07o\x00" % entry.device if entry.device else bytes(16))
    )


class UstarFields(NamedTuple):
    """The fields of a header block, as they stand in it; `rest` is from the magic on."""

    name: bytes
    mode: bytes
    uid: bytes
    gid: bytes
    size: bytes
    mtime: bytes
    checksum: bytes
    type: bytes
    linkname: bytes
    rest: bytes


_USTAR: Final = struct.Struct("100s8s8s8s12s12s8s1s100s255s")
"""POSIX.1-2017, "ustar Interchange Format"; GNU tar has the same fields up to the magic."""


def ustar_fields(header: bytes) -> UstarFields:
    """Return the fields of the last block of `header`: extended headers and long names precede."""
    return UstarFields._make(_USTAR.unpack(header[-BLOCK:]))


def _field(value: str, length: int) -> bytes:
    return value.encode("ascii", "replace")[:length].ljust(length, b"\x00")


def _finish(fields: bytes) -> bytes:
    """Pad the header `fields` to a block and fill in the checksum, left as spaces until here."""
    block = fields.ljust(BLOCK, b"\x00")
    return block[:148] + (b"%06o\x00 " % checksum(block)) + block[156:]


def checksum(block: bytes) -> int:
    """Return the checksum of a header block: the sum of its bytes, spaces in the checksum's place.

    The lower half of Adler-32 is such a sum modulo 65521, which 256 bytes don't reach, and five
    times as fast as `sum`.
    """
    adler = zlib.adler32
    return (
        (adler(block[:148], 0) & 0xFFFF)
        + (adler(block[156:400], 0) & 0xFFFF)
        + (adler(block[400:], 0) & 0xFFFF)
        + 8 * 0x20
    )


def extended_header(size: int) -> bytes:
    """Return the header of the extended header whose records have `size` bytes."""
    return _finish(
        b"././@PaxHeader".ljust(_NAME_LENGTH, b"\x00")
        + b"0000000\x00" * 3
        + (b"%011o\x00" % size)
        + b"00000000000\x00"
        + _SPACES
        + b"x"
        + bytes(_NAME_LENGTH)
        + _POSIX_MAGIC
    )


def pax_record(keyword: bytes, value: bytes) -> bytes:
    """Return a pax record; its first number counts the whole record, its own digits included."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, keyword, value)


def _extended(records: list[tuple[str, bytes]]) -> bytes:
    if any(not _is_utf8(value) for keyword, value in records if "xattr" not in keyword):
        # tarfile says so in front where a name is not UTF-8.
        records = [("hdrcharset", b"BINARY"), *records]
    data = b"".join(pax_record(keyword.encode(), value) for keyword, value in records)
    return extended_header(len(data)) + data + bytes(padding(len(data)))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _gnu_number(value: int, length: int) -> bytes:
    if 0 <= value < 8 ** (length - 1):
        return b"%0*o\x00" % (length - 1, value)
    raw = value.to_bytes(length - 1, "big", signed=True)
    return (b"\xff" if value < 0 else b"\x80") + raw


def _gnu_long(value: bytes, kind: bytes, owner: str) -> bytes:
    data = value + b"\x00"
    header = _finish(
        b"././@LongLink".ljust(_NAME_LENGTH, b"\x00")
        + b"0000644\x00"
        + b"0000000\x00" * 2
        + (b"%011o\x00" % len(data))
        + b"00000000000\x00"
        + _SPACES
        + kind
        + bytes(_NAME_LENGTH)
        + GNU_MAGIC
        + 2 * _field(owner, _OWNER_NAME_LENGTH)
    )
    return header + data + bytes(padding(len(data)))
