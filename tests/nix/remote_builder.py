"""A remote builder: another Nix store, behind an SSH server on loopback."""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.nix.images import nix

_START_LIMIT = 60
"""Seconds that the server has for starting: it takes a fraction of one."""

_SETTINGS = """
experimental-features = nix-command
sandbox = true
sandbox-fallback = false
substituters =
build-users-group =
max-jobs = 2
"""
"""Without a group of build users, who are this machine's: Nix kills all processes of one."""

_INSIDE = """
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$1/home" /root
mount --bind "$1/nix" /nix
exec dropbear -F -E -e -s -m -p "$2" -r "$1/host-key" -P "$1/pid"
"""


@dataclass(frozen=True)
class Built:
    """What a build there made, and the store paths that were copied for it, without hashes."""

    path: pathlib.Path
    built: Sequence[str]
    sent: Sequence[str]
    received: Sequence[str]


@dataclass(frozen=True)
class RemoteBuilder:
    """A builder whose store is `directory`/nix, and what `ssh` takes to get there."""

    directory: pathlib.Path
    url: str
    ssh_options: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which Nix finds the way."""
        return {"NIX_SSHOPTS": self.ssh_options}

    def build(self, file: pathlib.Path, attribute: str, *arguments: str) -> Built:
        """Build an attribute of a Nix file there, and nothing here."""
        system = nix("nix-instantiate", "--eval", "--expr", "builtins.currentSystem").stdout
        result = subprocess.run(
            [
                *("nix-build", "--no-out-link", str(file), "-A", attribute, *arguments),
                *("--max-jobs", "0", "--builders", f"{self.url} {json.loads(system)}"),
            ],
            capture_output=True,
            text=True,
            env=os.environ | self.variables,
        )
        assert result.returncode == 0, result.stderr

        def names(line: str) -> Sequence[str]:
            found = re.findall(line.format(r"'/nix/store/\w{32}-([^']*?)'"), result.stderr)
            return sorted(set(found))

        return Built(
            path=pathlib.Path(result.stdout.strip()),
            built=[name.removesuffix(".drv") for name in names(r"building {} on 'ssh-ng")],
            sent=names(r"copying path {} to 'ssh-ng"),
            received=names(r"copying path {} from 'ssh-ng"),
        )

    def nix(self, *command: str | os.PathLike[str]) -> str:
        """Run a command of Nix that knows the way, and return what it prints to stdout."""
        result = subprocess.run(
            ["nix", *command], capture_output=True, text=True, env=os.environ | self.variables
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def has(self, path: os.PathLike[str] | str) -> bool:
        """Whether a store path is in the store there."""
        return (self.directory / str(path).lstrip("/")).exists()


@contextmanager
def remote_builder(directory: pathlib.Path) -> Iterator[RemoteBuilder]:
    """Run a builder with all that it has in the empty `directory`; only root can.

    It has mounts and processes of its own, which end with this process even if that is killed.
    """
    host, key = directory / "host-key", directory / "key"
    authorized = directory / "home/.ssh"
    authorized.mkdir(parents=True)
    (directory / "home").chmod(0o700)
    (directory / "nix/store").mkdir(parents=True)
    (directory / "nix/var/nix").mkdir(parents=True)
    _run("dropbearkey", "-t", "ed25519", "-f", host)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", key)
    (authorized / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    public = re.search(r"^ssh-ed25519 \S+", _run("dropbearkey", "-y", "-f", host), re.MULTILINE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = directory / "known-hosts"
    known.write_text(f"[127.0.0.1]:{port} {public[0]}\n")
    options = [
        *("-F", "none", "-p", str(port), "-i", str(key), "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"),
    ]
    log = directory / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("sh", "-euc", _INSIDE, "sh", directory, f"127.0.0.1:{port}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                "PATH": os.environ["PATH"],
                "NIX_CONFIG": _SETTINGS,
                "NIX_USER_CONF_FILES": "/dev/null",
            },
        )
    try:
        _await(port, server, log)
        yield RemoteBuilder(directory, "ssh-ng://root@127.0.0.1", shlex.join(options))
    finally:
        server.kill()
        server.wait()
        subprocess.run(["chmod", "-R", "u+w", directory], check=True)


def _run(*command: str | os.PathLike[str]) -> str:
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return result.stdout


def _await(port: int, server: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the SSH server does not answer; its log:\n{log.read_text()}")
