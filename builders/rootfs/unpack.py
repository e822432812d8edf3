"""A merged tree as files on a disk, and trees laid over it.

All of it is meant for a fakeroot session, which remembers the owners and
devices that an unprivileged build can't make. A merged tree has plain names
only, parents before what is in them, so that no link of an untrusted base
image leads out of the directory.
"""

import errno
import os
import stat
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

from builders.console.errors import UserError
from builders.layers.tree import Inherited, xattrs_of
from builders.rootfs.merged_tree import MergedTree, Place
from builders.tar.header import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, REGULAR, SYMLINK
from builders.tar.sinks import FileSink

_SPECIAL: Final = {
    CHARACTER_DEVICE: stat.S_IFCHR,
    BLOCK_DEVICE: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
}

_SET_ID: Final = stat.S_ISUID | stat.S_ISGID

_FIRST_TIME: Final = -(1 << 31)
_LAST_TIME: Final = (1 << 34) - 1
"""What ext4 takes, in seconds since 1970. An archive may say anything."""


def unpack(tree: MergedTree, root: str) -> None:
    """Write the files of `tree` to the directory `root`, which must be empty.

    Owners, modes, times, devices, hard links and extended attributes are the
    tree's. Raises `UserError` where the file system takes one of them not.
    """
    directories: list[Place] = []
    for place in tree.walk():
        try:
            _write(tree, place, root)
        except OSError as error:
            _refuse(place.path, error)
        if place.node.type == DIRECTORY:
            directories.append(place)
    # What is made in a directory changes its time, and its mode may forbid to make any.
    for place in reversed(directories):
        path = at(root, place.path)
        os.chmod(path, place.node.mode)
        _set_time(path, place.node.mtime)


def _write(tree: MergedTree, place: Place, root: str) -> None:
    node = place.node
    path = at(root, place.path)
    if place.link is not None:
        os.link(at(root, place.link), path, follow_symlinks=False)
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
            tree.copy(node, sink, skip=lambda size: os.lseek(fd, size, os.SEEK_CUR))
            sink.flush()
            if node.extents is not None:
                # Behind its last data a file may have a hole, too.
                os.ftruncate(fd, node.size)
        finally:
            os.close(fd)
    else:
        os.mknod(path, _SPECIAL[node.type] | 0o600, os.makedev(*(node.device or (0, 0))))
    if (node.owner.uid, node.owner.gid) != (0, 0):
        os.chown(path, node.owner.uid, node.owner.gid, follow_symlinks=False)
    for name, value in node.xattrs:
        os.setxattr(path, name, value, follow_symlinks=False)
    if node.type not in (SYMLINK, DIRECTORY):
        if node.mode & _SET_ID:
            # Nix's sandbox refuses these bits. fakeroot remembers them all the same, but the file
            # on the disk must be one that can be run.
            os.chmod(path, node.mode & ~_SET_ID)
        os.chmod(path, node.mode)
    if node.type != DIRECTORY:
        _set_time(path, node.mtime)


def _set_time(path: str, mtime: int) -> None:
    # Scripts compare times: make does, and Python those of a module and its byte code.
    time = max(_FIRST_TIME, min(mtime, _LAST_TIME))
    os.utime(path, (time, time), follow_symlinks=False)


def _refuse(path: str, error: OSError) -> NoReturn:
    name = f"/{path}" if len(path) <= 60 else f"/{path[:60]}…"
    hint = "leave that file out of the base image"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room on the disk that Nix builds on"
    raise UserError(f"can't unpack {name} of the base image: {error.strerror}", hint=hint) from None


def lay_over(
    source: str,
    root: str,
    *,
    aside: str,
    inherited: Mapping[str, Inherited] = MappingProxyType({}),
) -> None:
    """Move what is in the directory `source` into `root`, as a layer lies over lower ones.

    A directory goes into one of the same name, which gets its owner, mode and
    extended attributes, or, where its relative name is in `inherited`, what that says;
    anything else takes the place of what has its name.
    That is moved to the new directory `aside`, since it may be a tree too deep to remove
    step by step. All three are on one file system.
    """
    os.mkdir(aside)
    pending = [""]
    number = 0
    while pending:
        directory = pending.pop()
        facts = inherited.get(directory)
        if facts is None:
            copy_facts(at(source, directory), at(root, directory))
        else:
            _give(at(root, directory), facts)
        for name in sorted(os.listdir(at(source, directory))):
            path = os.path.join(directory, name)
            upper, lower = at(source, path), at(root, path)
            if os.path.lexists(lower):
                if _is_directory(upper) and _is_directory(lower):
                    pending.append(path)
                    continue
                os.rename(lower, os.path.join(aside, str(number)))
                number += 1
            os.rename(upper, lower)


def copy_facts(source: str, target: str) -> None:
    """Give the directory `target` owner, mode and extended attributes of the directory `source`."""
    status = os.lstat(source)
    mode = stat.S_IMODE(status.st_mode)
    _give(target, Inherited(mode, status.st_uid, status.st_gid, xattrs_of(source)))


def _give(target: str, facts: Inherited) -> None:
    os.chown(target, facts.uid, facts.gid)
    os.chmod(target, facts.mode)
    for name, _ in xattrs_of(target):
        if name not in dict(facts.xattrs):
            os.removexattr(target, name)
    for name, value in facts.xattrs:
        os.setxattr(target, name, value)


def at(root: str, path: str) -> str:
    """Return the place of `path`, which is relative ("" is the root itself), below `root`."""
    return f"{root}/{path}" if path else root


def _is_directory(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)
