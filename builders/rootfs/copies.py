"""Copies of trees into the root of an image.

What rsync -a does with -k, or with -K: owners are root's, modes are kept, hard
links become files of their own. With -k a symlink to a directory is copied as
that directory. With -K it stays a symlink, and where an earlier tree brought a
symlink to a directory, a later one's directory of that name goes where it
leads. Source: the manual page rsync(1).
"""

import filecmp
import os
import stat
from dataclasses import dataclass
from typing import Final

from builders.console.errors import UserError, die, remedy, warn, writing
from builders.rootfs.on_disk import follow

_WRITABLE: Final = 0o200
ROOT_WRITABLE: Final = 0o220
"""What the reference adds to the root of a layer, and leaves there."""


@dataclass(frozen=True)
class CopyWords:
    """What messages about copies say: their subject, and what to do.

    `circle_hint` is the remedy for links that lead in a circle, `special_hint` for what is neither
    a file nor a directory nor a symlink.
    """

    what: str
    circle_hint: str
    special_hint: str


class Copier:
    """Copies trees into the directory `root`, one over the other; `words` are for messages.

    `keep_dirlinks` is rsync's -K, else it is -k. Directories stay writable until `finish`, since
    later trees add to them; the root itself stays so.
    """

    def __init__(self, root: str, *, keep_dirlinks: bool, words: CopyWords) -> None:
        self._root = root
        self._what = words.what
        self._words = words
        self._keep_dirlinks = keep_dirlinks
        self._origin: dict[str, str] = {}
        self._modes: dict[str, int] = {}

    def add(self, source: str) -> None:
        """Copy what is in the directory `source`, or the file itself.

        Raises `UserError` where it does not exist, leads in a circle, or where it and what is there
        already exclude each other.
        """
        if not os.path.lexists(source):
            die(f"{self._what}: {source} does not exist", hint="check the path")
        if os.path.isdir(source):
            self._directory(source, self._root)
        else:
            self._entry(source, os.path.join(self._root, os.path.basename(source)))

    def finish(self) -> None:
        """Give directories the modes of their trees."""
        for path, mode in reversed(self._modes.items()):
            os.chmod(path, mode)

    def _directory(self, source: str, target: str) -> None:
        """Copy what is in `source` into the existing directory `target`."""
        # Of each directory on the way down what it really is, to notice circles.
        first = os.stat(source)
        pending = [(source, target, frozenset({(first.st_dev, first.st_ino)}))]
        while pending:
            here, there, above = pending.pop()
            status = os.stat(here)
            mode = stat.S_IMODE(status.st_mode)
            if there == self._root:
                os.chmod(there, mode | ROOT_WRITABLE)
            else:
                self._modes[there] = mode
                os.chmod(there, mode | _WRITABLE)
            with os.scandir(here) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = os.path.join(there, entry.name)
                    if not self._is_directory(entry):
                        self._entry(entry.path, path)
                        continue
                    below = entry.stat()
                    identity = (below.st_dev, below.st_ino)
                    if identity in above:
                        die(
                            f"{self._what}: {entry.path} leads back to a directory that it is in",
                            hint=self._words.circle_hint,
                        )
                    pending.append((entry.path, self._make(path, entry.path), above | {identity}))

    def _is_directory(self, entry: "os.DirEntry[str]") -> bool:
        """Whether `entry` is copied as a directory."""
        try:
            return entry.is_dir(follow_symlinks=not self._keep_dirlinks)
        except OSError:
            # A symlink that leads in a circle, or through what is no directory.
            return False

    def _make(self, path: str, source: str) -> str:
        """Make the directory `path` where it is missing; return where it really is."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            os.mkdir(path)
            self._origin[path] = source
            return path
        if stat.S_ISDIR(mode):
            return path
        if stat.S_ISLNK(mode) and self._keep_dirlinks:
            real = follow(self._root, path)
            if real is None:
                die(f"{self._what}: the symlink {path} leads in a circle", hint="leave it out")
            if os.path.isdir(real):
                return real
        self._warn_replaced(path, source, "as a directory")
        os.unlink(path)
        os.mkdir(path)
        self._origin[path] = source
        return path

    def _entry(self, source: str, path: str) -> None:
        """Copy what is no directory, in place of what is there."""
        status = os.lstat(source)
        if os.path.lexists(path):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                other = self._origin.get(path, "another tree")
                die(
                    f"{self._what}: {source} is no directory, but {other} brings a directory as "
                    f"/{os.path.relpath(path, self._root)}",
                    hint="leave out one of them",
                )
            if not is_same(source, path):
                self._warn_replaced(path, source, "with other content")
            os.unlink(path)
        self._origin[path] = source
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), path)
        elif stat.S_ISREG(status.st_mode):
            _copy(source, path, stat.S_IMODE(status.st_mode), what=self._what)
        else:
            die(
                f"{self._what}: {source} is neither a file nor a directory nor a symlink",
                hint=self._words.special_hint,
            )

    def _warn_replaced(self, path: str, source: str, what: str) -> None:
        warn(
            f"{self._what}: {self._origin.get(path, 'the tree before')} and {source} both bring "
            f"/{os.path.relpath(path, self._root)}, the latter {what}; the latter is in the image"
        )


def is_same(one: str, other: str) -> bool:
    """Whether two files have the same content, or are links to the same target."""
    if os.path.islink(one) and os.path.islink(other):
        return os.readlink(one) == os.readlink(other)
    if os.path.islink(one) or os.path.islink(other):
        return False
    return filecmp.cmp(one, other, shallow=False)


def _copy(source: str, path: str, mode: int, *, what: str) -> None:
    try:
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise UserError(
            f"{what}: can't read {source}: {error.strerror}",
            hint=remedy(error, otherwise="make it readable for the build user"),
        ) from None
    try:
        writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with writing(path):
                while os.sendfile(writer, reader, None, 1 << 30):
                    pass
            os.fchmod(writer, mode)
        finally:
            os.close(writer)
    finally:
        os.close(reader)
