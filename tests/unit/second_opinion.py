"""Members of tar archives as libarchive reads them, to compare what builders.tar.reader says."""

import ctypes
import locale
from contextlib import contextmanager

from libarchive import ffi
from libarchive.exception import ArchiveError

from builders.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SPARSE,
    SYMLINK,
)
from builders.tar.member import normalise

TYPES = {
    0o100000: REGULAR,
    0o120000: SYMLINK,
    0o020000: CHARACTER_DEVICE,
    0o060000: BLOCK_DEVICE,
    0o040000: DIRECTORY,
    0o010000: FIFO,
}

_CONVERSION = b"can't be converted"
_pointer = ctypes.c_void_p
ffi.ffi("entry_xattr_reset", [_pointer], ctypes.c_int)
ffi.ffi(
    "entry_xattr_next",
    [
        _pointer,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.POINTER(_pointer),
        ctypes.POINTER(ctypes.c_size_t),
    ],
    ctypes.c_int,
)


def of_members(members):
    """What libarchive can tell, too, of `members` of builders.tar.member."""
    return [
        (
            member.name,
            REGULAR if member.type == SPARSE else member.type,
            *(member.mode, member.uid, member.gid, member.mtime, member.size),
            member.linkname if member.type in (SYMLINK, HARD_LINK) else "",
            *(member.uname, member.gname, member.device, member.xattrs),
        )
        for member in members
    ]


def read(data):
    """What libarchive finds in the archive `data`, and the content of files beside each.

    Raises `ArchiveError` also for what are warnings of libarchive.
    """
    with _plain_names(), _opened(data) as (archive, entry):
        found = []
        while (status := ffi.read_next_header2(archive, entry)) != ffi.ARCHIVE_EOF:
            # In the locale C names stay the bytes they are, but libarchive warns of each.
            if status == ffi.ARCHIVE_WARN and _CONVERSION not in ffi.error_string(archive):
                raise ArchiveError(ffi.error_string(archive))
            found.append((_member(entry), _content(archive, entry)))
        return found


@contextmanager
def _plain_names():
    # In a UTF-8 locale libarchive changes names to Unicode's normal form C.
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


@contextmanager
def _opened(data):
    archive, entry = ffi.read_new(), ffi.entry_new()
    buffer = ctypes.create_string_buffer(data, len(data))
    was_disabled, ffi.logger.disabled = ffi.logger.disabled, True
    try:
        ffi.read_support_filter_none(archive)
        ffi.read_support_format_tar(archive)
        ffi.read_open_memory(archive, ctypes.addressof(buffer), len(data))
        yield archive, entry
    finally:
        ffi.logger.disabled = was_disabled
        ffi.entry_free(entry)
        ffi.read_free(archive)


def _member(entry):
    hard_link = ffi.entry_hardlink(entry)
    kind = HARD_LINK if hard_link else TYPES.get(ffi.entry_mode(entry) & 0o170000)
    is_device = kind in (CHARACTER_DEVICE, BLOCK_DEVICE)
    return (
        normalise(_text(ffi.entry_pathname(entry))),
        kind,
        ffi.entry_mode(entry) & 0o7777,
        ffi.entry_uid(entry),
        ffi.entry_gid(entry),
        ctypes.c_int64(ffi.entry_mtime(entry)).value,
        ffi.entry_size(entry) if kind == REGULAR else 0,
        _text(hard_link or (ffi.entry_symlink(entry) if kind == SYMLINK else b"")),
        _text(ffi.entry_uname(entry)),
        _text(ffi.entry_gname(entry)),
        (ffi.entry_rdevmajor(entry), ffi.entry_rdevminor(entry)) if is_device else None,
        tuple(sorted(_xattrs(entry))),
    )


def _xattrs(entry):
    ffi.entry_xattr_reset(entry)
    name, value, size = ctypes.c_char_p(), _pointer(), ctypes.c_size_t()
    while ffi.entry_xattr_next(entry, name, value, size) == 0:
        yield _text(name.value), ctypes.string_at(value, size.value) if size.value else b""


def _content(archive, entry):
    content = bytearray(ffi.entry_size(entry) if ffi.entry_size(entry) < 1 << 26 else 0)
    data, size, start = _pointer(), ctypes.c_size_t(), ctypes.c_longlong()
    while ffi.read_data_block(archive, data, size, start) != ffi.ARCHIVE_EOF:
        content[start.value : start.value + size.value] = ctypes.string_at(data, size.value)
    return bytes(content)


def _text(value):
    return value.decode("utf-8", "surrogateescape") if value else ""
