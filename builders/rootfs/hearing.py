"""What programs say on stderr, overheard: it goes on to where it would have gone."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_MOST: Final = 64
"""Lines that are kept."""
_PATIENCE: Final = 1.0
"""Seconds to wait for what still holds stderr, such as a daemon that a script started."""


@contextmanager
def overhear(wanted: Callable[[str], bool]) -> Iterator[list[str]]:
    """Give a list that has the `wanted` lines of stderr when the context is left."""
    sys.stderr.flush()
    heard: list[str] = []
    memory = os.memfd_create("heard")
    stderr = os.dup(2)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writer)
            _pass_on(reader, stderr, memory, wanted)
        finally:
            os._exit(0)
    os.close(reader)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield heard
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        _wait(child)
        with os.fdopen(memory, "rb") as file:
            file.seek(0)
            heard += file.read().decode(errors="surrogateescape").splitlines()


def _pass_on(reader: int, stderr: int, memory: int, wanted: Callable[[str], bool]) -> None:
    rest = b""
    kept = 0
    while data := os.read(reader, 1 << 16):
        left = data
        while left:
            left = left[os.write(stderr, left) :]
        *lines, rest = (rest + data).split(b"\n")
        # A line without end is nothing that anybody could read.
        rest = rest[-(1 << 16) :]
        for line in lines:
            if kept < _MOST and wanted(line.decode(errors="surrogateescape")):
                os.write(memory, line + b"\n")
                kept += 1


def _wait(child: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
