"""Compressing an image on all cores, to the same bytes on any number of them."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final

import zstandard

from builders.compression.libdeflate import LEVELS, GzipCompressor

COMPRESSOR_LEVELS: Final = {"none": range(0), "gz": LEVELS, "zstd": range(1, 20)}
"""The compressors by name, and which levels each has. nix/checks/compressors.nix has them, too."""

DEFAULT_LEVELS: Final = {"gz": 5, "zstd": 3}
"""libdeflate's 5 makes a little less bytes than pigz does where it is told nothing; 3 is zstd's
own."""

_BLOCK: Final = 1 << 20
"""Bytes that are compressed as one piece, by one thread. Part of the format of our
output: another size gives other bytes.
"""


def compress(
    source: BinaryIO, target: BinaryIO, *, compressor: str, level: int | None = None, threads: int
) -> None:
    """Compress all of `source` into `target`.

    `compressor` and `level` are of `COMPRESSOR_LEVELS`; None is the level of `DEFAULT_LEVELS`.
    Raises `ValueError` for others.
    """
    if compressor not in COMPRESSOR_LEVELS:
        raise ValueError(f"unknown compressor {compressor}")
    if level is not None and level not in COMPRESSOR_LEVELS[compressor]:
        raise ValueError(f"{compressor} has no level {level}")
    if compressor == "gz":
        _gzip(source, target, level or DEFAULT_LEVELS["gz"], threads)
    elif compressor == "zstd":
        # One thread writes the same bytes as many; no threads at all, others.
        zstandard.ZstdCompressor(
            level=level or DEFAULT_LEVELS["zstd"], threads=max(threads, 1)
        ).copy_stream(source, target, read_size=_BLOCK, write_size=_BLOCK)
    else:
        while data := source.read(_BLOCK):
            target.write(data)


def _gzip(source: BinaryIO, target: BinaryIO, level: int, threads: int) -> None:
    """Write a gzip member for each block: gzip files one behind the other are a gzip file."""
    local = threading.local()

    def member(block: bytes) -> bytes:
        if not hasattr(local, "compressor"):
            local.compressor = GzipCompressor(level)
        made: bytes = local.compressor.member(block)
        return made

    # ctypes lets go of the interpreter while it calls, so threads are enough.
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[bytes]] = deque()
        for block in _blocks(source):
            pending.append(pool.submit(member, block))
            if len(pending) > 2 * threads:
                target.write(pending.popleft().result())
        for future in pending:
            target.write(future.result())


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield `source` in blocks of exactly `_BLOCK` bytes, however it comes out of the pipe.

    The last one is shorter; it is empty where `source` is.
    """
    first = True
    while True:
        parts = []
        missing = _BLOCK
        while missing and (data := source.read(missing)):
            parts.append(data)
            missing -= len(data)
        if parts or first:
            yield b"".join(parts)
        first = False
        if missing:
            return
