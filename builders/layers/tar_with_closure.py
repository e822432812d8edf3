"""The layer of buildImage: the tar of a tree, and the store paths that it needs appended to it.

As `tar -r` appends them in the reference: GNU format, names without a leading
slash, owners root, hard links as files of their own, all times the same.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from builders.compression.readers import FileRange
from builders.layers.walk import walk
from builders.tar.header import (
    DIRECTORY,
    REGULAR,
    Entry,
    gnu_header,
    padding,
    type_of,
)
from builders.tar.reader import Scan
from builders.tar.sinks import LEAVE_ALONE, HashSink, Sink, copy_file
from builders.tar.tape import Tape
from builders.tar.writer import TarWriter

_STORE_MODE: Final = 0o555


@dataclass(frozen=True)
class Closure:
    """Store `paths` that follow the first `offset` bytes of a tar.

    `parents` are directories that come before them; `present` is what the tar has and what does not
    come again. Both are without a slash at the beginning. Every entry has the time `mtime`, in
    seconds since 1970.
    """

    paths: tuple[str, ...]
    parents: tuple[str, ...]
    present: frozenset[str]
    offset: int
    mtime: int


def read_entries(path: str) -> tuple[frozenset[str], int]:
    """Return the names in the archive at `path`, and the size in bytes before its end.

    Names are as in `builders.tar.member.Member`.
    """
    names = set()
    end = 0
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        tape = Tape(FileRange(fd, 0, os.fstat(fd).st_size, what=path), what=path)
        for member in Scan(tape):
            names.add(member.name)
            end = member.offset + member.size + padding(member.size)
    finally:
        os.close(fd)
    return frozenset(names), end


def hash_closure_layer(path: str, closure: Closure, *, hint: str = LEAVE_ALONE) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, and the size in bytes of the layer."""
    sink = HashSink()
    size = write_closure_layer(sink, path, closure, hint=hint)
    return sink.digest(), size


def write_closure_layer(
    sink: Sink,
    path: str,
    closure: Closure,
    *,
    hint: str = LEAVE_ALONE,
    place: Callable[[str], str] = str,
) -> int:
    """Write the tar at `path` with `closure` behind it; return the size in bytes.

    `place` says where a path lies. Raises `UserError` where a store path can't be read; `hint` says
    what to do about a file that is missing or has changed.
    """
    copy_file(sink, place(path), closure.offset, whole=False, hint=hint)
    archive = TarWriter(sink, header=partial(gnu_header, long_owner="root"), size=closure.offset)
    for source, entry in _entries(closure, place):
        archive.add(entry, partial(copy_file, sink, source, entry.size, hint=hint))
    archive.finish()
    return archive.size


def _entries(closure: Closure, place: Callable[[str], str]) -> Iterator[tuple[str, Entry]]:
    root = Entry(
        name="",
        type=DIRECTORY,
        mode=_STORE_MODE,
        uid=0,
        gid=0,
        mtime=closure.mtime,
        uname="root",
        gname="root",
    )
    for parent in closure.parents:
        yield "", replace(root, name=f"./{parent}/")
    for path in closure.paths:
        at = place(path)
        # As `sort` puts lines, and not directory by directory.
        for source, status in sorted(walk(at), key=lambda file: os.fsencode(file[0])):
            kind = type_of(status.st_mode)
            if kind is None:
                continue
            name = (path + source[len(at) :]).lstrip("/")
            if name in closure.present:
                continue
            entry = replace(
                root,
                name=f"{name}/" if kind == DIRECTORY else name,
                type=kind,
                mode=stat.S_IMODE(status.st_mode),
            )
            if kind == REGULAR:
                entry = replace(entry, size=status.st_size)
            elif stat.S_ISLNK(status.st_mode):
                entry = replace(entry, linkname=os.readlink(source))
            yield source, entry
