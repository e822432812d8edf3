"""What a user sees of blobs on their way: bars on a terminal, plain lines elsewhere."""

import shutil
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final, TextIO

from builders.console.progress import size
from builders.console.terminal import tell, visible

_INTERVAL: Final = 0.1
"""Seconds between two updates of the bars."""
_BAR: Final = 24
_SHOWN: Final = 8
"""Blobs that have a line at a time."""
_CLEAR: Final = "\x1b[K"


@dataclass
class _Blob:
    name: str
    size: int
    sent: int = 0
    note: str = ""


class Transfers:
    """Tells on stderr how far blobs have come; for several threads."""

    def __init__(self, *, moving: bool | None = None, stream: TextIO | None = None) -> None:
        """`moving` forces bars or plain lines; None asks whether it is a terminal."""
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() if moving is None else moving
        self._lock = threading.Lock()
        self._active: dict[str, _Blob] = {}
        self._waiting: dict[str, int] = {}
        self._sent = 0
        self._counts = {"sent": 0, "there already": 0, "mounted": 0}
        self._start = time.monotonic()
        self._shown = 0.0
        self._lines = 0

    def expect(self, key: str, count: int) -> None:
        """Say that the blob `key` may have to be sent, some `count` bytes of it."""
        with self._lock:
            self._waiting[key] = count

    def begin(self, key: str, name: str, count: int, note: str = "") -> None:
        """Begin with the blob `key`, which people know as `name` and which has `count` bytes."""
        with self._lock:
            self._waiting.pop(key, None)
            self._active[key] = _Blob(name, count, note=note)
            self._show()

    def move(self, key: str, count: int) -> None:
        """Say that `count` more bytes of the blob are through."""
        with self._lock:
            if blob := self._active.get(key):
                blob.sent += count
                self._show()

    def end(self, key: str, status: str, name: str, count: int) -> None:
        """Say that the blob, of `count` bytes, is "sent", "there already" or "mounted"."""
        with self._lock:
            self._waiting.pop(key, None)
            self._active.pop(key, None)
            self._counts[status] += 1
            if status == "sent":
                self._sent += count
            # What is there already are many, and nothing happened to them.
            if status != "there already":
                self._log(f"{name}: {status}, {size(count)}")
            self._show()

    def log(self, line: str) -> None:
        """Print `line`, where no terminal shows bars instead."""
        with self._lock:
            self._log(line)

    def finish(self) -> None:
        """Say what was done in all."""
        with self._lock:
            self._erase()
            elapsed = time.monotonic() - self._start
            counts = ", ".join(
                f"{count} {status}" for status, count in self._counts.items() if count
            )
            rate = f", {size(self._sent / elapsed)}/s" if self._sent and elapsed else ""
            tell(
                f"{counts or 'nothing to do'}: {size(self._sent)} in {elapsed:.1f} s{rate}",
                stream=self._stream,
            )

    def abandon(self) -> None:
        """Take the bars away, so that an error begins on a line of its own."""
        with self._lock:
            self._erase()

    def _log(self, line: str) -> None:
        if not self._terminal:
            tell(visible(line), stream=self._stream)

    def _show(self) -> None:
        now = time.monotonic()
        if not self._terminal or now - self._shown < _INTERVAL:
            return
        self._shown = now
        width = shutil.get_terminal_size().columns - 1
        blobs = sorted(self._active.values(), key=lambda blob: blob.size, reverse=True)
        lines = [_line(blob) for blob in blobs[:_SHOWN]]
        lines.append(self._total(now - self._start))
        up = f"\x1b[{self._lines - 1}A" if self._lines > 1 else ""
        text = "\n".join(f"{_CLEAR}{visible(line)[:width]}" for line in lines)
        # What was below is gone as well.
        tell(f"\r{up}{text}\x1b[J", end="", stream=self._stream)
        self._lines = len(lines)

    def _total(self, elapsed: float) -> str:
        moved = self._sent + sum(blob.sent for blob in self._active.values() if not blob.note)
        left = sum(self._waiting.values()) + sum(
            max(blob.size - blob.sent, 0) for blob in self._active.values()
        )
        rate = moved / elapsed if elapsed else 0.0
        parts = [f"{count} {status}" for status, count in self._counts.items() if count]
        parts.append(f"{size(moved)} of {size(moved + left)}")
        if rate:
            parts.append(f"{size(rate)}/s, {left / rate:.0f} s left")
        return "total: " + ", ".join(parts)

    def _erase(self) -> None:
        if self._lines:
            up = f"\x1b[{self._lines - 1}A" if self._lines > 1 else ""
            tell(f"\r{up}\x1b[J", end="", stream=self._stream)
            self._lines = 0


def _line(blob: _Blob) -> str:
    part = min(blob.sent / blob.size, 1.0) if blob.size else 1.0
    bar = ("█" * round(part * _BAR)).ljust(_BAR, "·")
    note = f" {blob.note}" if blob.note else ""
    return f"{blob.name:<22} {bar} {part:4.0%} of {size(blob.size)}{note}"
