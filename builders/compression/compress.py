"""Compressing an image on all cores, to the same bytes on any number of them."""

from collections.abc import Iterator
from typing import BinaryIO, Final

import zstandard

from builders.compression.members import MEMBER_LEVELS, MEMBER_SIZES, MemberFormat, Members

COMPRESSOR_LEVELS: Final = {"none": range(0), **MEMBER_LEVELS}
"""The compressors by name, and which levels each has. nix/checks/compressors.nix has them, too."""

DEFAULT_LEVELS: Final = {"gz": 5, "zstd": 3}
"""libdeflate's 5 makes a little less bytes than pigz does where it is told nothing; 3 is zstd's
own."""

_BLOCK: Final = 1 << 20
"""Bytes that are read and written at once."""


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
    with Members(MemberFormat("gz", level), threads) as members:
        for block in _blocks(source, MEMBER_SIZES["gz"]):
            members.add(block, target.write)
        members.finish()


def _blocks(source: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield `source` in blocks of exactly `size` bytes, however it comes out of the pipe.

    The last one is shorter; it is empty where `source` is.
    """
    first = True
    while True:
        parts = []
        missing = size
        while missing and (data := source.read(missing)):
            parts.append(data)
            missing -= len(data)
        if parts or first:
            yield b"".join(parts)
        first = False
        if missing:
            return
