"""Trees of symlinks: how store paths appear in the root of a layered image.

What X11's lndir does, and with it nixpkgs' symlinkJoin: directories are made
anew, files become absolute symlinks to the store, symlinks are copied as they
are, and of two trees that bring the same file the first one wins. Source: the
manual page lndir(1).
"""

import os
import stat
from typing import Final

from builders.console.errors import die, warn
from builders.rootfs.on_disk import follow

_DIRECTORY_MODE: Final = 0o755
_LEFT_OUT: Final = frozenset({"BitKeeper", "CVS", "CVS.adm", "RCS", "SCCS", ".svn"})
"""Directories that lndir takes for those of a version control system."""


def link_tree(
    source: str, root: str, *, store_dir: str, what: str, file_hint: str, below: str = ""
) -> None:
    """Link all files of the directory `source` into the directory `root`, or `below` in it.

    Where an earlier tree brought a symlink to a directory and this one brings a directory of that
    name, its files go where the link leads in the image, or, where that is in the store, a
    directory with the files of both takes the link's place. Raises `UserError` where `source` is
    no directory; `what` is the subject of messages, and `file_hint` says what to do with a file.
    """
    if not os.path.isdir(source):
        found = "is a file" if os.path.lexists(source) else "does not exist"
        die(
            f"{what}: {source} {found}, but only directories can be put into the image's root",
            hint=file_hint,
        )
    pending = [(source, os.path.join(root, below) if below else root)]
    while pending:
        here, there = pending.pop()
        for entry in _entries(here):
            target = os.path.join(there, entry.name)
            is_directory = entry.is_dir(follow_symlinks=False)
            if entry.name.endswith("~") or (is_directory and entry.name in _LEFT_OUT):
                warn(f"{what}: {entry.path} stays out of the image, as lndir leaves it out")
            elif not is_directory:
                if not os.path.lexists(target):
                    link = os.readlink(entry.path) if entry.is_symlink() else entry.path
                    os.symlink(link, target)
            elif directory := _directory(target, root, store_dir):
                pending.append((entry.path, directory))
            else:
                warn(
                    f"{what}: {entry.path} is a directory, but an earlier tree brings "
                    f"/{os.path.relpath(target, root)} as a link to something else; "
                    "what is in the directory stays out of the image"
                )


def _directory(path: str, root: str, store_dir: str) -> str | None:
    """Return the directory that `path` is or leads to, made where it is missing."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mkdir(path, _DIRECTORY_MODE)
        return path
    if stat.S_ISDIR(mode):
        return path
    real = follow(root, path)
    if real is None:
        return None
    if os.path.isdir(real):
        return real
    if not f"{real}/".startswith(f"{root}{store_dir}/"):
        try:
            os.makedirs(real, _DIRECTORY_MODE)
        except (FileExistsError, NotADirectoryError):
            return None
        return real
    origin = os.path.realpath(real[len(root) :])
    if not origin.startswith(f"{store_dir}/") or not os.path.isdir(origin):
        return None
    os.unlink(path)
    os.mkdir(path, _DIRECTORY_MODE)
    _link_all(origin, path)
    return path


def _link_all(source: str, target: str) -> None:
    """Link all files of the directory `source` into the new directory `target`."""
    pending = [(source, target)]
    while pending:
        here, there = pending.pop()
        for entry in _entries(here):
            path = os.path.join(there, entry.name)
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(path, _DIRECTORY_MODE)
                pending.append((entry.path, path))
            else:
                # A relative symlink, too, leads only from where it is to where it is meant to.
                os.symlink(entry.path, path)


def _entries(directory: str) -> list["os.DirEntry[str]"]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)
