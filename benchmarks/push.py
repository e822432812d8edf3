"""Pushes to a registry on loopback, beside skopeo."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pairs import Run, Spread, run, spread

_NUMBERS = itertools.count()
_NOTES = "/var/lib/containers/cache"
"""Where skopeo keeps what it knows of blobs, if root runs it."""


@dataclass(frozen=True)
class Image:
    """An image: its plan, and the script that streams it."""

    plan: str
    stream: str


@dataclass
class Pushes:
    """Pushes of the images `before` and `after` a change, with the program `longshore`.

    Each takes a repository that nothing is in, or what `base` has put there.
    """

    longshore: str
    registry: str
    directory: pathlib.Path
    before: Image
    after: Image
    reports: list[dict[str, Any]] = field(default_factory=list)

    def cold(self) -> tuple[Run, Run]:
        """Push into an empty repository, as skopeo does of the same stream."""
        return self.ours(self.before, self.fresh()), self.skopeo(self.before, self.fresh())

    def changed(self, *, cached: bool) -> tuple[Run, Run]:
        """Push what has changed, with nothing but the registry to know the rest by.

        With `cached`, skopeo has its own notes of the push before.
        """
        repository, home = self.fresh(), self.home()
        self.ours(self.before, repository)
        ours = self.ours(self.after, repository)
        repository = self.fresh()
        self.skopeo(self.before, repository, home=home)
        its = self.skopeo(self.after, repository, home=home if cached else self.home())
        return ours, its

    def unchanged(self) -> Run:
        """Push what is there."""
        repository = self.fresh()
        self.ours(self.before, repository)
        return self.ours(self.before, repository)

    def ours(self, image: Image, repository: str) -> Run:
        """Push with longshore, on a machine that has no notes of earlier pushes."""
        report = self.directory / "report"
        command = [
            *("env", f"XDG_CACHE_HOME={self.home()}", "sh", "-euc", 'exec "$@" >"$0"', str(report)),
            *(self.longshore, "push", image.plan, f"{repository}:tag", "--json"),
        ]
        measured = run(command)
        self.reports.append(json.loads(report.read_text()))
        return measured

    def skopeo(self, image: Image, repository: str, *, home: str | None = None) -> Run:
        """Push the stream with skopeo, which takes none that is not compressed: as a file."""
        home = home or self.home()
        archive = f"{home}/image.tar"
        copy = [
            *("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"),
            *(f"docker-archive:{archive}", f"docker://{repository}:tag"),
        ]
        script = f"{shlex.quote(image.stream)} >{archive} 2>/dev/null; {shlex.join(copy)}"
        command = ["env", f"HOME={home}", f"XDG_DATA_HOME={home}", "sh", "-euc", script]
        if os.geteuid() == 0:
            # Root's notes of earlier copies are in one place.
            pathlib.Path(_NOTES).mkdir(parents=True, exist_ok=True)
            bind = f'mount --bind {home} {_NOTES}; exec "$@"'
            command = ["unshare", "--mount", "sh", "-euc", bind, "sh", *command]
        try:
            return run(command)
        finally:
            os.unlink(archive)

    def fresh(self) -> str:
        """Return a repository that nothing is in."""
        return f"{self.registry}/image-{next(_NUMBERS)}"

    def home(self) -> str:
        """Return a directory in which nobody has been."""
        return tempfile.mkdtemp(dir=self.directory)


@contextlib.contextmanager
def registry(directory: pathlib.Path) -> Iterator[str]:
    """Run a registry until the block ends; gives its host and port."""
    configuration, log = directory / "config.json", directory / "log"
    settings = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": f"{directory}/data"}},
        "http": {"addr": "127.0.0.1:0"},
    }
    configuration.write_text(json.dumps(settings))
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "docker-registry", "serve", configuration],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while server.poll() is None:
            found = re.search(r'msg="listening on (127\.0\.0\.1:\d+)', log.read_text())
            if found:
                yield found[1]
                return
            time.sleep(0.02)
        raise RuntimeError(f"docker-registry does not listen:\n{log.read_text()}")
    finally:
        server.terminate()
        server.wait()


def times(runs: Sequence[Run]) -> Spread:
    """Return the spread of the seconds of `runs`."""
    return spread([one.seconds for one in runs])
