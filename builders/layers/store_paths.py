"""Store-path layers: the tar stream of a list of store paths.

The rules are the reference streamer's, to the byte (design.md, "Byte rules of
a store-path layer"): pax format, absolute names, `/nix` and `/nix/store`
first, each directory's names sorted by code point before descending, every
entry with the same owner and time, hard links as files of their own.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from builders.console.errors import UserError, die, remedy
from builders.layers.entries import EntryWriter, Group
from builders.layers.helpers import Helpers
from builders.tar.header import DIRECTORY, Attributes, Entry
from builders.tar.sinks import LEAVE_ALONE, HashSink, Sink
from builders.tar.writer import TarWriter

_PARENT_MODE: Final = 0o755


def write_store_layer(
    sink: Sink,
    paths: Sequence[str],
    *,
    attributes: Attributes,
    store_dir: str,
    helpers: Helpers | None = None,
    hint: str = LEAVE_ALONE,
    place: Callable[[str], str] = str,
) -> int:
    """Write the layer of the store paths `paths`, in that order; return its size in bytes.

    All entries get the `attributes`; of those, parents of the paths get owner and time. `helpers`
    take over some of the work. `place` says where a path lies. Raises `UserError` for a path that
    is missing, unreadable or of a kind that no store path may hold; `hint` says what to do where
    one is missing or has changed.
    """
    archive = TarWriter(sink)
    for directory in parents(store_dir):
        archive.add(_parent(directory, attributes))
    writer = EntryWriter(sink, hint=hint)
    groups = (
        group
        for path in paths
        for group in _groups(os.fsencode(path), os.fsencode(place(path)), attributes, hint=hint)
    )
    # Helpers know paths by one name.
    if helpers and all(place(path) == path for path in paths):
        archive.count(helpers.write(groups, writer, sink))
    else:
        for group in groups:
            writer.add(group)
    writer.flush()
    archive.count(writer.size)
    archive.finish()
    return archive.size


def hash_store_layer(
    paths: Sequence[str],
    *,
    attributes: Attributes,
    store_dir: str,
    ahead: int = 1 << 26,
    helpers: int = 0,
    hint: str = LEAVE_ALONE,
) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, and the size in bytes of the layer of `paths`.

    Up to `ahead` bytes of it are held in memory; so many `helpers` are processes that take over
    some of the work. `attributes` and `hint` are as in `write_store_layer`.
    """
    sink = HashSink(ahead=ahead)
    with Helpers(helpers) as helping:
        size = write_store_layer(
            sink,
            paths,
            attributes=attributes,
            store_dir=store_dir,
            helpers=helping if helpers else None,
            hint=hint,
        )
    return sink.digest(), size


def parents(store_dir: str) -> Iterator[str]:
    """Yield the store directory's own parents and itself: `/nix`, then `/nix/store`."""
    at = 0
    while (at := store_dir.find("/", at + 1)) != -1:
        yield store_dir[:at]
    yield store_dir


def _parent(directory: str, attributes: Attributes) -> Entry:
    owner = attributes.owner
    return Entry(
        name=f"{directory}/",
        type=DIRECTORY,
        mode=_PARENT_MODE,
        uid=owner.uid,
        gid=owner.gid,
        mtime=attributes.mtime,
        uname=owner.uname,
        gname=owner.gname,
    )


def _groups(path: bytes, at: bytes, attributes: Attributes, *, hint: str) -> Iterator[Group]:
    """Yield what is at the store path `path`, which lies `at` a place, and below, in order."""

    def group(prefix: bytes, names: Sequence[bytes], regular: bytes) -> Group:
        if at == path:
            return Group(prefix, names, regular, attributes)
        return Group(prefix, names, regular, attributes, at=at + prefix[len(path) :])

    try:
        mode = os.lstat(at).st_mode
    except FileNotFoundError:
        die(f"store path {os.fsdecode(path)} is missing", hint=hint)
    parent, name = os.path.split(path)
    moved = os.path.dirname(at) + b"/" if at != path else None
    yield Group(parent + b"/", [name], bytes([stat.S_ISREG(mode)]), attributes, at=moved)
    if not stat.S_ISDIR(mode):
        return
    # A stack of iterators rather than recursion: how deep it goes is the closure's choice.
    stack = [(path + b"/", iter(sorted_entries(at)))]
    while stack:
        prefix, entries = stack[-1]
        names: list[bytes] = []
        regular = bytearray()
        for entry in entries:
            names.append(entry.name)
            if entry.is_file(follow_symlinks=False):
                regular.append(1)
                continue
            regular.append(0)
            if entry.is_dir(follow_symlinks=False):
                stack.append((prefix + entry.name + b"/", iter(sorted_entries(entry.path))))
                break
        else:
            stack.pop()
        if names:
            yield group(prefix, names, bytes(regular))


def sorted_entries(directory: bytes) -> list["os.DirEntry[bytes]"]:
    """Return what is in `directory`, in the order of its names' code points.

    Raises `UserError` as `list_entries` does.
    """
    entries = list_entries(directory)
    if len(entries) > 1:
        # Of ASCII, and of UTF-8, the bytes are in the order of the code points; not so of others.
        plain = all(entry.name.isascii() for entry in entries)
        entries.sort(key=_bytes if plain else _text)
    return entries


def list_entries(directory: bytes) -> list["os.DirEntry[bytes]"]:
    """Return what is in `directory`, in any order.

    Raises `UserError` where it can't be read: a layer that silently lacks a
    file is worse than none.
    """
    try:
        with os.scandir(directory) as iterator:
            return list(iterator)
    except OSError as error:
        raise UserError(
            f"can't read the directory {os.fsdecode(directory)}: {error.strerror}",
            hint=remedy(error, otherwise="make it readable for the build user"),
        ) from None


def _bytes(entry: "os.DirEntry[bytes]") -> bytes:
    return entry.name


def _text(entry: "os.DirEntry[bytes]") -> str:
    return os.fsdecode(entry.name)
