"""What an image has where the tree of a new layer lies over a base image.

The layer's tree is on disk, and the base image is in memory: a directory of `builders.rootfs.
merged.Node`s. A name leads where it does in a container: what the layer has hides what the base
image has, whiteouts of the layer included, but for a directory of the layer over a link to a
directory. That one goes where the link leads (`builders.rootfs.base_links`). Source: OCI image
specification, "Image Layer Filesystem Changeset"; path_resolution(7).
"""

import os
import stat
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from builders.console.errors import die, warn
from builders.rootfs.merge_layers import OPAQUE, WHITEOUT
from builders.rootfs.merged_tree import Node
from builders.rootfs.unpack import at
from builders.tar.header import SYMLINK

_MOST_LINKS: Final = 40
"""As many as the kernel follows in one name (path_resolution(7))."""

_LONGEST: Final = 4095 - 255
_LONGEST_NAME: Final = 255
"""Bytes in the name of a directory, and in a part of it, below which Linux can name a file."""


class Kind(Enum):
    """What is where a name leads."""

    DIRECTORY = auto()
    FILE = auto()
    """Anything else, or a name below it."""
    MISSING = auto()
    LOOP = auto()


@dataclass(frozen=True)
class Destination:
    """Where a name leads: `path` is relative to the root, and no part of it is a link."""

    path: str
    kind: Kind


@dataclass
class OverBase:
    """The tree in the directory `root` over the directory `base`; None for no tree.

    Names of the layer in `settled` stand over the base image as they are, directories over links
    too.
    """

    root: str | None
    base: Node
    settled: set[str] = field(default_factory=set)

    def mode(self, path: str) -> int | None:
        """Return type and mode of what the layer has at `path`, if anything."""
        if self.root is None:
            return None
        try:
            return os.lstat(at(self.root, path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None

    def child(self, directory: str, lower: Node | None, name: str) -> Node | None:
        """Return what the base image has as `name` in `lower`, and what the layer doesn't delete.

        `lower` is what the base image has as `directory`.
        """
        found = lower.children.get(name) if lower and lower.children is not None else None
        if found is None:
            return None
        for whiteout in (WHITEOUT + name, OPAQUE):
            if self.mode(os.path.join(directory, whiteout)) is not None:
                return None
        return found

    def lower(self, path: str) -> Node | None:
        """Return what the base image has as `path`, which no link is a part of."""
        node: Node | None = self.base
        directory = ""
        for name in path.split("/") if path else ():
            node = self.child(directory, node, name)
            directory = os.path.join(directory, name)
        return node

    def resolve(self, directory: str, target: str) -> Destination:
        """Return where a link to `target` leads that lies in `directory`.

        No part of `directory` is a link.
        """
        trail: list[str] = []
        # Of each directory on the way, from the root on, what the base image has there.
        lower: list[Node | None] = [self.base]
        pending = target.split("/")[::-1]
        if not target.startswith("/"):
            pending += directory.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if trail:
                    trail.pop()
                    lower.pop()
                continue
            node = self.child("/".join(trail), lower[-1], name)
            path = "/".join([*trail, name])
            if len(os.fsencode(path)) > _LONGEST or len(os.fsencode(name)) > _LONGEST_NAME:
                return Destination(path, Kind.FILE)
            link = self._link(path, node)
            if link is not None:
                links += 1
                if links > _MOST_LINKS:
                    return Destination(path, Kind.LOOP)
                if link.startswith("/"):
                    trail, lower = [], [self.base]
                pending += link.split("/")[::-1]
                continue
            if self._kind(path, node) == Kind.FILE:
                return Destination(path, Kind.FILE)
            trail.append(name)
            lower.append(node)
        path = "/".join(trail)
        return Destination(path, self._kind(path, lower[-1]))

    def _link(self, path: str, lower: Node | None) -> str | None:
        """Return the target where `path` is a link."""
        below = lower.linkname if lower and lower.type == SYMLINK else None
        mode = self.mode(path)
        if mode is None:
            return below
        if stat.S_ISLNK(mode):
            return os.readlink(at(self.root or "", path))
        return below if stat.S_ISDIR(mode) and path not in self.settled else None

    def _kind(self, path: str, lower: Node | None) -> Kind:
        mode = self.mode(path)
        if mode is not None:
            return Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.FILE
        if lower is None:
            return Kind.MISSING
        return Kind.DIRECTORY if lower.children is not None else Kind.FILE


def check_store(base: Node, store_dir: str, *, what: str) -> None:
    """See to it that no link of the base image lies where store paths go.

    Layers name store paths as they are called, and an engine would put a directory in the link's
    place. Raises `UserError` where that hides a directory; `what` is what to call the base image.
    """
    view = OverBase(root=None, base=base)
    parts = store_dir.strip("/").split("/")
    for number in range(len(parts)):
        directory, path = "/".join(parts[:number]), "/".join(parts[: number + 1])
        node = view.lower(path)
        if node is None or node.type != SYMLINK:
            continue
        name = f"{what} has /{path} as a link to {node.linkname}"
        if view.resolve(directory, node.linkname).kind != Kind.DIRECTORY:
            warn(f"{name}, where no directory is; a directory with the store paths replaces it")
            return
        die(
            f"{name}, but store paths must be in a directory of that name",
            hint=f"make /{path} a directory in the base image",
        )
