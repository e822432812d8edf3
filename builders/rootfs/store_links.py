"""Links out of an image's tree into the store, which scripts can't change anything behind.

The links are meant for the image; while it is built they lead to the store of the machine.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from builders.console.errors import warn
from builders.layers.tree import IGNORED_XATTRS
from builders.layers.walk import walk
from builders.rootfs.on_disk import follow

_FILE_MODES: Final = (0o444, 0o555)
_DIRECTORY_MODES: Final = (0o555,)
"""What Nix gives to all that is in its store (Nix manual, "Store Object")."""

_REFUSED: Final = re.compile(
    r"""(?:^|[\s'"`])([^\s'"`:]+)['"]?: """
    r"(?:Permission denied|Read-only file system|Operation not permitted)"
    r"|cannot (?:open|lock) ([^\s'\";:]+)"
)
"""A file name in what programs say when they may not write to it."""


def target_of(root: str, path: str, store_dir: str) -> str | None:
    """Return the store's file that `path`, below `root`, leads to, None where there is none."""
    try:
        target = os.readlink(path)
    except OSError:
        target = ""
    if not target.startswith(f"{store_dir}/"):
        real = follow(root, path)
        if real is None or not real.startswith(f"{root}{store_dir}/"):
            return None
        target = real[len(root) :]
    # A base image, or a script, may bring a store path by itself.
    if os.path.lexists(root + target) or not os.path.exists(target):
        return None
    return target


def warn_of_lost_changes(root: str, *, store_dir: str, name: str) -> None:
    """Warn of files in the store whose facts the script `name` changed through a link in `root`.

    To be called in the script's fakeroot session, which remembers the changes. No layer does.
    """
    seen = set()
    # Each question is a message to fakeroot's daemon, and a tree may have very many links.
    plain = not os.path.lexists(root + store_dir)
    for path, status in walk(root):
        if not stat.S_ISLNK(status.st_mode):
            continue
        target: str | None = os.readlink(path)
        if not (plain and target and target.startswith(f"{store_dir}/")):
            target = target_of(root, path, store_dir)
        if target is None:
            continue
        try:
            facts = os.stat(target)
        except OSError:
            continue
        identity = (facts.st_dev, facts.st_ino)
        if identity in seen:
            continue
        seen.add(identity)
        changes = [*_changes(target, facts)]
        if changes:
            link = path[len(root) :]
            warn(
                f"{name} changes {' and '.join(changes)} of {link}, which is a link to {target}: "
                "files of the store stay as they are, and the change is lost; "
                f"replace the link by a copy before: {replacement(link)}"
            )


def _changes(path: str, facts: os.stat_result) -> Iterator[str]:
    modes = _DIRECTORY_MODES if stat.S_ISDIR(facts.st_mode) else _FILE_MODES
    if stat.S_IMODE(facts.st_mode) not in modes:
        yield f"the mode (to {stat.S_IMODE(facts.st_mode):04o})"
    added = sorted(name for name in _xattrs(path) if name not in IGNORED_XATTRS)
    if added:
        # fakeroot takes the owner on disk along then, which says nothing of the script.
        yield f"the extended attribute {added[0]}"
    elif (facts.st_uid, facts.st_gid) != (0, 0):
        yield f"the owner (to {facts.st_uid}:{facts.st_gid})"


def _xattrs(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []


def replacement(path: str) -> str:
    """Return the shell command that puts a copy in the place of the link `path`."""
    return f'cp -r --remove-destination "$(readlink -f {path})" {path}'


def refused_link(lines: Sequence[str], root: str, *, store_dir: str) -> tuple[str, str] | None:
    """Return the link into the store that `lines`, what programs said, complain of, and its target.

    The link is relative to `root`; None where they complain of none.
    """
    for line in lines:
        for found in _REFUSED.finditer(line):
            word = os.path.normpath((found[1] or found[2]).removeprefix(root)).lstrip("/")
            target = target_of(root, os.path.join(root, word), store_dir)
            if target is not None:
                return word, target
            # The script may have gone into a directory before.
            for path, status in walk(root):
                if stat.S_ISLNK(status.st_mode) and path.endswith(f"/{word}"):
                    target = target_of(root, path, store_dir)
                    if target is not None:
                        return path[len(root) + 1 :], target
    return None


def is_refusal(line: str) -> bool:
    """Whether a line says that a program may not write to a file."""
    return _REFUSED.search(line) is not None
