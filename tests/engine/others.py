"""The engines of another Debian, and those of them that this machine's tests don't have.

These are containerd, buildah, and skopeo with umoci.
"""

import os
import pathlib
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.engine.engines import (
    Completed,
    Podman,
    await_answer,
    docker_daemon,
    execute,
    open_archive,
    skopeo_copy,
    umoci_unpack,
)
from tests.engine.machine import Machine

_NEWEST = ("newest docker-overlay2", "newest docker-containerd")

CONTAINERS = ["docker-overlay2", "docker-containerd", *_NEWEST, "containerd", "podman"]
"""Engines that make containers; the others only unpack images.

"newest" are those of Debian's newest Docker, and "this" of this machine.
"""

ENGINES = [*CONTAINERS, "buildah", "skopeo and umoci"]


class Engine(Protocol):
    """What loads images and runs their programs; raises `EngineError` where it can't."""

    def load(self, image: os.PathLike[str] | str) -> str:
        """Load an archive, or what a stream script writes, and return a name for `run`."""

    def run(self, image: str, *arguments: str) -> Completed:
        """Run a program of the image as the image's user, and return what it printed."""

    def remove_all(self) -> None:
        """Remove all images."""


@dataclass(frozen=True)
class Running:
    """An engine, its name in `ENGINES`, and the machine that it runs on."""

    name: str
    machine: Machine
    engine: Engine


@contextmanager
def started(name: str, machine: Machine, directory: pathlib.Path) -> Iterator[Engine]:
    """Run the engine `name` of a machine, with all that it writes in `directory`."""
    prefix, cgroup = machine.prefix, f"/{machine.cgroup}"
    match name.removeprefix("newest ").removeprefix("this "):
        case "docker-overlay2":
            options = (f"--cgroup-parent={cgroup}", "--storage-driver=overlay2")
            with docker_daemon(directory, *options, prefix=prefix) as docker:
                yield docker
        case "docker-containerd":
            option = f"--cgroup-parent={cgroup}"
            features = {"containerd-snapshotter": True}
            with docker_daemon(directory, option, prefix=prefix, features=features) as docker:
                yield docker
        case "containerd":
            with containerd(machine, directory) as daemon:
                yield daemon
        case "podman":
            yield Podman(directory, "overlay", prefix, cgroup)
        case "buildah":
            yield Buildah(directory, prefix)
        case _:
            yield Umoci(directory, prefix)


@dataclass(frozen=True)
class Containerd:
    """A containerd that listens at `socket`, by its client `ctr`."""

    socket: pathlib.Path
    prefix: tuple[str, ...]
    namespace: str

    def command(self, *arguments: str) -> str:
        """Run ctr and return what it prints to stdout; raises `EngineError`."""
        return execute([*self.client(), *arguments])

    def load(self, image: os.PathLike[str] | str) -> str:
        """Import an archive, or what a stream script writes."""
        with open_archive(image, ()) as archive:
            output = execute([*self.client(), "images", "import", "-"], stdin=archive)
        # 1.7: "unpacking NAME (DIGEST)...done"; 2.1: a line that begins with the name.
        (name,) = set(re.findall(r"^(?:unpacking )?(\S+/\S+:\S+)\s", output, re.MULTILINE))
        return str(name)

    def run(self, image: str, *arguments: str) -> Completed:
        """Run a container without a network until it ends; raises `EngineError` if it fails."""
        output = self.command("run", "--rm", image, uuid.uuid4().hex, *arguments)
        return subprocess.CompletedProcess(arguments, 0, output, "")

    def remove_all(self) -> None:
        """Remove all images."""
        images = self.command("images", "list", "--quiet").split()
        if images:
            self.command("images", "rm", "--sync", *images)

    def client(self) -> list[str]:
        """Return the words that its client begins with."""
        return [*self.prefix, "ctr", "--address", str(self.socket), "--namespace", self.namespace]


@contextmanager
def containerd(machine: Machine, directory: pathlib.Path) -> Iterator[Containerd]:
    """Run a containerd whose data, state, socket and log lie in `directory`."""
    socket, log = directory / "sock", directory / "log"
    command = [
        *(*machine.prefix, "setpriv", "--pdeathsig", "TERM", "containerd"),
        *("--address", str(socket), "--root", f"{directory}/root", "--state", f"{directory}/state"),
    ]
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # ctr makes a cgroup for its namespace.
        engine = Containerd(socket, machine.prefix, namespace=machine.cgroup)
        await_answer(lambda: engine.command("version"), daemon, log)
        yield engine
        engine.remove_all()
    finally:
        daemon.terminate()
        daemon.wait()


@dataclass(frozen=True)
class Buildah:
    """buildah, with its storage in `directory`, whose containers are directories."""

    directory: pathlib.Path
    prefix: tuple[str, ...]

    def command(self, *arguments: str) -> str:
        """Run buildah and return what it prints to stdout; raises `EngineError`."""
        roots = ("--root", f"{self.directory}/root", "--runroot", f"{self.directory}/run")
        buildah = [*self.prefix, "buildah", "--storage-driver=overlay", *roots]
        return execute([*buildah, *arguments])

    def load(self, image: os.PathLike[str] | str) -> str:
        """Make a container of an archive, and return where its files are."""
        with _seekable(image, self.directory) as archive:
            container = self.command("from", "--quiet", f"docker-archive:{archive}").strip()
        return self.command("mount", container).strip()

    def run(self, image: str, *arguments: str) -> Completed:
        """Run a program with the container's directory as its root."""
        return _run_in_tree(self.prefix, image, *arguments)

    def remove_all(self) -> None:
        """Remove all containers and images."""
        self.command("rm", "--all")
        self.command("rmi", "--all", "--force")


@dataclass(frozen=True)
class Umoci:
    """skopeo, which makes an OCI layout of an archive, and umoci, which unpacks it.

    `transport` is what skopeo takes archives for.
    """

    directory: pathlib.Path
    prefix: tuple[str, ...]
    transport: str = "docker-archive"

    def load(self, image: os.PathLike[str] | str) -> str:
        """Unpack an archive, and return where its files are."""
        bundle = self.directory / uuid.uuid4().hex
        layout = bundle.with_suffix(".layout")
        with _seekable(image, self.directory) as archive:
            skopeo_copy(f"{self.transport}:{archive}", f"oci:{layout}:1", prefix=self.prefix)
        return str(umoci_unpack(layout, "1", bundle, prefix=self.prefix))

    def run(self, image: str, *arguments: str) -> Completed:
        """Run a program with the unpacked directory as its root."""
        return _run_in_tree(self.prefix, image, *arguments)

    def remove_all(self) -> None:
        """Remove all layouts and what they were unpacked to."""
        for path in self.directory.iterdir():
            shutil.rmtree(path)


def _run_in_tree(prefix: tuple[str, ...], root: str, *arguments: str) -> Completed:
    output = execute([*prefix, "env", "PATH=/bin", "/usr/sbin/chroot", root, *arguments])
    return subprocess.CompletedProcess(arguments, 0, output, "")


@contextmanager
def _seekable(
    image: os.PathLike[str] | str, directory: pathlib.Path
) -> Iterator[os.PathLike[str] | str]:
    """Write what a stream script writes to a file: skopeo goes back and forth in an archive."""
    if not os.access(image, os.X_OK) or not pathlib.Path(image).stat().st_mode & 0o100:
        yield image
        return
    path = directory / "stream.tar"
    with open_archive(image, ()) as archive, path.open("wb") as file:
        shutil.copyfileobj(archive, file)
    yield path
    path.unlink()
