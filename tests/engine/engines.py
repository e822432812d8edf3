"""Docker, podman, skopeo and umoci, run as a user runs them, on storage of their own.

They are those of this machine, or those of another: commands begin with the `prefix` of a `Machine`
(tests/engine/machine.py).
"""

import json
import os
import pathlib
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

_START_LIMIT = 60
"""Seconds that dockerd has for starting: it takes two, and more on a busy machine."""

_LOADED = ("Loaded image: ", "Loaded image ID: ")

Completed = subprocess.CompletedProcess[str]


class EngineError(Exception):
    """A command of an engine failed; the text is what it said."""


def execute(command: Sequence[str], *, stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
    """Return what `command` prints to stdout; raises `EngineError`."""
    result = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    if result.returncode:
        said = result.stderr.decode(errors="replace")
        raise EngineError(f"{' '.join(command)} failed with exit code {result.returncode}:\n{said}")
    return result.stdout.decode()


def _loaded_names(output: str) -> list[str]:
    lines = output.splitlines()
    return [
        line.removeprefix(start).strip()
        for line in lines
        for start in _LOADED
        if line.startswith(start)
    ]


@contextmanager
def open_archive(image: os.PathLike[str] | str, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
    """Open what a stream script writes, or else the archive that `image` is."""
    path = pathlib.Path(image)
    if not path.stat().st_mode & stat.S_IXUSR:
        with path.open("rb") as file:
            yield file
        return
    problem = None
    # A file, since nobody reads a pipe meanwhile: a long log would fill it and stop the script.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen([path, *arguments], stdout=subprocess.PIPE, stderr=log) as script,
    ):
        assert script.stdout
        try:
            yield script.stdout
        except EngineError as error:
            problem = error
        script.stdout.close()
        code = script.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if code or problem:
        raise EngineError(
            f"{problem or ''}\n{path} ended with exit code {code}:\n{said}"
        ) from problem


@dataclass(frozen=True)
class Docker:
    """A Docker daemon that listens at `host`."""

    host: str
    prefix: tuple[str, ...] = ()

    def command(self, *arguments: str | os.PathLike[str]) -> str:
        """Run the docker client and return what it prints to stdout; raises `EngineError`."""
        return execute([*self.client(), *map(str, arguments)])

    def load(self, image: os.PathLike[str] | str, *arguments: str) -> str:
        """Load an archive, or what a stream script writes when called with `arguments`.

        Returns the image's name, or its ID if it has none. Raises `EngineError`.
        """
        (name,) = self.load_all(image, *arguments)
        return name

    def load_all(self, image: os.PathLike[str] | str, *arguments: str) -> list[str]:
        """Load an archive of any number of images, and return their names."""
        with open_archive(image, arguments) as archive:
            output = execute([*self.client(), "load"], stdin=archive)
        return _loaded_names(output)

    def run(
        self,
        image: str,
        *arguments: str,
        entrypoint: str | None = None,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        check: bool = True,
    ) -> Completed:
        """Run a container without a network until it ends, and return what it printed.

        Raises `EngineError` where it fails, unless `check` is false.
        """
        command = [*self.client(), "run", "--rm", "--network=none"]
        if entrypoint is not None:
            command.append(f"--entrypoint={entrypoint}")
        if user is not None:
            command.append(f"--user={user}")
        command += [f"--env={name}={value}" for name, value in (env or {}).items()]
        result = subprocess.run(
            [*command, *options, image, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            failed = f"{image} failed with exit code {result.returncode}"
            raise EngineError(f"{failed}:\n{result.stderr}")
        return result

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what the daemon knows of an image (`docker image inspect`)."""
        (found,) = json.loads(self.command("image", "inspect", image))
        return dict(found)

    def build(self, directory: pathlib.Path, name: str, *, buildkit: bool) -> None:
        """Build the Dockerfile in `directory`, without a network; raises `EngineError`."""
        kind = ("env", f"DOCKER_BUILDKIT={buildkit:d}")
        command = ["build", "--network=none", "--tag", name, str(directory)]
        execute([*self.prefix, *kind, "docker", "-H", self.host, *command])

    def save(self, image: str, path: os.PathLike[str]) -> pathlib.Path:
        """Write an image to `path`, as a base image for others, and return it."""
        self.command("image", "save", "-o", path, image)
        return pathlib.Path(path)

    def images(self) -> list[str]:
        """Return the IDs of all images."""
        return self.command("image", "ls", "--all", "--quiet", "--no-trunc").split()

    def remove_all(self) -> None:
        """Remove all containers and images: vfs keeps a copy of the whole tree for every layer."""
        containers = self.command("container", "ls", "--all", "--quiet").split()
        if containers:
            self.command("container", "rm", "--force", *containers)
        images = set(self.images())
        if images:
            self.command("image", "rm", "--force", *images)

    def client(self) -> list[str]:
        """Return the words that its client begins with."""
        return [*self.prefix, "docker", "-H", self.host]


@contextmanager
def docker_daemon(
    directory: pathlib.Path,
    *options: str,
    prefix: tuple[str, ...] = (),
    features: Mapping[str, bool] | None = None,
) -> Iterator[Docker]:
    """Run a Docker daemon whose data, state, socket and log lie in `directory`.

    `features` are those of its configuration file. It makes no network and no firewall rule, and
    ends with this process even if that is killed.
    """
    socket, log, config = directory / "sock", directory / "log", directory / "daemon.json"
    config.write_text(json.dumps({"features": features or {}}))
    command = [
        *prefix,
        *("setpriv", "--pdeathsig", "TERM", "dockerd", "--host", f"unix://{socket}"),
        *("--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"),
        *("--pidfile", f"{directory}/pid", "--config-file", str(config)),
        *("--bridge=none", "--iptables=false", "--ip6tables=false", *options),
    ]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in the terminal must not end it before its containers.
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        docker = Docker(f"unix://{socket}", prefix)
        await_answer(lambda: docker.command("info"), daemon, log)
        yield docker
        docker.remove_all()
    finally:
        daemon.terminate()
        daemon.wait()
        _unmount_below(directory)


def await_answer(
    ask: Callable[[], object], daemon: subprocess.Popen[bytes], log: pathlib.Path
) -> None:
    """Wait until `ask` no longer raises `EngineError`, which ends with that of a dead daemon."""
    deadline = time.monotonic() + _START_LIMIT
    while True:
        try:
            ask()
            return
        except EngineError as error:
            if daemon.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            said = f"the daemon does not answer; the end of its log:\n{end}"
            raise EngineError(said) from error


def _unmount_below(directory: pathlib.Path) -> None:
    """Unmount what dockerd leaves behind: the network namespaces of containers."""
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{directory}/")), reverse=True):
        execute(["umount", "--lazy", point])


@dataclass(frozen=True)
class Podman:
    """Podman, with its storage in `directory`, under a storage driver."""

    directory: pathlib.Path
    driver: str = "vfs"
    prefix: tuple[str, ...] = ()
    cgroup: str = "/libpod_parent"

    def command(self, *arguments: str | os.PathLike[str]) -> str:
        """Run podman and return what it prints to stdout; raises `EngineError`."""
        return execute([*self.client(), *map(str, arguments)])

    def load(self, image: os.PathLike[str] | str, *arguments: str) -> str:
        """Load an archive, or what a stream script writes; returns its name or ID."""
        with open_archive(image, arguments) as archive:
            output = execute([*self.client(), "load"], stdin=archive)
        (name,) = _loaded_names(output)
        return name

    def run(self, image: str, *arguments: str) -> Completed:
        """Run a container without a network until it ends; raises `EngineError` if it fails."""
        # crun is the default where it is installed; no systemd is there to ask for cgroups.
        command = [*self.client(), "--runtime=runc", "--cgroup-manager=cgroupfs"]
        # podman's own limits may be more than this machine lets it set.
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        options = ["--rm", "--network=none", *limits, f"--cgroup-parent={self.cgroup}"]
        output = execute([*command, "--events-backend=file", "run", *options, image, *arguments])
        return subprocess.CompletedProcess(arguments, 0, output, "")

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what podman knows of an image (`podman image inspect`)."""
        (found,) = json.loads(self.command("image", "inspect", image))
        return dict(found)

    def remove_all(self) -> None:
        """Remove all images."""
        self.command("image", "rm", "--all", "--force")

    def client(self) -> list[str]:
        """Return the words that its client begins with."""
        return [
            *(*self.prefix, "podman", "--storage-driver", self.driver),
            *("--root", str(self.directory / "root"), "--runroot", str(self.directory / "run")),
        ]


def skopeo_inspect(image: str, *options: str) -> dict[str, Any]:
    """Return what skopeo reads of an image, named with its transport (`docker-archive:PATH`)."""
    return dict(json.loads(execute(["skopeo", "inspect", *options, image])))


def skopeo_copy(source: str, destination: str, *options: str, prefix: tuple[str, ...] = ()) -> None:
    """Copy an image from one transport to another, all of its digests checked on the way."""
    # The policy of the machine is about where images may come from, not about images.
    skopeo = [*prefix, "skopeo", "--insecure-policy"]
    execute([*skopeo, "copy", "--quiet", *options, source, destination])


def umoci_unpack(
    layout: os.PathLike[str], tag: str, bundle: pathlib.Path, prefix: tuple[str, ...] = ()
) -> pathlib.Path:
    """Unpack an image of an OCI layout with umoci, and return its root directory."""
    execute([*prefix, "umoci", "unpack", "--image", f"{os.fspath(layout)}:{tag}", str(bundle)])
    return bundle / "rootfs"
