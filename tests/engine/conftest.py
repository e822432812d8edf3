"""Fixtures of the tests that hand images to container engines."""

import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests.engine.engines import Docker, Podman, docker_daemon
from tests.engine.machine import RELEASE, Machine, engines_root, machine


@pytest.fixture(scope="session")
def engine_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A directory with a short path: that of a socket has 107 bytes at most."""
    directory = tmp_path_factory.mktemp("e")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def docker_engine(engine_directory: pathlib.Path) -> Iterator[Docker]:
    """The one Docker daemon of all tests."""
    directory = engine_directory / "docker"
    directory.mkdir()
    with docker_daemon(directory, "--storage-driver=vfs") as docker:
        yield docker


@pytest.fixture
def docker(docker_engine: Docker) -> Iterator[Docker]:
    """A Docker daemon without images, real and running."""
    yield docker_engine
    docker_engine.remove_all()


@pytest.fixture
def podman(engine_directory: pathlib.Path) -> Iterator[Podman]:
    """Podman without images."""
    podman = Podman(engine_directory / "podman")
    yield podman
    podman.remove_all()


@pytest.fixture(scope="session")
def other_root() -> pathlib.Path:
    """The root of another Debian, with its engines."""
    try:
        return engines_root(RELEASE)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def other_machine(engine_directory: pathlib.Path, other_root: pathlib.Path) -> Iterator[Machine]:
    """Another Debian, with its engines, running."""
    directory = tempfile.mkdtemp(dir=engine_directory)
    with machine(other_root, pathlib.Path(directory)) as other:
        yield other
