"""The merged tree: the layers of an image applied in order, in memory.

What results is a clean tree of plain names, in which every file says where in
which layer its content is. Nothing is written to a disk, so that no link of an
untrusted layer can lead out of the tree; who writes it to one later meets no
link either, since parents come first and are directories.

Source: OCI image specification, "Image Layer Filesystem Changeset". Where it
leaves something open, this does what `docker load` does:

- A name's parents are found as if the tree were the root of the file system:
  links among them are followed inside of it, and ".." stops at its top.
- Parents that no layer names are directories with mode 0755 of root.
- A directory that is named again, in the same layer or another one, keeps its
  contents. Anything else may be named once in a layer.
- Whiteouts hide what lower layers brought, and nothing of their own layer,
  wherever in it they stand.
- A hard link may lead to a file of a lower layer.

What Docker refuses is refused, with one line that names layer and file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from builders.compression.readers import FileRange
from builders.console.errors import UserError
from builders.rootfs.merged_tree import ROOT, LayerFile, MergedTree, Node, Xattrs
from builders.rootfs.tally import Tally, TooMuchError
from builders.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SPARSE,
    SYMLINK,
    Owner,
)
from builders.tar.member import Member
from builders.tar.reader import Scan
from builders.tar.tape import Tape

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"

_META: Final = ".wh..wh."
"""What begins like this at the root of a layer is of AUFS and no file of the image."""
_AUFS_LINKS: Final = ".wh..wh.plnk"
"""Where layers made on AUFS keep the files that their hard links lead to."""

_NODES: Final = frozenset((REGULAR, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO, DIRECTORY))
_NAME_MAX: Final = 255
_PATH_MAX: Final = 4095
"""Linux takes no longer names, in bytes."""
_LINKS_MAX: Final = 40
"""Linux follows no more symbolic links on the way to a file."""
_SHOWN: Final = 60
"""Characters of an overlong name that an error shows."""
_FILES_MAX: Final = 1 << 22
"""No image has so many; a few kilobytes of a layer can name some thousand directories."""
_SIZE_MAX: Final = 1 << 44
"""Bytes of a sparse file, as ext4 has it. Few bytes of a layer can say any number."""
_MAJOR_MAX: Final = (1 << 12) - 1
_MINOR_MAX: Final = (1 << 20) - 1
"""The numbers of devices that Linux has."""
_XATTR_MAX: Final = 1 << 16
"""Linux takes no longer value of an extended attribute, in bytes."""
_XATTRS_MAX: Final = 1 << 26
"""Bytes of all extended attributes that differ; they are held in memory."""
_EXTENTS_MAX: Final = 1 << 18
"""Extents of all sparse files; they are held in memory."""
_OWNER_MAX: Final = (1 << 32) - 2
_SYMLINK_MODE: Final = 0o777
"""Linux gives this mode to every symbolic link, whatever an archive says."""

_UNLOADABLE: Final = "make the image again: 'docker load' would not take it either"


def merge_layers(layers: Sequence[LayerFile]) -> MergedTree:
    """Apply `layers`, the lowest first.

    Takes some 400 bytes of memory for each file. Raises `UserError` where a
    layer is damaged, or has what can't be applied.
    """
    merge = _Merge()
    for number, layer in enumerate(layers):
        source = FileRange(layer.fd, layer.offset, layer.offset + layer.size, what=layer.what)
        merge.apply(number, Tape(source, what=layer.what))
    return MergedTree(layers=layers, root=merge.root)


@dataclass(slots=True)
class _Merge:
    """A tree to which layers are being applied."""

    root: Node = field(default_factory=lambda: _directory(0o755, ROOT, 0, 0))
    _layer: int = 0
    _what: str = ""
    # The directory that the last member lies in; most often the next one does, too.
    _parent_name: str | None = None
    _parent: Node | None = None
    _parent_length: int = 0
    # Names in this layer of nodes that belong to a lower one.
    _linked: set[tuple[Node, str]] = field(default_factory=set)
    # Directories in which nothing of lower layers is left.
    _opaque: set[Node] = field(default_factory=set)
    _owners: dict[Owner, Owner] = field(default_factory=dict)
    _xattrs: dict[Xattrs, Xattrs] = field(default_factory=dict)
    _xattrs_size: int = 0
    _files: int = 0
    _tally: Tally = field(default_factory=Tally)
    _extents: int = 0

    def apply(self, number: int, tape: Tape) -> None:
        """Apply the layer on `tape`, which has this number."""
        self._layer = number
        self._what = tape.what
        self._forget_parent()
        try:
            for member in Scan(tape):
                self._tally.member()
                self._add(member)
        except TooMuchError as error:
            self._refuse("the image", str(error))
        _children(self.root).pop(_AUFS_LINKS, None)
        self._linked.clear()
        self._opaque.clear()

    def _add(self, member: Member) -> None:
        name = member.name
        while name.startswith("../"):
            name = name[3:]
        if name in (".", ".."):
            self._set_root(member)
            return
        directory, _, base = name.rpartition("/")
        # A character has four bytes at most.
        if 4 * len(base) > _NAME_MAX or 4 * len(name) > _PATH_MAX:
            self._check_length(name, base)
        if name.startswith(_META) and name != OPAQUE:
            if not name.startswith(_AUFS_LINKS):
                return
        elif base.startswith(WHITEOUT):
            self._whiteout(self._make_parent(name, directory), name, base)
            return
        if directory == self._parent_name and self._parent is not None:
            parent = self._parent
        else:
            parent = self._make_parent(name, directory)
        children = _children(parent)
        old = children.get(base)
        if old is not None and old.children is None and self._is_new(parent, base, old):
            self._refuse(f"/{name}", "is there twice")
        self._tally.names(self._parent_length + len(base) + len(member.linkname))
        if member.type == DIRECTORY:
            if old is not None and old.children is not None:
                self._describe(old, member)
                old.layer = self._layer
                return
            node = self._new(name, member)
            node.children = {}
        elif member.type == HARD_LINK:
            # As Docker: what has the name goes first, even if it is what the link leads to.
            if old is not None:
                self._remove(parent, base)
                old = None
            node = self._target(name, member)
            node.shared = True
            if node.layer != self._layer:
                self._linked.add((parent, base))
        else:
            node = self._new(name, member)
        if old is not None:
            self._remove(parent, base)
        children[base] = node

    def _set_root(self, member: Member) -> None:
        if member.type != DIRECTORY:
            self._refuse("the root directory", f"is {member.describe()}")
        self._describe(self.root, member)

    def _check_length(self, name: str, base: str) -> None:
        if len(os.fsencode(base)) > _NAME_MAX or len(os.fsencode(name)) > _PATH_MAX:
            self._refuse(_shortened(f"/{name}"), "has a name longer than Linux takes")

    def _new(self, name: str, member: Member) -> Node:
        kind = member.type
        if kind == SPARSE:
            kind = REGULAR
            if member.size > _SIZE_MAX:
                self._refuse(f"/{name}", f"is a sparse file of more than {_SIZE_MAX} bytes")
            self._count_extents(name, len(member.extents))
        if kind not in _NODES:
            self._refuse(f"/{name}", f"is {member.describe()}")
        if kind == SYMLINK and not 0 < len(os.fsencode(member.linkname)) <= _PATH_MAX:
            self._refuse(f"/{name}", "is a symbolic link whose target no link can have")
        if member.device and not _is_device(*member.device):
            major, minor = member.device
            self._refuse(f"/{name}", f"is a device of the impossible number {major}:{minor}")
        self._count()
        return Node(
            kind,
            _SYMLINK_MODE if kind == SYMLINK else member.mode,
            self._owner(name, member),
            member.mtime,
            self._layer,
            member.size,
            member.offset if member.size else 0,
            member.extents if member.type == SPARSE else None,
            member.linkname if kind == SYMLINK else "",
            member.device,
            self._keep_xattrs(name, member.xattrs) if member.xattrs else (),
        )

    def _describe(self, directory: Node, member: Member) -> None:
        """Give a directory that is there already what `member` says of it."""
        directory.mode = member.mode
        directory.owner = self._owner(member.name, member)
        directory.mtime = member.mtime
        directory.xattrs = self._keep_xattrs(member.name, member.xattrs)

    def _count(self) -> None:
        self._files += 1
        if self._files > _FILES_MAX:
            self._refuse("the image", f"has more than {_FILES_MAX} files")

    def _count_extents(self, name: str, count: int) -> None:
        self._extents += count
        if self._extents > _EXTENTS_MAX:
            self._refuse(f"/{name}", f"and other sparse files have more than {_EXTENTS_MAX} pieces")

    def _keep_xattrs(self, name: str, xattrs: Xattrs) -> Xattrs:
        """Return what equals `xattrs` and is held only once."""
        known = self._xattrs.get(xattrs)
        if known is None:
            self._xattrs_size += sum(len(key) + len(value) for key, value in xattrs)
            if any(len(value) > _XATTR_MAX for _, value in xattrs):
                self._refuse(f"/{name}", "has an extended attribute longer than Linux takes")
            if self._xattrs_size > _XATTRS_MAX:
                self._refuse(
                    "the image", f"has more than {_XATTRS_MAX} bytes of extended attributes"
                )
            known = self._xattrs[xattrs] = xattrs
        return known

    def _owner(self, name: str, member: Member) -> Owner:
        owner = Owner(member.uid, member.gid, member.uname, member.gname)
        known = self._owners.get(owner)
        if known is None:
            if not (0 <= owner.uid <= _OWNER_MAX and 0 <= owner.gid <= _OWNER_MAX):
                self._refuse(f"/{name}", f"has the impossible owner {owner.uid}:{owner.gid}")
            known = self._owners[owner] = owner
        return known

    def _target(self, name: str, member: Member) -> Node:
        """Return the node that a hard link leads to."""
        link = f"/{name}"
        if len(member.linkname) > _PATH_MAX:
            self._refuse(_shortened(link), "is a hard link to a name longer than Linux takes")
        # From the root, as Docker; what leads out of it stops at its top.
        directory, _, base = _clean(member.linkname).rpartition("/")
        parent = self._directory(link, directory, make=False)
        node = _children(parent).get(base) if parent else None
        if node is None:
            self._refuse(link, f"is a hard link to {member.linkname}, which is not in the image")
        if node.children is not None:
            self._refuse(link, f"is a hard link to {member.linkname}, which is a directory")
        return node

    # Whiteouts

    def _whiteout(self, parent: Node, name: str, base: str) -> None:
        if base == OPAQUE:
            self._hide_below(parent)
            return
        hidden = base.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            self._refuse(f"/{name}", "is a whiteout of no file")
        node = _children(parent).get(hidden)
        if node is None:
            return
        if not self._is_new(parent, hidden, node):
            self._remove(parent, hidden)
        elif node.children is not None:
            self._hide_below(node)

    def _hide_below(self, directory: Node) -> None:
        """Remove what lower layers brought below `directory`."""
        if directory in self._opaque:
            return
        self._opaque.add(directory)
        stack = [directory]
        while stack:
            parent = stack.pop()
            self._tally.steps(len(_children(parent)) + 1)
            for name, node in list(_children(parent).items()):
                if not self._is_new(parent, name, node):
                    self._remove(parent, name)
                elif node.children is not None:
                    stack.append(node)

    def _is_new(self, parent: Node, name: str, node: Node) -> bool:
        """Whether this layer brought a name, or anything below it."""
        return node.layer == self._layer or (parent, name) in self._linked

    def _remove(self, parent: Node, name: str) -> None:
        node = _children(parent).pop(name)
        self._linked.discard((parent, name))
        if node.type in (DIRECTORY, SYMLINK):
            self._forget_parent()

    # Parents

    def _forget_parent(self) -> None:
        self._parent_name = None
        self._parent = None

    def _make_parent(self, name: str, directory: str) -> Node:
        """Return the directory `directory`, in which `name` lies, made where it is missing."""
        parent = self._directory(f"/{name}", directory, make=True)
        assert parent
        self._parent_name = directory
        self._parent = parent
        return parent

    def _directory(self, user: str, path: str, *, make: bool) -> Node | None:
        """Return the directory `path`, links followed inside of the root.

        Where `make` is true, it is made where it is missing, and belongs to this
        layer from now on; otherwise the result may be None. `user` is who needs it, for errors.
        """
        trail = [self.root]
        lengths = [0]
        pending = path.split("/")[::-1]
        # So many of them are `path`'s own; those above come out of links.
        own = len(pending)
        followed = 0
        self._tally.steps(own)
        while pending:
            part = pending.pop()
            is_own = len(pending) < own
            own = min(own, len(pending))
            if not is_own:
                self._tally.link_step()
            if part in ("", "."):
                continue
            if part == "..":
                if len(trail) > 1:
                    trail.pop()
                    lengths.pop()
                continue
            node = _children(trail[-1]).get(part)
            if node is None:
                if not make:
                    return None
                if not is_own:
                    self._refuse(user, f"lies below a symbolic link to {part}, which is missing")
                node = self._make(user, trail[-1], part)
                self._tally.names(lengths[-1] + len(part) + 1)
            if node.children is not None:
                trail.append(node)
                lengths.append(lengths[-1] + len(os.fsencode(part)) + 1)
            elif node.type == SYMLINK:
                followed += 1
                if followed > _LINKS_MAX:
                    self._refuse(user, f"lies below more than {_LINKS_MAX} symbolic links")
                if node.linkname.startswith("/"):
                    trail, lengths = [self.root], [0]
                pending += node.linkname.split("/")[::-1]
                self._tally.link_step()
            elif make:
                self._refuse(user, f"lies below {part}, which is no directory")
            else:
                return None
        if make:
            # Links may lead deeper than any name that is written out.
            if lengths[-1] > _PATH_MAX - _NAME_MAX:
                self._refuse(_shortened(user), "lies deeper than a name in Linux can say")
            for node in trail:
                node.layer = self._layer
            self._parent_length = lengths[-1]
        return trail[-1]

    def _make(self, user: str, parent: Node, name: str) -> Node:
        """Make a directory that no layer names."""
        if name.startswith(WHITEOUT) and not (parent is self.root and name == _AUFS_LINKS):
            self._refuse(user, f"lies below the whiteout {name}")
        if len(os.fsencode(name)) > _NAME_MAX:
            self._refuse(_shortened(user), "has a name longer than Linux takes")
        self._count()
        node = _directory(0o755, ROOT, 0, self._layer)
        _children(parent)[name] = node
        return node

    def _refuse(self, subject: str, problem: str, *, hint: str = _UNLOADABLE) -> NoReturn:
        raise UserError(f"{self._what}: {subject} {problem}", hint=hint)


def _is_device(major: int, minor: int) -> bool:
    return 0 <= major <= _MAJOR_MAX and 0 <= minor <= _MINOR_MAX


def _directory(mode: int, owner: Owner, mtime: int, layer: int) -> Node:
    return Node(DIRECTORY, mode, owner, mtime, layer, children={})


def _children(node: Node) -> dict[str, Node]:
    """Return the children of what is known to be a directory."""
    assert node.children is not None
    return node.children


def _shortened(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"


def _clean(name: str) -> str:
    """Return a name without "." and doubled slashes, from the root that ".." doesn't leave."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
