"""What a script changed of a file system, as the tree of a layer.

Files that are new or differ are in it. What is gone is named by a whiteout,
and a directory of which nothing is left hides what is below it. Source: OCI
image specification, "Image Layer Filesystem Changeset".
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from builders.console.errors import UserError, die
from builders.layers.tree import xattrs_of
from builders.rootfs.merge_layers import OPAQUE, WHITEOUT
from builders.rootfs.merged_tree import MergedTree, Node
from builders.rootfs.unpack import at, copy_facts

_TICK: Final = 0.02
"""Seconds. The kernel's clock for file times stands still for up to 10 ms (CONFIG_HZ=100)."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a file without reading it."""

    mode: int
    uid: int
    gid: int
    device: int
    size: int
    target: str
    xattrs: tuple[tuple[str, bytes], ...]
    identity: tuple[int, int, int]
    """Inode, and the times of the last changes: while they stay, so does the content."""

    @property
    def visible(self) -> tuple[object, ...]:
        """What a layer says of the file, but for its content."""
        size = self.size if stat.S_ISREG(self.mode) else 0
        return (self.mode, self.uid, self.gid, self.device, size, self.target, self.xattrs)


class Snapshot:
    """What is in the directory `root` before a script runs: the unpacked `base`, or nothing."""

    def __init__(self, root: str, base: MergedTree | None) -> None:
        self._root = root
        self._base = base
        self._facts = {path: _facts(at(root, path)) for path, _, _ in base.walk()} if base else {}
        # A file that is written to in the tick in which it was unpacked would look unchanged.
        time.sleep(_TICK)

    def move_changes(self, layer: str) -> None:
        """Move what differs by now to the new directory `layer`, on the same file system.

        A file with the same content, owner, mode and attributes is no change, whatever was
        done to it meanwhile. The result does not depend on inodes or times. Raises
        `UserError` for a file that no layer can hold.
        """
        try:
            _Difference(self._root, layer, self._base, self._facts).move()
        except OSError as error:
            name = os.fsdecode(error.filename or layer)
            for directory in (self._root, layer):
                name = name.removeprefix(directory)
            raise UserError(
                f"can't put {name or '/'} into a layer: {error.strerror}", hint="leave it out"
            ) from None


class _Difference:
    def __init__(
        self, root: str, layer: str, base: MergedTree | None, facts: dict[str, _Facts]
    ) -> None:
        self._root = root
        self._layer = layer
        self._base = base
        self._facts_before = facts
        # Directories of the layer, parents first.
        self._made: dict[str, None] = {}

    def move(self) -> None:
        self._make("")
        pending: list[tuple[str, Node | None]] = [("", self._base.root if self._base else None)]
        while pending:
            directory, lower = pending.pop()
            pending += self._compare(directory, (lower and lower.children) or {})
        # Last, since a mode may forbid to put anything in.
        for path in reversed(self._made):
            copy_facts(at(self._root, path), at(self._layer, path))

    def _compare(self, directory: str, lower: dict[str, Node]) -> Iterator[tuple[str, Node]]:
        """Move what differs in one directory; yield the directories that are on both sides."""
        names = sorted(os.listdir(at(self._root, directory)))
        below = []
        stays = False
        for name in names:
            path = f"{directory}/{name}" if directory else name
            node = lower.get(name)
            if node is not None:
                facts = _facts(at(self._root, path))
                before = self._facts_before[path]
                if node.children is not None and stat.S_ISDIR(facts.mode):
                    stays = True
                    _let_in(at(self._root, path), facts.mode)
                    below.append((path, node))
                    if facts.visible != before.visible:
                        self._make(path)
                    continue
                if not self._differs(path, node, before, facts):
                    stays = True
                    continue
            self._move(path)
        gone = sorted(lower.keys() - set(names))
        if len(gone) > 1 and directory and not stays:
            self._mark(directory, OPAQUE)
        else:
            for name in gone:
                self._mark(directory, WHITEOUT + name)
        return iter(below)

    def _move(self, path: str) -> None:
        for name in _names(self._root, path):
            if os.path.basename(name).startswith(WHITEOUT):
                die(
                    f"/{name} begins with {WHITEOUT}, which in a layer deletes another file",
                    hint="give it another name",
                )
        self._make(os.path.dirname(path))
        os.rename(at(self._root, path), at(self._layer, path))

    def _mark(self, directory: str, name: str) -> None:
        self._make(directory)
        path = os.path.join(at(self._layer, directory), name)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))

    def _make(self, path: str) -> None:
        """Make a directory that stays where it is, with its parents, in the layer."""
        missing = []
        while path not in self._made:
            missing.append(path)
            if not path:
                break
            path = os.path.dirname(path)
        for path in reversed(missing):
            os.mkdir(at(self._layer, path), 0o700)
            self._made[path] = None

    def _differs(self, path: str, node: Node, before: _Facts, after: _Facts) -> bool:
        if before.visible != after.visible:
            return True
        if not stat.S_ISREG(after.mode) or before.identity == after.identity:
            return False
        return not self._same_content(path, node)

    def _same_content(self, path: str, node: Node) -> bool:
        assert self._base
        with open(at(self._root, path), "rb") as file:
            same = all(file.read(len(chunk)) == chunk for chunk in self._base.chunks(node))
            return same and not file.read(1)


def _names(root: str, path: str) -> Iterator[str]:
    """Yield `path` and all that is below it, and see to it that it can be moved and read."""
    pending = [path]
    while pending:
        name = pending.pop()
        yield name
        mode = os.lstat(at(root, name)).st_mode
        _let_in(at(root, name), mode)
        if stat.S_ISDIR(mode):
            pending += [f"{name}/{entry}" for entry in os.listdir(at(root, name))]


def _let_in(path: str, mode: int) -> None:
    """See to it that the file at `path`, of the given mode, can be read and moved."""
    needed = 0o700 if stat.S_ISDIR(mode) else 0o400
    if mode & needed != needed and not stat.S_ISLNK(mode):
        # fakeroot remembers the mode, and gives the file on the disk more. It could not where a
        # static program set the mode, or a mask like 0777.
        os.chmod(path, stat.S_IMODE(mode))


def _facts(path: str) -> _Facts:
    status = os.lstat(path)
    return _Facts(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        device=status.st_rdev,
        size=status.st_size,
        target=os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
        xattrs=xattrs_of(path),
        identity=(status.st_ino, status.st_mtime_ns, status.st_ctime_ns),
    )
