"""Loading images into a Docker daemon of its own, beside `docker load` of their streams."""

import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import Bench, row
from pairs import Comparison, spread
from report import Row

# Behind the installed builders, which are what is measured.
sys.path.append(str(pathlib.Path(__file__).parents[1]))

from tests.engine.engines import Docker, docker_daemon


@dataclass(frozen=True)
class Loadable:
    """An image: the program that loads it and the script that streams it."""

    program: str
    stream: str


def measure_loads(bench: Bench) -> list[Row]:
    """Load images into a daemon of their own, and return the lines of the table."""

    def loadable(image: str) -> Loadable:
        program = bench.built / f"{image}-load/bin/copy-to-docker-daemon"
        return Loadable(str(program), shlex.join(bench.stream(image)))

    image = "tenth" if bench.small else "large"
    what = f"load {0.3 if bench.small else 3.5} GB"
    old, new = loadable(f"{image}-before"), loadable(f"{image}-after")
    with daemon() as docker:
        first = compare_first(docker, loadable("tenth-after"), pairs=bench.pairs)
        changed = compare_changed(docker, old, new, pairs=bench.pairs)
        there = compare_there(docker, new, pairs=bench.pairs)
    against = "the stream, docker load"
    return [
        row("load 0.3 GB into an empty Docker", against, first, at_least=0.9),
        row(f"{what} after a change", against, changed, at_least=5),
        Row(
            what=f"{what} that is there",
            against=against,
            unit="s",
            ours=there.ours,
            other=there.other,
            at_most=0.4,
        ),
    ]


@contextmanager
def daemon() -> Iterator[Docker]:
    """Run a Docker daemon without images."""
    with (
        tempfile.TemporaryDirectory() as directory,
        docker_daemon(pathlib.Path(directory), "--storage-driver=overlay2") as docker,
    ):
        yield docker


def compare_first(docker: Docker, image: Loadable, *, pairs: int) -> Comparison:
    """Load `image` where nothing is."""

    def timed(command: str) -> float:
        docker.remove_all()
        return _run(command)

    return _comparison(
        [(timed(_ours(docker, image)), timed(_its(docker, image))) for _ in range(pairs)]
    )


def compare_changed(docker: Docker, old: Loadable, new: Loadable, *, pairs: int) -> Comparison:
    """Load `new` where `old` is, as often as is said, and at last let both stay."""
    docker.remove_all()
    _run(f"{_ours(docker, old)} old:1")

    def timed(command: str) -> float:
        others = set(docker.images())
        seconds = _run(command)
        added = set(docker.images()) - others
        docker.command("image", "rm", "--force", *added)
        return seconds

    measured = [(timed(_ours(docker, new)), timed(_its(docker, new))) for _ in range(pairs)]
    _run(_ours(docker, new))
    return _comparison(measured)


def compare_there(docker: Docker, image: Loadable, *, pairs: int) -> Comparison:
    """Load `image`, which is there."""
    return _comparison(
        [(_run(_ours(docker, image)), _run(_its(docker, image))) for _ in range(pairs)]
    )


def _ours(docker: Docker, image: Loadable) -> str:
    return f"{image.program} --client '{' '.join(docker.client())}'"


def _its(docker: Docker, image: Loadable) -> str:
    return f"{image.stream} | {' '.join(docker.client())} load"


def _run(command: str) -> float:
    """Return the seconds that a shell command takes."""
    start = time.monotonic()
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - start


def _comparison(runs: Sequence[tuple[float, float]]) -> Comparison:
    return Comparison(
        ours=spread([ours for ours, _ in runs]),
        other=spread([its for _, its in runs]),
        ratio=spread([its / ours for ours, its in runs]),
        peak=0,
    )
