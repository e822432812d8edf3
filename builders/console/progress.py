"""What a user sees of a running stream: one moving line on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Final, TextIO

from builders.console.terminal import tell, visible

_INTERVAL: Final = 0.1
"""Seconds between two updates of the line: often enough to see it move."""


MANY_PATHS: Final = 5_000
"""Store paths from which on it takes seconds to look at how they need each other."""


def announce(doing: str, paths: int) -> None:
    """Say that so many store `paths` are looked at, if that takes seconds."""
    if paths >= MANY_PATHS:
        tell(f"{doing} {paths:,} store paths …")


class Progress:
    """Tells on stderr how far the writing of `total` bytes in `layers` layers has come."""

    def __init__(
        self, *, total: int, layers: int, moving: bool | None = None, stream: TextIO = sys.stderr
    ) -> None:
        """`moving` forces the one moving line or plain ones; None asks whether it is a terminal."""
        self._stream = stream
        self._terminal = stream.isatty() if moving is None else moving
        self._total = total
        self._layers = layers
        self._layer = 0
        self._start = time.monotonic()
        self._shown = 0.0

    def expect(self, total: int, *, layers: int = 1) -> None:
        """Count on so many more bytes, in so many more layers."""
        self._total += total
        self._layers += layers

    def log(self, line: str) -> None:
        """Print `line`, where no terminal shows the moving line instead."""
        if not self._terminal:
            tell(visible(line), stream=self._stream)

    def layer(self, line: str) -> None:
        """Begin the next layer, which `line` describes."""
        self._layer += 1
        self.log(line)

    def update(self, written: int) -> None:
        """Show that `written` bytes have gone out, if it is time to."""
        if not self._terminal:
            return
        now = time.monotonic()
        if now - self._shown < _INTERVAL:
            return
        self._shown = now
        elapsed = now - self._start
        rate = written / elapsed if elapsed else 0.0
        left = (self._total - written) / rate if rate else 0.0
        self._show(
            f"layer {self._layer} of {self._layers}, {size(written)} of {size(self._total)}, "
            f"{size(rate)}/s, {left:.0f} s left"
        )

    def finish(self, written: int) -> None:
        """Say that all `written` bytes are out."""
        self.log("Done.")
        if self._terminal:
            elapsed = time.monotonic() - self._start
            rate = f", {size(written / elapsed)}/s" if elapsed > _INTERVAL else ""
            self._show(f"{self._layers} layers, {size(written)} in {elapsed:.1f} s{rate}")
            tell("", stream=self._stream)

    def abandon(self) -> None:
        """Leave the moving line as it is, so that an error begins on a line of its own."""
        if self._terminal and self._shown:
            tell("", stream=self._stream)

    def _show(self, text: str) -> None:
        tell(f"\r\x1b[K{text}", end="", stream=self._stream)


def size(count: float) -> str:
    """Return `count` bytes for people: decimal units, as Docker prints them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
