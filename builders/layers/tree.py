"""Layers of a directory tree, as the customisation layer is: GNU tar's bytes.

What the reference packs with `tar --sort=name --numeric-owner
--hard-dereference --mtime=@… .` comes out the same here: GNU format, names
that begin with `./`, the root's own entry included, owners by number alone.
A tree with extended attributes (file capabilities, say) can't be said in that
format: such a tree is written in pax format instead, with the attributes as
`SCHILY.xattr.*` records.

All facts come from `lstat` and `llistxattr`, so that a process inside of a
fakeroot session packs what fakeroot remembers and not what the disk holds.
"""

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from builders.console.errors import die, warn, writing
from builders.layers.walk import walk
from builders.tar.header import (
    DIRECTORY,
    REGULAR,
    Entry,
    Owner,
    gnu_header,
    pax_header,
    type_of,
)
from builders.tar.sinks import FileSink, Sink, copy_file, sha256
from builders.tar.writer import TarWriter

MTIME: Final = 315532800
"""1980-01-01: the time that nixpkgs' stdenv gives to whatever has none, and so the reference's."""

_ROOT: Final = "root"

IGNORED_XATTRS = ("security.selinux",)
"""Attributes that the host's kernel puts on every file, and not the image's author."""


@dataclass(frozen=True)
class Inherited:
    """Attributes of a directory that a layer has from a lower one, whatever is on the disk."""

    mode: int
    uid: int
    gid: int
    xattrs: tuple[tuple[str, bytes], ...] = ()


def write_layer(
    out: str,
    root: str,
    *,
    owner: Owner | None = None,
    owners: Mapping[str, Owner] = MappingProxyType({}),
    numeric_owner: bool = True,
    exclude: Collection[str] = (),
    inherited: Mapping[str, Inherited] = MappingProxyType({}),
) -> None:
    """Write the layer of the tree below `root` into the directory `out`.

    It is `layer.tar` there, and `checksum` is its SHA-256 in hexadecimal and a newline. Times are
    `MTIME`; all else is as in `write_tree_layer`.
    """
    path = os.path.join(out, "layer.tar")
    with writing(path), open(path, "wb", buffering=0) as file:
        sink = FileSink(file.fileno())
        write_tree_layer(
            sink,
            root,
            mtime=MTIME,
            owner=owner,
            owners=owners,
            numeric_owner=numeric_owner,
            exclude=exclude,
            inherited=inherited,
        )
        sink.flush()
    beside = os.path.join(out, "checksum")
    with writing(beside), open(beside, "w", encoding="ascii") as checksum:
        checksum.write(f"{sha256(path)}\n")


def write_tree_layer(
    sink: Sink,
    root: str,
    *,
    mtime: int,
    owner: Owner | None = None,
    owners: Mapping[str, Owner] = MappingProxyType({}),
    numeric_owner: bool = True,
    exclude: Collection[str] = (),
    inherited: Mapping[str, Inherited] = MappingProxyType({}),
) -> None:
    """Write the layer of the tree below `root`.

    Every entry gets the time `mtime` (seconds since 1970) and, where `owner` is given, that owner;
    `owners` are exceptions from it, by name. Owners are written by number alone where
    `numeric_owner`, as with GNU tar's --numeric-owner, and with their names where not: those that
    the owner has, else root's, the only one that is the same everywhere. `exclude` holds names
    relative to `root` (without a leading slash) that stay out, with all that is below them.
    Directories in `inherited`, by such names, have these attributes.
    """
    shown = _unnamed if numeric_owner else _named
    entries = [
        (path, _inherit(entry, inherited.get(path[len(root) + 1 :]), shown))
        for path, entry in _entries(root, mtime, owner, owners, shown, frozenset(exclude))
    ]
    header: Callable[[Entry], bytes] = partial(
        gnu_header, long_owner="" if numeric_owner else _ROOT
    )
    if any(entry.xattrs for _, entry in entries):
        header = pax_header
    archive = TarWriter(sink, header=header)
    for path, entry in entries:
        archive.add(entry, partial(copy_file, sink, path, entry.size))
    archive.finish()


def _entries(
    root: str,
    mtime: int,
    owner: Owner | None,
    owners: Mapping[str, Owner],
    shown: Callable[[Owner], Owner],
    exclude: frozenset[str],
) -> Iterator[tuple[str, Entry]]:
    prefix = len(root) + 1
    for path, status in walk(root, skip=lambda path: path[prefix:] in exclude):
        kind = type_of(status.st_mode)
        name = path[prefix:]
        if kind is None:
            # As GNU tar: a socket is of no use without the process that made it.
            warn(f"the socket /{name} stays out of the layer")
            continue
        written = shown(owners.get(name) or owner or Owner(status.st_uid, status.st_gid))
        entry = Entry(
            name=f"./{name}/" if kind == DIRECTORY and name else f"./{name}",
            type=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=written.uid,
            gid=written.gid,
            uname=written.uname,
            gname=written.gname,
            mtime=mtime,
            xattrs=xattrs_of(path) if owner is None else _authors_xattrs(path),
        )
        if kind == REGULAR:
            entry = replace(entry, size=status.st_size)
        elif stat.S_ISLNK(status.st_mode):
            entry = replace(entry, linkname=os.readlink(path))
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            entry = replace(entry, device=(os.major(status.st_rdev), os.minor(status.st_rdev)))
        yield path, entry


def _unnamed(owner: Owner) -> Owner:
    return Owner(owner.uid, owner.gid) if owner.uname or owner.gname else owner


def _named(owner: Owner) -> Owner:
    return owner._replace(
        uname=owner.uname or ("" if owner.uid else _ROOT),
        gname=owner.gname or ("" if owner.gid else _ROOT),
    )


def _inherit(entry: Entry, facts: Inherited | None, shown: Callable[[Owner], Owner]) -> Entry:
    if facts is None:
        return entry
    owner = shown(Owner(facts.uid, facts.gid))
    return replace(
        entry,
        mode=facts.mode,
        uid=owner.uid,
        gid=owner.gid,
        uname=owner.uname,
        gname=owner.gname,
        xattrs=facts.xattrs,
    )


def _authors_xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes of `path` that can only be of the image's author.

    Outside of a fakeroot session the host shows its own: lists of who has access, say.
    """
    return tuple(
        (name, value)
        for name, value in xattrs_of(path)
        if name == "security.capability" or name.startswith("user.")
    )


def xattrs_of(path: str) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes of `path` that belong into a layer, sorted by name."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EPERM):
            return ()
        die(f"can't read the extended attributes of {path}: {error.strerror}", hint="remove it")
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(names)
        if name not in IGNORED_XATTRS
    )
