"""Measuring commands side by side: A B A B …, and the ratio of each pair.

These are whole processes, measured from outside with wait4(2). Machines are
noisy, so that only ratios within one run are worth quoting.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One run of a command: wall-clock seconds, peak memory of the process in bytes.

    `cpu` are the seconds that all its threads were at work.
    """

    seconds: float
    peak: int
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of one figure over all runs."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of `values`."""
    return Spread(min(values), statistics.median(values), max(values))


def run(command: Sequence[str], *, into: Sequence[str] = ("cat",)) -> Run:
    """Run `command` with a pipe to the program `into`, which throws everything away.

    Raises `RuntimeError` where either fails: a failed run has no figure.
    """
    start = time.monotonic()
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reader = subprocess.Popen(into, stdin=writer.stdout, stdout=subprocess.DEVNULL)
    assert writer.stdout
    writer.stdout.close()
    _, status, usage = os.wait4(writer.pid, 0)
    writer.returncode = os.waitstatus_to_exitcode(status)
    code = reader.wait()
    seconds = time.monotonic() - start
    if writer.returncode or code:
        raise RuntimeError(f"{command[0]} ended with {writer.returncode}, {into[0]} with {code}")
    return Run(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


def first_byte(command: Sequence[str]) -> float:
    """Return after how many seconds `command` writes its first byte; then it is stopped."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        if not os.read(process.stdout.fileno(), 1):
            raise RuntimeError(f"{command[0]} wrote nothing")
        seconds = time.monotonic() - start
        process.kill()
    return seconds


@dataclass(frozen=True)
class Comparison:
    """What two commands took, run in turn; `ratio` is the other's time over ours, pair by pair."""

    ours: Spread
    other: Spread
    ratio: Spread
    peak: int


def compare(ours: Sequence[str], other: Sequence[str], *, pairs: int) -> Comparison:
    """Run both commands `pairs` times in turn, after one of each that doesn't count."""
    for command in (ours, other):
        run(command)
    measured = [(run(ours), run(other)) for _ in range(pairs)]
    return Comparison(
        ours=spread([mine.seconds for mine, _ in measured]),
        other=spread([its.seconds for _, its in measured]),
        ratio=spread([its.seconds / mine.seconds for mine, its in measured]),
        peak=max(mine.peak for mine, _ in measured),
    )
