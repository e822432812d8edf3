"""Loading images into a Docker daemon of its own, beside `docker load` of their streams."""

import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pairs import Comparison, spread

# Behind the installed builders, which are what is measured.
sys.path.append(str(pathlib.Path(__file__).parents[1]))

from tests.engine.engines import Docker, docker_daemon


@dataclass(frozen=True)
class Loadable:
    """An image: the program that loads it and the script that streams it."""

    program: str
    stream: str


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
