"""Directories of a new layer where the base image has links to directories.

As they are, they would take the links' places, and hide what is behind them: the base image's
shell where /bin is a link to usr/bin. So what is in them goes where the links lead, as trees go
together that are linked or copied into one layer (builders.rootfs.links, builders.rootfs.copies).
"""

import os
import stat
import tempfile
from collections.abc import Collection, Sequence
from typing import Final, NoReturn

from builders.console.errors import die, warn
from builders.layers.tree import Inherited, xattrs_of
from builders.layers.walk import walk
from builders.rootfs.copies import is_same
from builders.rootfs.links import link_tree
from builders.rootfs.merge_layers import OPAQUE
from builders.rootfs.merged_tree import Node
from builders.rootfs.moves import redirect, rename, writable
from builders.rootfs.over_base import Destination, Kind, OverBase
from builders.rootfs.unpack import at
from builders.tar.header import SYMLINK

_MODE: Final = 0o755
_PLAIN_MODES: Final = (_MODE, 0o555)
"""Modes that directories have if nobody says otherwise: of mkdir, and of the store."""
_NO_FILES: Final = ("dev", "proc", "sys")
"""Where a container has file systems of its own, and shows nothing of the image."""
_SHOWN: Final = 60


def follow_base_links(
    root: str,
    base: Node,
    *,
    store_dir: str,
    has_owners: bool,
    linked: Sequence[str] = (),
    settled: Collection[str] = (),
) -> dict[str, Inherited]:
    """Move what lies in the directory `root` to where it is in an image on `base`.

    - A directory over a link of the base image that leads to a directory goes there; over a link
      that leads nowhere, too, with a warning. Relative links in it lead where they led. If the
      store is where it leads, a directory takes the link's place, with links to what is there.
    - A directory over a link that leads to a file or in a circle takes its place, with a warning.
    - Anything else that hides a directory gets a warning. If it is a link out of one of the trees
      `linked`, and leads to a directory, the files there are linked in its place.

    Directories on the way, and those that are moved, may be directories of the base image: the
    result has the attributes of these by name, for the layer's entries. Those of a directory that
    is moved come over them where they were chosen: a mode other than 0755 and 0555, and, if
    `has_owners`, another owner than root, or extended attributes. Names in `settled` stay as they
    are. Raises `UserError` where a file and a directory come to lie at one place.
    """
    view = OverBase(root, base, set(settled))
    with tempfile.TemporaryDirectory(dir=os.path.dirname(root)) as aside:
        return _Follow(view, root, store_dir, linked, has_owners=has_owners, aside=aside).run()


class _Follow:
    def __init__(
        self,
        view: OverBase,
        root: str,
        store_dir: str,
        linked: Sequence[str],
        *,
        has_owners: bool,
        aside: str,
    ) -> None:
        self._view = view
        self._root = root
        self._store = store_dir.strip("/")
        self._linked = linked
        self._has_owners = has_owners
        self._inherited: dict[str, Inherited] = {}
        self._pending: list[str] = [""]
        self._aside = aside
        self._count = 0

    def run(self) -> dict[str, Inherited]:
        while self._pending:
            directory = self._pending.pop()
            if self._view.mode(directory) is None:
                continue
            lower = self._view.lower(directory)
            for name in self._names(directory):
                node = self._view.child(directory, lower, name)
                path = os.path.join(directory, name)
                # What is moved on the way may be anything that comes later in the list.
                mode = self._view.mode(path)
                if node is None or mode is None:
                    continue
                if stat.S_ISDIR(mode) and node.children is not None:
                    self._pending.append(path)
                elif path in self._view.settled:
                    continue
                elif not stat.S_ISDIR(mode):
                    self._hide(directory, path, node)
                elif node.type == SYMLINK:
                    self._follow(directory, path, node.linkname)
        return self._inherited

    def _names(self, directory: str) -> list[str]:
        return sorted(os.listdir(at(self._root, directory)))

    def _is_in_store(self, path: str) -> bool:
        return f"{path}/".startswith(f"{self._store}/")

    # Directories over links

    def _follow(self, directory: str, path: str, target: str) -> None:
        """Move the directory at `path` to where the base image's link to `target` leads."""
        if self._view.mode(f"{path}/{OPAQUE}") is not None:
            self._view.settled.add(path)
            return
        found = self._view.resolve(directory, target)
        in_store = self._is_in_store(found.path)
        problem = _problem(found, in_store=in_store and not os.path.isdir(f"/{found.path}"))
        link = f"/{_shown(path)} is a link to {_shown(target)} in the base image"
        if problem:
            warn(f"{link}, which {problem}; the layer's directory of that name takes its place")
            self._view.settled.add(path)
        elif in_store:
            self._view.settled.add(path)
            self._join(path, found.path)
        else:
            if found.kind == Kind.MISSING:
                warn(
                    f"{link}, where nothing is; what the layer has there goes to the new directory "
                    f"/{_shown(found.path)}"
                )
            self._merge(path, found.path, why=link)

    def _merge(self, path: str, destination: str, *, why: str) -> None:
        """Move the directory at `path` into the directory `destination` of the image."""
        # Out of the tree at first: it may be in what it goes into.
        self._count += 1
        aside = os.path.join(self._aside, str(self._count))
        rename(at(self._root, path), aside)
        self._prune(os.path.dirname(path))
        if self._view.mode(destination) is None and self._view.lower(destination) is None:
            self._make(os.path.dirname(destination))
            self._put(aside, path, destination, top=path)
            return
        self._make(destination)
        # Only when all is there, it can be seen where links lead.
        doubled = []
        pending = [(aside, path, destination)]
        while pending:
            directory, old, new = pending.pop()
            if new in self._inherited:
                # What was chosen for another directory that went there before stays.
                self._inherit(new, directory, over=self._inherited[new])
            for name in sorted(os.listdir(directory)):
                place, one, other = f"{directory}/{name}", f"{old}/{name}", os.path.join(new, name)
                mode = self._view.mode(other)
                if mode is None:
                    self._put(place, one, other, top=path)
                elif os.path.isdir(place) and not os.path.islink(place):
                    target = other if stat.S_ISDIR(mode) else self._leads(other)
                    if target is None:
                        self._refuse(one, other, why=why)
                    pending.append((place, one, target))
                elif stat.S_ISDIR(mode):
                    self._refuse(one, other, why=why)
                else:
                    doubled.append((place, one, other))
        for place, one, other in doubled:
            self._compare(place, one, other, top=path, why=why)
        self._pending.append(destination)

    def _leads(self, path: str) -> str | None:
        """Return the directory that the layer's own link at `path` leads to, and make it."""
        if not os.path.islink(at(self._root, path)):
            return None
        found = self._view.resolve(os.path.dirname(path), os.path.basename(path))
        if found.kind != Kind.DIRECTORY or self._is_in_store(found.path):
            return None
        self._make(found.path)
        return found.path

    def _refuse(self, one: str, other: str, *, why: str) -> NoReturn:
        die(
            f"the layer has /{_shown(one)} and /{_shown(other)}, which are one place, since "
            f"{why}, and only one of them is a directory",
            hint="leave out one of them",
        )

    def _compare(self, place: str, one: str, other: str, *, top: str, why: str) -> None:
        """Leave out the file at `place`, which is called `one`, as `other` has its place."""
        redirect(place, one, other, top=top)
        directory = os.path.dirname(other)
        there = at(self._root, other)
        if is_same(place, there) or self._final(place, directory) == self._final(there, directory):
            return
        warn(
            f"the layer has /{_shown(one)} and /{_shown(other)} with other content, which are "
            f"one place, since {why}; the latter is in the image"
        )

    def _final(self, place: str, directory: str) -> str:
        """Return the file at `place`, or where it leads if it lies in `directory`."""
        if not os.path.islink(place):
            return place
        found = self._view.resolve(directory, os.readlink(place)).path
        return os.path.realpath(f"/{found}") if self._is_in_store(found) else at(self._root, found)

    # Changes

    def _make(self, path: str) -> None:
        """Make the directory `path` in the layer as it is in the base image, with its parents."""
        parts = path.split("/") if path else []
        for number in range(len(parts)):
            directory = "/".join(parts[: number + 1])
            if self._view.mode(directory) is not None:
                continue
            with writable(os.path.dirname(at(self._root, directory))):
                os.mkdir(at(self._root, directory), _MODE)
            self._inherit(directory, at(self._root, directory))

    def _prune(self, path: str) -> None:
        """Remove the directory `path` and those above it that were only on the way to one below."""
        while path and path not in self._view.settled and not self._names(path):
            lower, place = self._view.lower(path), at(self._root, path)
            if lower is None or lower.children is None or self._is_chosen(place):
                return
            path = os.path.dirname(path)
            with writable(at(self._root, path)):
                os.rmdir(place)

    def _is_chosen(self, place: str) -> bool:
        status = os.lstat(place)
        if stat.S_IMODE(status.st_mode) not in _PLAIN_MODES:
            return True
        is_owned = (status.st_uid, status.st_gid) != (0, 0)
        return self._has_owners and (is_owned or bool(xattrs_of(place)))

    def _inherit(self, path: str, chosen: str, *, over: Inherited | None = None) -> None:
        """Give the directory `path` what the base image says of it, if anything, or `over`.

        What was chosen for the directory at the place `chosen` comes over it.
        """
        lower = self._view.lower(path)
        if lower is None or lower.children is None:
            return
        status = os.lstat(chosen)
        mode = stat.S_IMODE(status.st_mode)
        if over is None:
            over = Inherited(lower.mode, lower.owner.uid, lower.owner.gid, lower.xattrs)
        uid, gid, xattrs = over.uid, over.gid, over.xattrs
        if self._has_owners:
            if (status.st_uid, status.st_gid) != (0, 0):
                uid, gid = status.st_uid, status.st_gid
            xattrs = xattrs_of(chosen) or xattrs
        self._inherited[path] = Inherited(
            mode=over.mode if mode in _PLAIN_MODES else mode, uid=uid, gid=gid, xattrs=xattrs
        )

    def _put(self, place: str, old: str, new: str, *, top: str) -> None:
        """Move the file at `place`, which was called `old` and lay in `top`, to `new`."""
        rename(place, at(self._root, new))
        for name in [name for name in self._inherited if f"{name}/".startswith(f"{old}/")]:
            self._inherited[new + name[len(old) :]] = self._inherited.pop(name)
        moved = at(self._root, new)
        for path, status in walk(moved):
            name = path[len(moved) :]
            if stat.S_ISDIR(status.st_mode):
                self._inherit(new + name, path)
            else:
                redirect(path, old + name, new + name, top=top)

    # Links into the store

    def _join(self, path: str, destination: str) -> None:
        """Link what is in the directory `destination` of the store into the one at `path`."""
        pending = [(path, destination)]
        while pending:
            directory, origin = pending.pop()
            with writable(at(self._root, directory)):
                for name, is_directory in self._in_store(origin):
                    place = f"{directory}/{name}"
                    if self._view.mode(place) is None:
                        os.symlink(f"/{origin}/{name}", at(self._root, place))
                    elif is_directory and stat.S_ISDIR(self._view.mode(place) or 0):
                        found = self._view.resolve(origin, name)
                        pending.append((place, found.path))

    def _in_store(self, directory: str) -> list[tuple[str, bool]]:
        """Return names in a directory of the store, and whether each is or leads to a directory."""
        lower = self._view.lower(directory)
        names = lower.children if lower and lower.children is not None else None
        if names is None:
            place = f"/{directory}"
            return [(name, os.path.isdir(f"{place}/{name}")) for name in sorted(os.listdir(place))]
        return [
            (name, self._view.resolve(directory, name).kind == Kind.DIRECTORY)
            for name in sorted(names)
        ]

    # What hides a directory

    def _hide(self, directory: str, path: str, node: Node) -> None:
        """Warn of what is no directory at `path`, where the base image has one, or a link to it."""
        place = at(self._root, path)
        self._view.settled.add(path)
        link = os.readlink(place) if os.path.islink(place) else None
        hidden = "a directory"
        if node.type == SYMLINK:
            found = self._view.resolve(directory, node.linkname)
            if found.kind != Kind.DIRECTORY:
                return
            if link is not None and self._view.resolve(directory, link) == found:
                return
            source = self._source(path, link)
            if source and not self._is_in_store(found.path):
                with writable(os.path.dirname(place)):
                    os.unlink(place)
                self._view.settled.discard(path)
                self._make(found.path)
                link_tree(
                    source,
                    self._root,
                    below=found.path,
                    store_dir=f"/{self._store}",
                    what=f"/{path}",
                    file_hint="leave it out",
                )
                self._pending.append(found.path)
                return
            hidden = f"a link to {_shown(node.linkname)}"
        elif node.children is None:
            return
        ours = "file" if link is None else f"link to {_shown(link)}"
        warn(
            f"/{_shown(path)} is {hidden} in the base image; the layer's {ours} takes its place, "
            f"and what the base image has in /{_shown(path)} is no longer found there"
        )

    def _source(self, path: str, link: str | None) -> str | None:
        """Return the directory in a tree that the link at `path` was linked from, if one was."""
        for tree in self._linked if link is not None else ():
            source = os.path.join(tree, path)
            if os.path.islink(source) and os.readlink(source) == link and os.path.isdir(source):
                return source
        return None


def _problem(found: Destination, *, in_store: bool) -> str | None:
    """Say why a directory of the layer can't be at `found`; None where it can.

    `in_store` is true of what lies in the store, but not in the build's.
    """
    if found.kind == Kind.LOOP:
        return "leads in a circle"
    if found.kind == Kind.FILE:
        return "leads to no directory"
    if found.path.split("/")[0] in _NO_FILES:
        return "leads out of the image"
    if found.kind == Kind.MISSING and in_store:
        return "leads to a store path that is not there"
    return None


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
