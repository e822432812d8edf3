"""The machine of the other engines comes and goes without a trace."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from tests.conftest import REPOSITORY
from tests.engine.engines import EngineError, docker_daemon, execute
from tests.engine.machine import Machine, machine

HOLD = """
import pathlib, subprocess, sys
from tests.engine.machine import machine
with machine(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])) as other:
    subprocess.Popen([*other.prefix, "sleep", sys.argv[3]])
    print("started", flush=True)
    sys.stdin.read()
"""


def processes(argument: str) -> list[str]:
    """The processes that have this argument."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if argument.encode() in words:
            found.append(path.parent.name)
    return found


def left(directory: pathlib.Path) -> list[str]:
    """The mounts below a directory, and the cgroups of machines of this process."""
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    cgroups = pathlib.Path("/sys/fs/cgroup").glob(f"**/longshore-{os.getpid()}")
    return [line for line in mounts if str(directory) in line] + [str(path) for path in cgroups]


@pytest.fixture
def directory(engine_directory: pathlib.Path) -> pathlib.Path:
    """Where a machine may write."""
    return pathlib.Path(tempfile.mkdtemp(dir=engine_directory))


def test_it_is_another_debian_with_the_store_of_this_one(other_machine: Machine):
    said = execute([*other_machine.prefix, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"])
    here = execute(["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"])
    assert said.strip()
    assert said != here
    path = next(pathlib.Path("/nix/store").iterdir())
    assert execute([*other_machine.prefix, "ls", "-d", str(path)]).strip() == str(path)
    with pytest.raises(EngineError, match="Read-only file system"):
        execute([*other_machine.prefix, "touch", "/nix/store/new"])


def test_what_it_writes_is_gone_with_it(other_root: pathlib.Path, directory: pathlib.Path):
    with machine(other_root, directory) as other:
        execute([*other.prefix, "sh", "-c", "echo x > /etc/written; rm /etc/os-release"])
        assert execute([*other.prefix, "cat", "/etc/written"]) == "x\n"
    assert not (other_root / "etc/written").exists()
    assert (other_root / "etc/os-release").is_symlink()


def test_a_failure_leaves_no_daemon_no_mount_and_no_cgroup(
    other_root: pathlib.Path, directory: pathlib.Path
):
    with pytest.raises(ZeroDivisionError), machine(other_root, directory) as other:
        daemon = other.directory / "docker"
        daemon.mkdir()
        options = (f"--cgroup-parent=/{other.cgroup}", "--storage-driver=overlay2")
        with docker_daemon(daemon, *options, prefix=other.prefix) as docker:
            assert processes(docker.host)
            raise ZeroDivisionError
    assert not processes(docker.host)
    assert not left(directory)


def test_it_ends_with_the_tests_even_if_they_are_killed(
    other_root: pathlib.Path, directory: pathlib.Path
):
    unique = f"{time.time():.7f}"
    command = [sys.executable, "-c", HOLD, str(other_root), str(directory), unique]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tests:
        assert tests.stdout
        assert tests.stdout.readline() == b"started\n"
        deadline = time.monotonic() + 10
        while len(processes(unique)) < 2:
            assert time.monotonic() < deadline
        tests.send_signal(signal.SIGKILL)
    while processes(unique):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not left(directory)
