"""Store-path layers: the tar stream of a list of store paths.

The rules are the reference streamer's, to the byte (design.md, "Byte rules of
a store-path layer"): pax format, absolute names, `/nix` and `/nix/store`
first, each directory's names sorted by code point before descending, every
entry with the same owner and time, hard links as files of their own.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from builders.console.errors import UserError
from builders.layers.entries import EntryWriter, Group
from builders.layers.helpers import Helpers
from builders.tar.header import DIRECTORY, Stamp, end_of_archive, pax_header
from builders.tar.sinks import FileSink, HashSink, Sink

_PARENT_MODE: Final = 0o755


def write_store_layer(
    sink: Sink,
    paths: Sequence[str],
    *,
    stamp: Stamp,
    store_dir: str,
    helpers: Helpers | None = None,
) -> int:
    """Write the layer of the store paths `paths`, in that order; return its size in bytes.

    `helpers` take over some of the work. Raises `UserError` for a path that is
    missing, unreadable or of a kind that no store path may hold.
    """
    writer = EntryWriter(sink, stamp)
    for directory in parents(store_dir):
        writer.put(pax_header(writer.entry(f"{directory}/", DIRECTORY, _PARENT_MODE)))
    groups = (group for path in paths for group in _groups(os.fsencode(path)))
    size = 0
    if helpers and isinstance(sink, (FileSink, HashSink)):
        size = helpers.write(groups, writer, sink)
    else:
        for group in groups:
            writer.add(group)
    writer.put(end_of_archive(size + writer.size))
    writer.flush()
    return size + writer.size


def hash_store_layer(
    paths: Sequence[str], *, stamp: Stamp, store_dir: str, ahead: int = 1 << 26, helpers: int = 0
) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, and the size in bytes of the layer of `paths`.

    Up to `ahead` bytes of it are held in memory; so many `helpers` are processes that take over
    some of the work.
    """
    sink = HashSink(ahead=ahead)
    with Helpers(helpers, stamp=stamp, shares_memory=True) as helping:
        size = write_store_layer(
            sink,
            paths,
            stamp=stamp,
            store_dir=store_dir,
            helpers=helping if helpers else None,
        )
    return sink.digest(), size


def parents(store_dir: str) -> Iterator[str]:
    """Yield the store directory's own parents and itself: `/nix`, then `/nix/store`."""
    at = 0
    while (at := store_dir.find("/", at + 1)) != -1:
        yield store_dir[:at]
    yield store_dir


def _groups(path: bytes) -> Iterator[Group]:
    """Yield what is at the store path `path`, and all that is below it, in order."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise UserError(
            f"store path {os.fsdecode(path)} is missing",
            hint="realise it with 'nix-store --realise', or build the image again",
        ) from None
    parent, name = os.path.split(path)
    yield Group(parent + b"/", [name], bytes([stat.S_ISREG(mode)]))
    if not stat.S_ISDIR(mode):
        return
    # A stack of iterators rather than recursion: how deep it goes is the closure's choice.
    stack = [(path + b"/", iter(sorted_entries(path)))]
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
                path = prefix + entry.name
                stack.append((path + b"/", iter(sorted_entries(path))))
                break
        else:
            stack.pop()
        if names:
            yield Group(prefix, names, bytes(regular))


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
            hint="make it readable for the build user",
        ) from None


def _bytes(entry: "os.DirEntry[bytes]") -> bytes:
    return entry.name


def _text(entry: "os.DirEntry[bytes]") -> str:
    return os.fsdecode(entry.name)
