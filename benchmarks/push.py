"""Pushes to a registry on loopback, beside skopeo."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import MIB, Bench, row
from pairs import Comparison, Run, Spread, run, spread
from report import Row

_NUMBERS = itertools.count()
_OURS, _ITS = "ours", "its"
_NOTES = "/var/lib/containers/cache"
"""Where skopeo keeps what it knows of blobs, if root runs it."""


def push(bench: Bench) -> list[Row]:
    """Push to a registry on loopback, beside skopeo with the same stream."""
    image = "tenth" if bench.small else "large"
    gigabytes = 0.3 if bench.small else 3.5
    before, after = (
        Image(bench.plan(f"{image}-{when}"), str(bench.built / f"{image}-{when}"))
        for when in ("before", "after")
    )
    with tempfile.TemporaryDirectory() as name, registry(pathlib.Path(name)) as address:
        pushes = Pushes(
            str(bench.built / "longshore/bin/longshore"), address, pathlib.Path(name), before, after
        )
        # Once, so that all has been read that is pushed.
        pushes.prepare()
        cold = [pushes.cold() for _ in range(bench.pairs)]
        alone = [
            run(bench.python("compress_layers.py", before.plan, "gz")) for _ in range(bench.pairs)
        ]
        fresh = [pushes.changed(cached=False) for _ in range(bench.pairs)]
        change = pushes.reports[-1]
        cached = [pushes.changed(cached=True) for _ in range(bench.pairs)]
        unchanged = [pushes.unchanged() for _ in range(bench.pairs)]
        again = pushes.reports[-1]
    sent = sum(blob["size"] for blob in change["blobs"] if blob["status"] == "sent")
    what = f"push {gigabytes} GB"
    rows = [
        row(
            f"{what} to an empty registry",
            "the stream through skopeo",
            side_by_side(cold),
            at_least=2,
        ),
        row(
            f"{what} to an empty registry",
            "compressing it, and no more",
            side_by_side([(mine, its) for (mine, _), its in zip(cold, alone, strict=True)]),
            at_least=0.9,
        ),
        row(f"{what} after a change", "skopeo on a fresh machine", side_by_side(fresh), at_least=5),
        row(f"{what} after a change", "skopeo with its cache", side_by_side(cached), at_least=1),
    ]
    for label, unit, values, most in (
        ("peak memory of pushing", "MiB", [mine.peak / MIB for mine, _ in cold], 200),
        ("pushing unchanged", "s", [one.seconds for one in unchanged], 0.5),
        ("CPU time of pushing a change of", "s", [mine.cpu for mine, _ in fresh], 1.0),
        ("requests after a change of", "requests", [float(change["requests"])], 16),
        ("requests for an unchanged image of", "requests", [float(again["requests"])], 3),
        (
            "bytes sent after a change of",
            "kB",
            [change["bytesSent"] / 1000],
            round(sent / 1000 + 64, 1),
        ),
    ):
        figure = spread(values)
        rows.append(Row(f"{label} {gigabytes} GB", "the same", unit, figure, figure, at_most=most))
    return rows


def side_by_side(runs: Sequence[tuple[Run, Run]]) -> Comparison:
    """Return what pairs of runs, ours first, have taken."""
    return Comparison(
        ours=times([mine for mine, _ in runs]),
        other=times([its for _, its in runs]),
        ratio=spread([its.seconds / mine.seconds for mine, its in runs]),
        peak=max(mine.peak for mine, _ in runs),
    )


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

    def prepare(self) -> None:
        """Push the image before the change, for those that follow."""
        self.ours(self.before, f"{self.registry}/{_OURS}")
        self.skopeo(self.before, f"{self.registry}/{_ITS}", home=str(self.directory / "home"))
        shutil.copytree(self.repositories, self.directory / "repositories")

    def changed(self, *, cached: bool) -> tuple[Run, Run]:
        """Push what has changed, with nothing but the registry to know the rest by.

        With `cached`, skopeo has its own notes of the push before.
        """
        self.restore()
        ours = self.ours(self.after, f"{self.registry}/{_OURS}")
        home = self.home()
        if cached:
            shutil.copytree(self.directory / "home", home, dirs_exist_ok=True)
        return ours, self.skopeo(self.after, f"{self.registry}/{_ITS}", home=home)

    def unchanged(self) -> Run:
        """Push what is there."""
        self.restore()
        return self.ours(self.before, f"{self.registry}/{_OURS}")

    def restore(self) -> None:
        """Let the repositories have what they had before the change.

        What the registry has of the change is in none of them then: it asks for it again.
        """
        for name in (_OURS, _ITS):
            shutil.rmtree(self.repositories / name)
            shutil.copytree(self.directory / "repositories" / name, self.repositories / name)

    @property
    def repositories(self) -> pathlib.Path:
        """Where the registry keeps what is in its repositories; the blobs lie elsewhere."""
        return self.directory / "data/docker/registry/v2/repositories"

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
        pathlib.Path(home).mkdir(exist_ok=True)
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
