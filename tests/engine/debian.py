"""A real Debian as a base image: what debootstrap makes, in an image archive."""

import os
import pathlib
import platform
import subprocess
import tempfile

from tests.unit.archives import plain_members, tar

SUITE = "bookworm"

_LEFT_OUT = (
    *("dev/*", "proc/*", "sys/*", "tmp/*", "var/cache/apt/*", "var/lib/apt/lists/*"),
    *("usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "var/log/*"),
)
"""What the tests need not load: a third of all bytes."""


def debian_image() -> pathlib.Path:
    """Return the archive of an image of Debian, without a configuration.

    It is made once, from the mirror that this machine's apt uses, and stays in the cache.
    """
    cache = pathlib.Path(
        os.environ.get("LONGSHORE_CACHE") or pathlib.Path.home() / ".cache/longshore"
    )
    path = cache / f"debian-{SUITE}-{platform.machine()}.tar"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            made = pathlib.Path(directory) / "image.tar"
            made.write_bytes(tar(plain_members([_bootstrap(f"{directory}/root")], config={})))
            made.replace(path)
    return path


def _bootstrap(root: str) -> bytes:
    """Install Debian into the new directory `root`, and return it as a layer."""
    subprocess.run(
        ["debootstrap", "--variant=minbase", SUITE, root, _mirror()],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    command = ["tar", "-C", root, "--numeric-owner", "--xattrs", "--sort=name", "-cf", "-"]
    # Names in the layer begin as those of debootstrap's directory do.
    excluded = [f"--exclude=./{name}" for name in _LEFT_OUT]
    return subprocess.run([*command, *excluded, "."], check=True, stdout=subprocess.PIPE).stdout


def _mirror() -> str:
    """Return where this machine's apt gets Debian from."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)"]
    wanted = ["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"]
    result = subprocess.run([*command, *wanted], check=True, stdout=subprocess.PIPE, text=True)
    return result.stdout.splitlines()[0]
