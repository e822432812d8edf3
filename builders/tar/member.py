"""The members of tar archives, and the header blocks that say what they are.

Sources: POSIX.1-2017, "pax Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

import posixpath
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from builders.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SPARSE,
    SYMLINK,
    checksum,
)

EMPTY: Final = frozenset((HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO))
"""Members of these types have no content, whatever size their header has."""

_HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2x32s32s8s8s155s12x")
_CONTIGUOUS: Final = b"7"
_SYNONYMS: Final = {b"\0": REGULAR, _CONTIGUOUS: REGULAR}

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


class Extent(NamedTuple):
    """`size` bytes of data in a sparse file, from `start` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the first byte behind it is."""
        return self.start + self.size


class Member(NamedTuple):
    """One member of a tar archive.

    `name` is relative to the archive's root and normalised: "./a//b/" is "a/b";
    it may begin with "..". `type` is one of the types in builders.tar.header, or
    another byte as it stands in the archive. `linkname` is where a link leads,
    as it stands there too. File names are as `os.fsdecode` gives them. `mtime`
    is in seconds since 1970, a fraction cut off. The `size` bytes of a file's
    content start at `offset` of the archive; what is no file has size 0.
    Of a SPARSE file only `extents` are there, one behind the other; between and behind them `size`
    bytes are filled up with zeros.
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
    extents: tuple[Extent, ...] = ()

    @property
    def stored(self) -> int:
        """How many bytes of content the archive has from `offset` on."""
        if self.type == SPARSE:
            return sum(extent.size for extent in self.extents)
        return self.size

    @property
    def is_file(self) -> bool:
        """Whether it has content, in one piece. A type that nobody knows is a file, says POSIX."""
        return self.type == REGULAR or self.type not in _WORDS

    def describe(self) -> str:
        """Return what the member is, in words."""
        return _WORDS.get(self.type, f"of the unknown type {self.type!r}")


def normalise(name: str) -> str:
    """Return a member's name relative to the archive's root, without "." and doubled slashes."""
    return posixpath.normpath(name.lstrip("/") or ".")


def is_header(block: bytes) -> bool:
    """Whether a tar archive may start with `block`."""
    try:
        decode_header(block, 0)
    except (ValueError, struct.error):
        return False
    return True


def decode_header(block: bytes, offset: int) -> Member:
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
        0 if kind in EMPTY else _parse_number(size),
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
    # `int` alone would also take signs and underscores.
    if digits.strip(b"01234567"):
        raise ValueError("bad number")
    return int(digits or b"0", 8)


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
