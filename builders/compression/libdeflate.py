"""libdeflate, called through ctypes: gzip members at three times the speed of zlib.

It compresses a buffer as a whole, and so to smaller output than a library that
sees a stream by and by. Source: libdeflate.h of libdeflate 1.14.
"""

import ctypes
from functools import cache
from typing import Final

LEVELS: Final = range(1, 13)
"""From the fastest to the smallest."""

# Where Nix builds this package, compile_library puts the file in the store here.
_FILE: Final = "libdeflate.so.0"

_VERSION: Final = "unknown"
"""The library doesn't tell; compile_library puts in what Nix knows."""


def libdeflate_version() -> str:
    """Return the version of the library, "unknown" where nobody said which one is there."""
    return _VERSION


class GzipCompressor:
    """Makes gzip members (RFC 1952) without name and time. One thread may use it at a time."""

    def __init__(self, level: int) -> None:
        """`level` is one of `LEVELS`."""
        if level not in LEVELS:
            raise ValueError(f"libdeflate has no level {level}")
        self._library = _library()
        self._compressor = self._library.libdeflate_alloc_compressor(level)
        if not self._compressor:
            raise MemoryError
        self._target = ctypes.create_string_buffer(0)

    def member(self, data: bytes) -> bytes:
        """Return `data` as one gzip member."""
        bound = self._library.libdeflate_gzip_compress_bound(self._compressor, len(data))
        if len(self._target) < bound:
            self._target = ctypes.create_string_buffer(bound)
        size = self._library.libdeflate_gzip_compress(
            self._compressor, data, len(data), self._target, len(self._target)
        )
        if not size:
            raise ValueError("libdeflate's bound is too low")
        return ctypes.string_at(self._target, size)

    def __del__(self) -> None:
        """Free the compressor."""
        if getattr(self, "_compressor", None):
            self._library.libdeflate_free_compressor(self._compressor)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_FILE)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.libdeflate_alloc_compressor.argtypes = [ctypes.c_int]
    library.libdeflate_alloc_compressor.restype = pointer
    library.libdeflate_gzip_compress_bound.argtypes = [pointer, size]
    library.libdeflate_gzip_compress_bound.restype = size
    library.libdeflate_gzip_compress.argtypes = [pointer, ctypes.c_char_p, size, pointer, size]
    library.libdeflate_gzip_compress.restype = size
    library.libdeflate_free_compressor.argtypes = [pointer]
    library.libdeflate_free_compressor.restype = None
    return library
