"""Tables that fit a terminal: columns give way, and the last one is cut."""

import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.terminal import visible

_USUAL: Final = 80
"""Columns of a terminal that doesn't say how many it has."""
_UNLIMITED: Final = 1 << 16
"""Columns where programs read on, and not people: nothing is cut."""
_GAP: Final = "  "
_LEAST: Final = 16
"""Columns that the last one needs before others give way."""
_CUT: Final = "…"


@dataclass(frozen=True)
class Column:
    """A column: its heading, and how soon it gives way where room is scarce; 0 never does."""

    heading: str
    gives_way: int = 0


def terminal_width() -> int:
    """Return the columns of the terminal that standard output is, or as `COLUMNS` says.

    For a file or a pipe there is no limit: many more than any text has.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _UNLIMITED


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> list[str]:
    """Return the lines of a table of at most `width` columns.

    All but the last column are aligned to the right; the last one is cut with "…". What would
    control a terminal is shown instead.
    """
    kept = list(range(len(columns)))
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [
        max(display_width(text) for text in (column.heading, *(row[number] for row in cells)))
        for number, column in enumerate(columns)
    ]
    last = len(columns) - 1
    while len(kept) > 1:
        left = width - sum(widths[number] + len(_GAP) for number in kept if number != last)
        if left >= min(_LEAST, widths[last]):
            break
        soonest = max(kept[:-1], key=lambda number: columns[number].gives_way)
        if not columns[soonest].gives_way:
            break
        kept.remove(soonest)
    lines = [[column.heading for column in columns], *cells]
    return [_line([line[n] for n in kept], [widths[n] for n in kept], width) for line in lines]


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    parts = [
        " " * (room - display_width(cell)) + cell
        for cell, room in zip(cells[:-1], widths[:-1], strict=True)
    ]
    return cut(_GAP.join([*parts, cells[-1]]).rstrip(), width)


def cut(text: str, width: int) -> str:
    """Return `text`, or what fits of it into `width` columns and "…"."""
    if display_width(text) <= width:
        return text
    kept = []
    used = len(_CUT)
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + _CUT


def wrapped(text: str, width: int, *, hanging: int = 2) -> list[str]:
    """Return the lines of a sentence that has more than `width` columns.

    The later ones are indented by `hanging` columns more than the first. What would control a
    terminal is shown instead.
    No word is divided, so that names can be copied; one that fits on no line is cut with "…".
    """
    text = visible(text)
    words = text.split()
    begin = text[: len(text) - len(text.lstrip())]
    lines, line = [], begin
    for word in words:
        longer = f"{line} {word}" if line.strip() else f"{line}{word}"
        if line.strip() and display_width(longer) > width:
            lines.append(line)
            longer = f"{begin}{' ' * hanging}{word}"
        line = longer
    return [cut(each, width) for each in (*lines, line)]


def display_width(text: str) -> int:
    """Return how many columns `text` takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
