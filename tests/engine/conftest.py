"""Fixtures of the tests that hand images to container engines."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.engine.engines import Docker, Podman, docker_daemon
from tests.engine.machine import (
    NEWEST,
    RELEASE,
    Machine,
    engines_root,
    machine,
    make_engines_root,
    this_machine,
)
from tests.engine.others import ENGINES, Engine, Running, started


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
def other_root(request: pytest.FixtureRequest) -> pathlib.Path:
    """The root of another Debian, with its engines."""
    return _root(request.config, RELEASE, "engines")


@pytest.fixture(scope="session")
def newest_root(request: pytest.FixtureRequest) -> pathlib.Path:
    """The root of a Debian with its newest Docker."""
    return _root(request.config, NEWEST, "docker")


_IN_OTHER_ROOTS = {"other_root", "newest_root", "other_machine", "running", "module_engine"}
"""Fixtures that need the engines of another Debian."""

_MADE = pytest.StashKey[list[subprocess.Popen[bytes]]]()
"""The processes that make them while other tests run. A fixture waits, and tells what fails."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to make what the tests need later, and takes minutes where it isn't kept."""
    if session.config.option.collectonly:
        return
    if any(_IN_OTHER_ROOTS.intersection(item.fixturenames) for item in _functions(session)):
        session.config.stash[_MADE] = [
            make_engines_root(release, kind)
            for release, kind in ((RELEASE, "engines"), (NEWEST, "docker"))
        ]


def _functions(session: pytest.Session) -> Iterator[pytest.Function]:
    return (item for item in session.items if isinstance(item, pytest.Function))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what no test has waited for."""
    for process in session.config.stash.get(_MADE, []):
        if process.poll() is None:
            # With what it runs in the foreground, or it would wait for that.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


_ROOTS = pytest.StashKey[list[str]]()
"""What is said in the end of the roots that were used."""


def _root(config: pytest.Config, release: str, kind: str) -> pathlib.Path:
    try:
        root = engines_root(release, kind)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    versions = (root / "etc/longshore-versions").read_text().split("\n")
    made = (root / "etc/longshore-made").read_text().strip()
    said = f"Debian {release} ({made}): {', '.join(' '.join(v.split()) for v in versions if v)}"
    config.stash.setdefault(_ROOTS, []).append(said)
    return root


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which versions the engines of other releases have: they move without us."""
    for said in config.stash.get(_ROOTS, []):
        terminalreporter.write_line(said)


@pytest.fixture(scope="module")
def other_machine(engine_directory: pathlib.Path, other_root: pathlib.Path) -> Iterator[Machine]:
    """Another Debian, with its engines, running."""
    with machine(other_root, _new_directory(engine_directory)) as other:
        yield other


@pytest.fixture(scope="module")
def newest_machine(engine_directory: pathlib.Path, newest_root: pathlib.Path) -> Iterator[Machine]:
    """A Debian with its newest Docker, running."""
    with machine(newest_root, _new_directory(engine_directory)) as other:
        yield other


@pytest.fixture(scope="module")
def own_machine(engine_directory: pathlib.Path) -> Iterator[Machine]:
    """The machine that the tests run on."""
    with this_machine(_new_directory(engine_directory)) as own:
        yield own


_MACHINES = {"newest": "newest_machine", "this": "own_machine"}
"""The fixtures of machines by the first words of engines' names."""


def _new_directory(parent: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(dir=parent))


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each of the engines in turn."""
    name: str = request.param
    whose = name.split()[0]
    other: Machine = request.getfixturevalue(_MACHINES.get(whose, "other_machine"))
    # A new one each time, under a short name, for the sake of sockets below it.
    directory = other.directory / str(len(list(other.directory.iterdir())))
    directory.mkdir()
    with started(name, other, directory) as engine:
        yield Running(name, other, engine)


@pytest.fixture
def engine(running: Running) -> Iterator[Engine]:
    """An engine without images."""
    yield running.engine
    running.engine.remove_all()
