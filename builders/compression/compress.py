"""Compressing an image on all cores, to the same bytes on any number of them.

Sources: RFC 1951 and RFC 1952 for deflate and gzip; zlib's manual for
Z_SYNC_FLUSH and preset dictionaries.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final

import zstandard

GZIP_LEVEL: Final = 6
ZSTD_LEVEL: Final = 3

_BLOCK: Final = 1 << 20
"""Bytes that are compressed as one piece, by one thread. Part of the format of our
output: another size gives other bytes.
"""

_WINDOW: Final = 1 << 15
"""Deflate looks back so far; each piece starts with the end of the one before as dictionary."""


def compress(source: BinaryIO, target: BinaryIO, *, compressor: str, threads: int) -> None:
    """Compress all of `source` into `target`.

    `compressor` is `none`, `gz` or `zstd`, as in dockerTools.
    """
    if compressor == "gz":
        _gzip(source, target, threads)
    elif compressor == "zstd":
        # One thread writes the same bytes as many; no threads at all, others.
        zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=max(threads, 1)).copy_stream(
            source, target
        )
    elif compressor == "none":
        while data := source.read(_BLOCK):
            target.write(data)
    else:
        raise ValueError(f"unknown compressor {compressor}")


def _gzip(source: BinaryIO, target: BinaryIO, threads: int) -> None:
    # No name and no time, as `pigz -nT` leaves them out; "unknown" for the system.
    target.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
    checksum = 0
    size = 0
    # zlib lets go of the interpreter while it works, so threads are enough.
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[bytes]] = deque()
        dictionary = b""
        for block in _blocks(source):
            checksum = zlib.crc32(block, checksum)
            size += len(block)
            pending.append(pool.submit(_deflate, block, dictionary))
            dictionary = block[-_WINDOW:]
            if len(pending) > 2 * threads:
                target.write(pending.popleft().result())
        for future in pending:
            target.write(future.result())
    # An empty last block ends the stream.
    target.write(b"\x03\x00" + struct.pack("<II", checksum, size & 0xFFFFFFFF))


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield `source` in blocks of exactly `_BLOCK` bytes, however it comes out of the pipe."""
    while True:
        parts = []
        missing = _BLOCK
        while missing and (data := source.read(missing)):
            parts.append(data)
            missing -= len(data)
        if parts:
            yield b"".join(parts)
        if missing:
            return


def _deflate(block: bytes, dictionary: bytes) -> bytes:
    compressor = zlib.compressobj(
        GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, dictionary
    )
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
