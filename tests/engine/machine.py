"""Another Debian beside this one: its programs, in mounts and processes of their own."""

import os
import pathlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.conftest import REPOSITORY

RELEASE = os.environ.get("LONGSHORE_ENGINES", "trixie")
"""The release of Debian whose engines are tested beside those of this machine."""

NEWEST = "sid"
"""The release that has Debian's newest Docker: 28 in 2026. Nothing else of it is tested."""

_START_LIMIT = 60
"""Seconds that the mounts have for being made: they take a fraction of one."""


@dataclass(frozen=True)
class Machine:
    """A Debian in which commands run: `[*prefix, program, argument…]`.

    It shares with this machine the kernel, the Nix store, and `directory`, whose path is the same
    in both. Containers belong into `cgroup`.
    """

    prefix: tuple[str, ...]
    directory: pathlib.Path
    cgroup: str


def engines_root(release: str, kind: str = "engines") -> pathlib.Path:
    """Return the root of a Debian of this release that has its engines, or its "docker" only.

    Where there is none, it is made. Raises `RuntimeError` with the reason why it can't be.
    """
    command = [str(REPOSITORY / "tests/debian/engines"), release, kind]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())
    return pathlib.Path(result.stdout.strip())


def make_engines_root(release: str, kind: str) -> subprocess.Popen[bytes]:
    """Begin to make what `engines_root` will ask for, which then waits until it is there."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", REPOSITORY / "tests/debian/engines", release, kind],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def machine(root: pathlib.Path, directory: pathlib.Path) -> Iterator[Machine]:
    """Run a machine out of the system at `root`, which stays as it is.

    What it writes is in `directory`, which is empty before, and on a file system that can be the
    upper one of an overlay. With this process, even if it is killed, all processes of the machine
    end and all mounts are gone: they are in namespaces that end with their first process.
    """
    over, shared, ready = directory / "over", directory / "shared", directory / "shared/ready"
    over.mkdir()
    shared.mkdir()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    log = directory / "log"
    with log.open("wb") as said:
        first = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *(REPOSITORY / "tests/debian/enter", "--over", over),
                *("--bind", shared, shared, "--bind-read-only", "/nix/store", "/nix/store"),
                # The first process has to wait for those that lose their parents.
                *(root, "sh", "-c", 'touch "$1"; while :; do sleep 1; done', "sh", ready),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={"PATH": path},
            start_new_session=True,
        )
    inside, cgroup = "", f"longshore-{os.getpid()}"
    try:
        _await(ready, first, log)
        inside = pathlib.Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().strip()
        enter = ("nsenter", f"--target={inside}", "--mount", "--pid", "--root", "--wd")
        environment = ("env", "-i", f"PATH={path}", "HOME=/root", "LANG=C.UTF-8")
        yield Machine((*enter, *environment), shared, cgroup)
    finally:
        first.kill()
        first.wait()
        # The first process inside is reaped when all the others have been.
        while inside and pathlib.Path(f"/proc/{inside}").exists():
            time.sleep(0.02)
        _remove_cgroups(cgroup)


@contextmanager
def this_machine(directory: pathlib.Path) -> Iterator[Machine]:
    """Take the machine that the tests run on for one, with the empty `directory` of it."""
    cgroup = f"longshore-{os.getpid()}-here"
    try:
        yield Machine((), directory, cgroup)
    finally:
        _remove_cgroups(cgroup)


def _remove_cgroups(name: str) -> None:
    """Remove what is left of the cgroup `name`, in every hierarchy, with all below it."""
    hierarchies = pathlib.Path("/sys/fs/cgroup")
    for top in (hierarchies / name, *hierarchies.glob(f"*/{name}")):
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)


def _await(ready: pathlib.Path, first: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while not ready.exists():
        if first.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the mounts could not be made: {log.read_text()}")
        time.sleep(0.05)
