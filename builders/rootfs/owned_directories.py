"""Directories of an image that have an owner or a mode of their own: /tmp, a user's home."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.console.errors import die
from builders.rootfs.on_disk import follow


@dataclass(frozen=True)
class OwnedDirectory:
    """The directory at the absolute `path`, with its mode, user and group."""

    path: str
    mode: int
    uid: int
    gid: int

    @property
    def is_roots(self) -> bool:
        """Whether it belongs to root."""
        return (self.uid, self.gid) == (0, 0)


def read_directories(data: Iterable[Mapping[str, Any]]) -> tuple[OwnedDirectory, ...]:
    """Return the directories out of JSON, in which `mode` is a string of octal digits."""
    return tuple(
        OwnedDirectory(entry["path"], int(entry["mode"], 8), entry["uid"], entry["gid"])
        for entry in data
    )


def make_directories(root: str, directories: Sequence[OwnedDirectory], *, store_dir: str) -> None:
    """Make them below `root` where they are missing; modes and owners come later.

    Raises `UserError` where something else is in the way, or a link into the store.
    """
    for directory in directories:
        path = place(root, directory)
        try:
            if f"{path}/".startswith(f"{root}{store_dir}/"):
                raise NotADirectoryError
            os.makedirs(path, 0o755, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            die(
                f"{directory.path} should be a directory, but something else is in the image there",
                hint="leave one of them out",
            )


def set_modes(root: str, directories: Sequence[OwnedDirectory]) -> None:
    """Give them their modes."""
    for directory in directories:
        os.chmod(place(root, directory), directory.mode)


def give_directories(root: str, directories: Sequence[OwnedDirectory]) -> None:
    """Give those that a script has left there to their owners, in a fakeroot session."""
    for directory in directories:
        path = place(root, directory)
        if os.path.isdir(path):
            os.chown(path, directory.uid, directory.gid)


def place(root: str, directory: OwnedDirectory) -> str:
    """Return where in the tree at `root` it is, links followed."""
    real = follow(root, os.path.join(root, directory.path.lstrip("/")))
    if real is None:
        die(f"{directory.path}: links lead in a circle there", hint="leave them out")
    return real
