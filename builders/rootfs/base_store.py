"""The store paths that a base image has, and what each of them is.

What is there is told by its content, not by its name: a path has the SHA-256 of its archive in the
store's own format (Nix manual, "Nix Archive (NAR) format"), over what the layers make together. A
path that a later layer removed is not there, one that a later layer changed has another hash, and
so has one that is there in parts.

A path counts only if everybody can read it, as in a store: no other user of an image on top should
miss what only root can read. The owner may be anybody.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from builders.processes import fork_map
from builders.rootfs.merged_tree import MergedTree, Node
from builders.tar.header import DIRECTORY, REGULAR, SYMLINK

_NAME: Final = re.compile("[0-9a-df-np-sv-z]{32}-")
"""How names begin that are store paths (Nix manual, "Store Path")."""

_READABLE: Final = 0o444
_EXECUTABLE: Final = 0o111

_MAGIC: Final = b"nix-archive-1"
_WORD: Final = 8
"""Bytes of a number; strings are filled up to whole words."""

_PARTS: Final = 16
"""So many lists of paths for each process: one for each path is slow where they are many."""

_TIMES: Final = 2
"""So many times as much as the layers hold is hashed at most. Hard links and holes of sparse files
can stand for any number of bytes; paths that would need more count as absent."""


@dataclass(frozen=True)
class HeldPath:
    """A store path of a base image.

    `sha256` is the hash of its archive in hexadecimal digits. `layer` is the index of the layer
    that brought all of it, None where it is of several.
    """

    sha256: str
    layer: int | None


def held_paths(tree: MergedTree, store_dir: str, *, jobs: int) -> dict[str, HeldPath]:
    """Return the store paths below `store_dir` in `tree`, hashed by `jobs` processes at once.

    No link is followed on the way to the store: none may be there (`over_base.check_store`).
    """
    store = tree.find(store_dir.strip("/"))
    found = {}
    left = _TIMES * sum(layer.size for layer in tree.layers)
    for name, node in sorted((store.children if store and store.children else {}).items()):
        path = MergedTree(tree.layers, node)
        if not _NAME.match(name) or (size := _size(path)) is None or size > left:
            continue
        left -= size
        found[name] = (path, size)
    # The largest first and dealt out in turn: many small parts that are about as large.
    order = sorted(found, key=lambda name: found[name][1], reverse=True)
    parts = [order[start :: jobs * _PARTS] for start in range(min(jobs * _PARTS, len(order)))]
    hashed = fork_map(lambda part: [_hash(found[name][0]) for name in part], parts, jobs=jobs)
    digests = dict(zip(chain(*parts), chain(*hashed), strict=True))
    return {
        f"{store_dir}/{name}": HeldPath(digests[name], _layer(path))
        for name, (path, _) in found.items()
    }


def _size(path: MergedTree) -> int | None:
    """Return the bytes of all files, or None where one is of a kind or mode no store has."""
    size = 0
    for _, node, _ in path.walk():
        if node.type == SYMLINK:
            continue
        if node.type not in (REGULAR, DIRECTORY) or not _is_open(node):
            return None
        size += node.size
    return size


def _is_open(node: Node) -> bool:
    """Whether everybody can read a file, and run or enter what its owner can."""
    wanted = _READABLE
    if node.type == DIRECTORY or node.mode & stat.S_IXUSR:
        wanted |= _EXECUTABLE
    return node.mode & wanted == wanted


def _layer(path: MergedTree) -> int | None:
    layers = {node.layer for _, node, _ in path.walk()}
    return layers.pop() if len(layers) == 1 else None


def _hash(path: MergedTree) -> str:
    digest = hashlib.sha256()
    for data in _archive(path):
        digest.update(data)
    return digest.hexdigest()


def _archive(path: MergedTree) -> Iterator[bytes]:
    """Yield the archive of a store path in pieces."""
    yield _strings(_MAGIC)
    level = -1
    for name, node, _ in path.walk():
        above, level = level, name.count("/") + 1 if name else 0
        if level:
            # Each file ends where the next one is as high, or higher.
            yield _strings(*(")", ")") * (above - level + 1))
            yield _strings("entry", "(", "name", name.rpartition("/")[2], "node")
        if node.type == DIRECTORY:
            yield _strings("(", "type", "directory")
        elif node.type == SYMLINK:
            yield _strings("(", "type", "symlink", "target", node.linkname)
        else:
            marks = ("executable", "") if node.mode & stat.S_IXUSR else ()
            yield _strings("(", "type", "regular", *marks, "contents")
            yield _number(node.size)
            yield from path.chunks(node)
            yield bytes(-node.size % _WORD)
    yield _strings(*(")", ")") * level, ")")


def _strings(*texts: str | bytes) -> bytes:
    """Return `texts`, each behind its length and with zeros up to a whole word."""
    parts: list[bytes] = []
    for text in texts:
        data = os.fsencode(text)
        parts += (_number(len(data)), data, bytes(-len(data) % _WORD))
    return b"".join(parts)


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD, "little")
