"""Compressing in pieces that don't know of each other, on all cores.

Each piece becomes a gzip member (RFC 1952) or a zstd frame (RFC 8878), and what reads either format
reads several, one behind the other, as one file. So the bytes depend on nothing but the data, the
level, the size of the pieces and the version of the library.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import zstandard

from builders.compression.libdeflate import LEVELS, GzipCompressor, libdeflate_version

MEMBER_LEVELS: Final = {"gz": LEVELS, "zstd": range(1, 20)}
"""The compressors that work in pieces, and which levels each has."""

MEMBER_SIZES: Final = {"gz": 1 << 20, "zstd": 4 << 20}
"""Bytes of a piece. zstd looks back further than gzip, and loses more where it can't."""


@dataclass(frozen=True)
class MemberFormat:
    """How pieces are compressed: by `compressor` at `level`, both of `MEMBER_LEVELS`."""

    compressor: str
    level: int

    def __post_init__(self) -> None:
        """Raise `ValueError` for a compressor or a level that there is none of."""
        if self.compressor not in MEMBER_LEVELS:
            raise ValueError(f"unknown compressor {self.compressor}")
        if self.level not in MEMBER_LEVELS[self.compressor]:
            raise ValueError(f"{self.compressor} has no level {self.level}")

    @property
    def size(self) -> int:
        """Bytes of a piece; the last one is smaller."""
        return MEMBER_SIZES[self.compressor]

    def __str__(self) -> str:
        """All that the bytes depend on: "libdeflate 1.14, level 1, members of 1048576 bytes"."""
        if self.compressor == "gz":
            library = f"libdeflate {libdeflate_version()}"
        else:
            library = f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"
        return f"{library}, level {self.level}, members of {self.size} bytes"

    def new(self) -> Callable[[bytes], bytes]:
        """Return what compresses a piece. One thread may use it at a time."""
        if self.compressor == "gz":
            return GzipCompressor(self.level).member
        return zstandard.ZstdCompressor(level=self.level).compress


class Members:
    """Threads that compress pieces; a context manager, which ends them.

    Pieces reach their targets in the order in which they were added, whichever is done first; the
    targets are called by the thread that adds.
    """

    def __init__(self, format_: MemberFormat, threads: int) -> None:
        """`threads` of at least 1 compress in `format_`."""
        self.format = format_
        self._local = threading.local()
        # The libraries let go of the interpreter's lock while they compress.
        self._pool = ThreadPoolExecutor(threads)
        self._most = 2 * threads
        self._pending: deque[tuple[Future[bytes], Callable[[bytes], object]]] = deque()

    def __enter__(self) -> Self:
        """Start no thread yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the threads; what is not finished is dropped."""
        self._pool.shutdown(cancel_futures=True)

    def add(self, piece: bytes, target: Callable[[bytes], object]) -> None:
        """Let `piece`, of at most the format's size, be compressed; `target` gets what it became.

        Waits where too many pieces wait already.
        """
        self._pending.append((self._pool.submit(self._compress, piece), target))
        while len(self._pending) > self._most:
            self._hand_over()

    def then(self, call: Callable[[], object]) -> None:
        """Let `call` be called once all that was added before it is handed over."""
        done: Future[bytes] = Future()
        done.set_result(b"")
        self._pending.append((done, lambda _: call()))

    def finish(self) -> None:
        """Hand over all that was added."""
        while self._pending:
            self._hand_over()

    def _hand_over(self) -> None:
        future, target = self._pending.popleft()
        target(future.result())

    def _compress(self, piece: bytes) -> bytes:
        if not hasattr(self._local, "compress"):
            self._local.compress = self.format.new()
        made: bytes = self._local.compress(piece)
        return made
