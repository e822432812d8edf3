"""Compressed streams: told by their first bytes, read in constant memory.

Several streams in a row read as one, as gzip, zstd, xz and bzip2 themselves have
it; zeros behind a stream are padding, anything else behind it is an error.
Sources: RFC 1952 (gzip), RFC 8878 (zstd), "The .xz File Format" 1.2.1.
"""

import bz2
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn, Protocol, cast

import zstandard
from isal import igzip_lib

from builders.compression.readers import CHUNK, Chunks, FileRange, Peekable, Reader, open_file
from builders.console.errors import UserError

NONE: Final = "none"
GZIP: Final = "gz"
ZSTD: Final = "zstd"
XZ: Final = "xz"
BZIP2: Final = "bz2"

MAGIC_LENGTH: Final = 10
"""So many bytes of a stream are enough for `detect`."""

_INPUT: Final = 1 << 17
_SIZE_MAX: Final = 1 << 40
"""Bytes that a stream may be decompressed to: a few megabytes can stand for any number."""
_XZ_MEMORY: Final = 1 << 28
"""xz -9 asks for 64 MiB; a damaged header may ask for 4 GiB, and each core may read a layer."""
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"
_BZIP2_BLOCKS: Final = (b"1AY&SY", b"\x17rE8P\x90")
_DAMAGE: Final[tuple[type[Exception], ...]] = (
    # isal's type hints have an instance here.
    cast(type[Exception], igzip_lib.error),
    lzma.LZMAError,
    zstandard.ZstdError,
    OSError,
)


def detect(first: bytes) -> str:
    """Return how a stream is compressed that starts with `first` (`MAGIC_LENGTH` bytes, or all).

    One of `NONE`, `GZIP`, `ZSTD`, `XZ` and `BZIP2`.
    """
    if first.startswith(b"\x1f\x8b\x08"):
        return GZIP
    if first.startswith(_ZSTD_MAGIC) or _is_skippable(first[:4]):
        return ZSTD
    if first.startswith(b"\xfd7zXZ\x00"):
        return XZ
    # "BZh" alone could also be the first file's name in a tar archive.
    if first.startswith(b"BZh") and first[4:10] in _BZIP2_BLOCKS:
        return BZIP2
    return NONE


class Decompressed:
    """The decompressed bytes of `source`, which is compressed as `detect` says.

    `what` names the source in errors. `error` is the error that this stream
    raised, None as long as it raised none of its own (one that comes out of
    `source` is not its own).
    """

    def __init__(self, source: Reader, compression: str, *, what: str) -> None:
        self.error: UserError | None = None
        self._what = what
        self._compression = compression
        self._size = 0
        self._content = Chunks(_DECODERS[compression](source))

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; raise `UserError` where they are cut off or damaged."""
        if self.error:
            raise self.error
        try:
            data = self._content.read(size)
        except EOFError:
            self._fail("is cut off: its {} data end early")
        except _TrailingError:
            self._fail("has bytes behind its {} data that are none")
        except _DAMAGE as error:
            # The text of zstd's errors has a prefix about calls.
            reason = str(error).rpartition(": ")[2]
            self._fail(f"is damaged: its {{}} data can't be decompressed ({reason})")
        self._size += len(data)
        if self._size > _SIZE_MAX:
            self._fail(f"has {{}} data that make more than {_SIZE_MAX} bytes")
        return data

    def _fail(self, message: str) -> NoReturn:
        self.error = UserError(
            f"{self._what} {message.format(self._compression)}", hint="make or fetch it again"
        )
        raise self.error from None


def decompressed(source: Reader, *, what: str) -> tuple[str, Reader]:
    """Return how `source` is compressed, and a reader of its decompressed bytes."""
    peekable = Peekable(source)
    compression = detect(peekable.peek(MAGIC_LENGTH))
    if compression == NONE:
        return NONE, peekable
    return compression, Decompressed(peekable, compression, what=what)


@contextmanager
def open_decompressed(path: str, *, what: str | None = None) -> Iterator[tuple[str, Reader]]:
    """Open the file at `path`: how it is compressed, and a reader of its decompressed bytes.

    `what` names the file in errors, its path where it is None. Raises `UserError`, also while it
    is read.
    """
    with open_file(path, what=what or path) as (fd, size):
        yield decompressed(FileRange(fd, 0, size, what=what or path), what=what or path)


class _TrailingError(Exception):
    """Behind the end of a stream comes something else than another one."""


class _Decoder(Protocol):
    """What bz2's, lzma's and igzip's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _decode(source: Reader, compression: str, new: Callable[[], _Decoder]) -> Iterator[bytes]:
    data = source.read(_INPUT)
    while data:
        decoder = new()
        while not decoder.eof:
            if decoder.needs_input and not data:
                data = source.read(_INPUT)
                if not data:
                    raise EOFError
            # The limit keeps a stream that shrank a thousandfold from filling the memory.
            chunk = decoder.decompress(data, CHUNK)
            data = b""
            if chunk:
                yield chunk
        data = _after_padding(source, decoder.unused_data)
        if data and detect(data) != compression:
            raise _TrailingError


def _after_padding(source: Reader, data: bytes) -> bytes:
    """Return what comes behind the zeros that `data` and then `source` start with."""
    data = data.lstrip(b"\0")
    while not data:
        data = source.read(_INPUT)
        if not data:
            return b""
        data = data.lstrip(b"\0")
    while len(data) < MAGIC_LENGTH and (more := source.read(_INPUT)):
        data += more
    return data


def _decode_zstd(source: Reader) -> Iterator[bytes]:
    # zstandard's readers take a cut-off frame for a whole one, and its decompressobj knows no
    # limit for what one call returns. Block by block, both are in our hands: a block has at most
    # 128 KiB (RFC 8878, section 3.1.1.2.4).
    blocks = _Exact(source)
    decompressor = zstandard.ZstdDecompressor()
    while magic := blocks.at_most(4):
        if magic == _ZSTD_MAGIC:
            yield from _decode_frame(blocks, decompressor)
        elif _is_skippable(magic):
            left = int.from_bytes(blocks.take(4), "little")
            while left:
                left -= len(blocks.take(min(left, _INPUT)))
        else:
            if magic.strip(b"\0"):
                raise _TrailingError
            while padding := blocks.at_most(_INPUT):
                if padding.strip(b"\0"):
                    raise _TrailingError


def _decode_frame(blocks: "_Exact", decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """Yield the content of the frame that starts behind the magic number just read."""
    frame = decompressor.decompressobj()
    descriptor = blocks.take(1)
    flags = descriptor[0]
    single_segment = flags >> 5 & 1
    window = 1 - single_segment
    dictionary_id = (0, 1, 2, 4)[flags & 3]
    content_size = (single_segment, 2, 4, 8)[flags >> 6]
    fields = blocks.take(window + dictionary_id + content_size)
    frame.decompress(_ZSTD_MAGIC + descriptor + fields)
    last = False
    while not last:
        header = blocks.take(3)
        bits = int.from_bytes(header, "little")
        last = bool(bits & 1)
        is_rle = bits >> 1 & 3 == 1
        # A block that claims more than the format allows is read whole and refused by the library.
        body = blocks.take(1 if is_rle else bits >> 3)
        if last and flags & 4:
            body += blocks.take(4)
        chunk = frame.decompress(header + body)
        if chunk:
            yield chunk


class _Exact:
    """A reader that returns as many bytes as it is asked for."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._data = b""
        self._position = 0

    def at_most(self, size: int) -> bytes:
        """Return `size` bytes, less only at the end of the stream."""
        position = self._position
        if len(self._data) - position < size:
            parts = [self._data[position:]]
            missing = size - len(parts[0])
            while missing > 0 and (more := self._source.read(max(missing, _INPUT))):
                parts.append(more)
                missing -= len(more)
            self._data = b"".join(parts)
            position = 0
        data = self._data[position : position + size]
        self._position = position + len(data)
        return data

    def take(self, size: int) -> bytes:
        """Return `size` bytes; raise `EOFError` where there are less."""
        data = self.at_most(size)
        if len(data) < size:
            raise EOFError
        return data


def _is_skippable(magic: bytes) -> bool:
    return len(magic) == 4 and magic[0] & 0xF0 == 0x50 and magic[1:] == _ZSTD_SKIPPABLE


_DECODERS: Final[dict[str, Callable[[Reader], Iterator[bytes]]]] = {
    GZIP: lambda source: _decode(
        source, GZIP, lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    ),
    XZ: lambda source: _decode(
        source, XZ, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
    ),
    BZIP2: lambda source: _decode(source, BZIP2, bz2.BZ2Decompressor),
    ZSTD: _decode_zstd,
}
