"""Store-path layers: the tar stream of a list of store paths.

The rules are the reference streamer's, to the byte (design.md, "Byte rules of
a store-path layer"): pax format, absolute names, `/nix` and `/nix/store`
first, each directory's names sorted by code point before descending, every
entry with the same owner and time, hard links as files of their own.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from builders.console.errors import UserError, die
from builders.tar.header import (
    DIRECTORY,
    REGULAR,
    SYMLINK,
    PaxStamper,
    Stamp,
    end_of_archive,
    padding,
    type_of,
)
from builders.tar.sinks import HashSink, Sink

_PARENT_MODE = 0o755


def write_store_layer(sink: Sink, paths: Sequence[str], *, stamp: Stamp, store_dir: str) -> int:
    """Write the layer of the store paths `paths`, in that order; return its size in bytes.

    Raises `UserError` for a path that is missing, unreadable or of a kind that
    no store path may hold.
    """
    headers = PaxStamper(stamp)
    size = 0

    def put(data: bytes) -> None:
        nonlocal size
        size += len(data)
        sink.write(data)

    for directory in parents(store_dir):
        put(headers.header(f"{directory}/", DIRECTORY, _PARENT_MODE))
    for path in paths:
        for name, status in walk(path):
            mode = status.st_mode
            if stat.S_ISREG(mode):
                length = status.st_size
                put(headers.header(name, REGULAR, mode & 0o7777, length))
                if length:
                    sink.copy(name, length)
                    size += length
                    put(bytes(padding(length)))
            elif stat.S_ISDIR(mode):
                put(headers.header(f"{name}/", DIRECTORY, mode & 0o7777))
            elif stat.S_ISLNK(mode):
                put(headers.header(name, SYMLINK, mode & 0o7777, 0, os.readlink(name)))
            else:
                kind = type_of(mode)
                if kind is None:
                    die(
                        f"{name} is a socket, which no layer can hold",
                        hint="remove it from the store path in the derivation that makes it",
                    )
                put(headers.header(name, kind, mode & 0o7777))
    put(end_of_archive(size))
    return size


def hash_store_layer(paths: Sequence[str], *, stamp: Stamp, store_dir: str) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, and the size in bytes of the layer of `paths`."""
    sink = HashSink()
    size = write_store_layer(sink, paths, stamp=stamp, store_dir=store_dir)
    return sink.digest(), size


def parents(store_dir: str) -> Iterator[str]:
    """Yield the store directory's own parents and itself: `/nix`, then `/nix/store`."""
    at = 0
    while (at := store_dir.find("/", at + 1)) != -1:
        yield store_dir[:at]
    yield store_dir


def walk(
    path: str, *, skip: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name and lstat of `path` and of all below it, in the order of the archive.

    Symlinks are not followed; what `skip` is true of is left out with all that is
    below it. Raises `UserError` where something can't be read:
    a layer that silently lacks a file is worse than none.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise UserError(
            f"store path {path} is missing",
            hint="realise it with 'nix-store --realise', or build the image again",
        ) from None
    yield path, status
    if not stat.S_ISDIR(status.st_mode):
        return
    # A stack of sorted iterators rather than recursion: depth is the closure's choice.
    stack = [iter(_sorted_entries(path))]
    while stack:
        for entry in stack[-1]:
            if skip and skip(entry.path):
                continue
            yield entry.path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                stack.append(iter(_sorted_entries(entry.path)))
                break
        else:
            stack.pop()


def _sorted_entries(directory: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=_name)
    except OSError as error:
        raise UserError(
            f"can't read the directory {directory}: {error.strerror}",
            hint="make it readable for the build user",
        ) from None


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name
