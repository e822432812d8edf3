"""Debian packages of another architecture, whose programs this machine can't run."""

import os
import pathlib
import subprocess
import tempfile

PACKAGES = ("busybox-static",)
"""They have no dependencies: what they bring runs by itself."""


def arm64_packages() -> list[pathlib.Path]:
    """Return the .debs of `PACKAGES` for arm64.

    They are downloaded once, from the mirror that this machine's apt uses, and stay in the cache.
    """
    cache = pathlib.Path(
        os.environ.get("LONGSHORE_CACHE") or pathlib.Path.home() / ".cache/longshore"
    )
    directory = cache / "arm64"
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _download(pathlib.Path(made))
    return sorted(directory.glob("*.deb"))


def _download(directory: pathlib.Path) -> None:
    """Fill the cache by way of `directory`."""
    debs, state = directory / "debs", directory / "state"
    for needed in (debs, state / "lists/partial", state / "archives/partial"):
        needed.mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state,
        "Acquire::Languages": "none",
        # The user that apt downloads with can't write into the cache.
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    for command in (["update"], ["download", *PACKAGES]):
        subprocess.run([*apt, *command], cwd=debs, check=True, stdout=subprocess.DEVNULL)
    debs.rename(directory.parent / "arm64")
