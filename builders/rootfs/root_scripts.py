"""runAsRoot: a script over a whole file system, and the layer of what it changed.

The base image is unpacked into a tree inside of a fakeroot session, what is
there is remembered, the script runs with the tree as its root directory, and
what differs afterwards becomes a tree of its own. Deletions are whiteouts
(OCI image specification, "Whiteouts").
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.rootfs.merged import OPAQUE, WHITEOUT, MergedTree, Place
from builders.rootfs.mountpoints import mountpoints
from builders.rootfs.namespaces import Bind, call_in_chroot
from builders.rootfs.scripts import check, warn_of_static_programs
from builders.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    REGULAR,
    SYMLINK,
)
from builders.tar.sinks import FileSink
from builders.tar.tree_layer import xattrs_of

_ATTRIBUTE: Final = "runAsRoot"
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class _Facts:
    """What is known of a file right after it was unpacked."""

    mode: int
    uid: int
    gid: int
    device: int
    size: int
    inode: int
    times: tuple[int, int]
    target: str
    xattrs: tuple[tuple[str, bytes], ...]

    @property
    def visible(self) -> tuple[object, ...]:
        """What a layer says of it, but for the content."""
        size = self.size if stat.S_ISREG(self.mode) else 0
        return (self.mode, self.uid, self.gid, self.device, size, self.target, self.xattrs)


class RootScript:
    """A script, and the tree that it runs on: `unpack`, then `run`, then `changes`."""

    def __init__(
        self, text: str, *, image: str, top: str, shell: str, path: str, store_dir: str
    ) -> None:
        """`top` is the build's directory, `shell` bash, and `path` the script's PATH."""
        self._text = text
        self._image = image
        self._top = top
        self._shell = shell
        self._path = path
        self._store_dir = store_dir
        self._root = os.path.join(top, "root")
        self._before: dict[str, _Facts] = {}

    def unpack(self, base: MergedTree | None) -> str:
        """Write the files of `base`, if any, to the root directory; return its path."""
        os.mkdir(self._root, 0o755)
        if base:
            directories = []
            for place in base.walk():
                try:
                    self._write(base, place)
                except OSError as error:
                    die(
                        f"can't unpack /{place.path} of the base image: {error.strerror}",
                        hint="see to the disk of the build directory, or leave the file out of "
                        "the base image",
                    )
                if place.node.type == DIRECTORY:
                    directories.append(place)
            # Modes last: a directory may not be writable.
            for place in reversed(directories):
                path = self._at(place.path)
                os.chmod(path, place.node.mode)
        for path in _below(self._root):
            self._before[path] = _facts(os.path.join(self._root, path))
        return self._root

    def run(self) -> None:
        """Run the script. Raises `UserError` where it fails, or where there are no namespaces."""
        script = os.path.join(self._top, _ATTRIBUTE)
        with open(script, "w", encoding="utf-8") as file:
            file.write(self._text)
        program = os.path.join(self._top, f".{_ATTRIBUTE}.sh")
        with open(program, "w", encoding="utf-8") as file:
            file.write(
                f"export PATH={shlex.quote(self._path)} HOME=/root\n"
                f"cd /\nset -e\n. {shlex.quote(script)}\n"
            )
        binds = [
            Bind(self._top, recursive=False),
            Bind("/dev"),
            *([Bind("/sys")] if os.path.isdir("/sys") else []),
        ]
        temporary = os.path.join(self._root, "tmp")
        if not os.path.lexists(temporary):
            os.mkdir(temporary)
            os.chmod(temporary, 0o1777)
        mounts = [*(bind.path for bind in binds), self._store_dir, "/proc", "/sys"]
        try:
            with (
                mountpoints(self._root, mounts, attribute=_ATTRIBUTE),
                _store(self._root, self._store_dir) as store,
            ):
                status = call_in_chroot(
                    self._root,
                    [self._shell, "-e", program],
                    binds=[*binds, *store],
                    attribute=_ATTRIBUTE,
                    network=False,
                )
            check(status, attribute=_ATTRIBUTE, image=self._image)
        finally:
            warn_of_static_programs(
                self._text,
                self._path.split(":"),
                root=self._root,
                attribute=_ATTRIBUTE,
                image=self._image,
            )

    def changes(self, base: MergedTree | None) -> str:
        """Move what differs from `base` to a directory of its own; return its path.

        Deleted files are whiteouts there.
        """
        layer = os.path.join(self._top, "layer")
        os.mkdir(layer, 0o755)
        _copy_facts(self._root, layer)
        made = {""}
        opaque: set[str] = set()
        seen = set()
        changed = []
        for path in _below(self._root):
            seen.add(path)
            facts = _facts(os.path.join(self._root, path))
            before = self._before.get(path)
            is_directory = stat.S_ISDIR(facts.mode)
            if os.path.dirname(path) in opaque:
                before = None
            if is_directory and before and before.inode != facts.inode:
                if stat.S_ISDIR(before.mode):
                    opaque.add(path)
                before = None
            elif is_directory and os.path.dirname(path) in opaque:
                opaque.add(path)
            if before is None or self._differs(base, path, before, facts):
                changed.append((path, is_directory))
        deleted = [path for path in self._before if path not in seen]
        for path, is_directory in changed:
            _make_parents(self._root, layer, path, made)
            target = os.path.join(layer, path)
            if is_directory:
                if path not in made:
                    os.mkdir(target)
                    _copy_facts(os.path.join(self._root, path), target)
                    made.add(path)
                if path in opaque and os.path.dirname(path) not in opaque:
                    _touch(os.path.join(target, OPAQUE))
            else:
                os.rename(os.path.join(self._root, path), target)
        gone: set[str] = set()
        for path in deleted:
            parent = os.path.dirname(path)
            if parent in gone or _lies_in(parent, opaque) or parent not in seen | {""}:
                gone.add(path)
                continue
            if not stat.S_ISDIR(os.lstat(os.path.join(self._root, parent)).st_mode):
                continue
            _make_parents(self._root, layer, path, made)
            _touch(os.path.join(layer, parent, WHITEOUT + os.path.basename(path)))
            gone.add(path)
        for path in sorted(made, reverse=True):
            os.chmod(
                os.path.join(layer, path),
                stat.S_IMODE(os.lstat(os.path.join(self._root, path)).st_mode),
            )
        return layer

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path) if path else self._root

    def _write(self, base: MergedTree, place: Place) -> None:
        """Write one file; the tree has plain names only, so that nothing leads out of it."""
        node = place.node
        path = self._at(place.path)
        if place.link is not None:
            os.link(self._at(place.link), path, follow_symlinks=False)
            return
        if node.type == DIRECTORY:
            if place.path:
                os.mkdir(path, 0o700)
        elif node.type == SYMLINK:
            os.symlink(node.linkname, path)
        elif node.type == REGULAR:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                sink = FileSink(fd)
                base.copy(node, sink)
                sink.flush()
            finally:
                os.close(fd)
        else:
            kind = {
                CHARACTER_DEVICE: stat.S_IFCHR,
                BLOCK_DEVICE: stat.S_IFBLK,
                FIFO: stat.S_IFIFO,
            }.get(node.type)
            if kind is None:
                die(f"can't unpack /{place.path} of the base image", hint="make the image again")
            os.mknod(path, kind | 0o600, os.makedev(*(node.device or (0, 0))))
        if (node.owner.uid, node.owner.gid) != (0, 0):
            os.chown(path, node.owner.uid, node.owner.gid, follow_symlinks=False)
        if node.type not in (SYMLINK, DIRECTORY):
            os.chmod(path, node.mode)
        for name, value in node.xattrs:
            os.setxattr(path, name, value, follow_symlinks=False)

    def _differs(self, base: MergedTree | None, path: str, before: _Facts, after: _Facts) -> bool:
        if before.visible != after.visible:
            return True
        if not stat.S_ISREG(after.mode):
            return False
        if (before.inode, before.times) == (after.inode, after.times):
            return False
        # Written, or only touched: a file that is the same again needs no place in the layer.
        node = base.find(path) if base else None
        return node is None or not _same_content(base, node, os.path.join(self._root, path))


@contextmanager
def _store(root: str, store_dir: str) -> Iterator[list[Bind]]:
    """Give the mounts by which the build's store paths are in the tree's store."""
    target = root + store_dir
    own = set(os.listdir(target))
    if not own:
        yield [Bind(store_dir)]
        return
    # The base image has a store. Its paths must be seen, too, so each of the others is mounted by
    # itself; the sandbox, where each is a mount, leaves no other way.
    made = []
    binds = []
    try:
        for entry in os.scandir(store_dir):
            if entry.name in own:
                continue
            place = os.path.join(target, entry.name)
            made.append(place)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                continue
            if entry.is_dir():
                os.mkdir(place)
            else:
                _touch(place)
            binds.append(Bind(entry.path))
        yield binds
    finally:
        for place in made:
            if os.path.isdir(place) and not os.path.islink(place):
                os.rmdir(place)
            else:
                os.unlink(place)


def _same_content(base: MergedTree | None, node: object, path: str) -> bool:
    if base is None:
        return False
    fd, offset, size = base.location(node)  # type: ignore[arg-type]
    with open(path, "rb", buffering=0) as file:
        done = 0
        while done < size:
            mine = file.read(min(_PIECE, size - done))
            if not mine or mine != os.pread(fd, len(mine), offset + done):
                return False
            done += len(mine)
        return not file.read(1)


def _below(root: str) -> list[str]:
    """Return the names of all files below `root`, relative to it, directories first."""
    names = []
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = os.path.join(directory, entry.name)
                names.append(path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
    # Parents sort before what is in them.
    return sorted(names)


def _facts(path: str) -> _Facts:
    status = os.lstat(path)
    return _Facts(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        device=status.st_rdev,
        size=status.st_size,
        inode=status.st_ino,
        times=(status.st_mtime_ns, status.st_ctime_ns),
        target=os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
        xattrs=xattrs_of(path),
    )


def _copy_facts(source: str, target: str) -> None:
    """Give the directory `target` owner and attributes of `source`, and keep it writable."""
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode) | 0o700)
    for name, value in xattrs_of(source):
        os.setxattr(target, name, value)


def _make_parents(root: str, layer: str, path: str, made: set[str]) -> None:
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        parent = "/".join(parts[:count])
        if parent not in made:
            os.mkdir(os.path.join(layer, parent))
            _copy_facts(os.path.join(root, parent), os.path.join(layer, parent))
            made.add(parent)


def _lies_in(path: str, directories: set[str]) -> bool:
    while path:
        if path in directories:
            return True
        path = os.path.dirname(path)
    return False


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
