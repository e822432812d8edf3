"""The file system that the layers of an image make, in memory: names, and where contents lie."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from builders.compression.readers import CHUNK
from builders.console.errors import die
from builders.tar.header import Owner
from builders.tar.member import Extent
from builders.tar.sinks import Sink

_COPY_FROM: Final = 1 << 20
"""Files of at least so many bytes are copied by the kernel; smaller ones are cheaper to join."""
_HOLE: Final = bytes(CHUNK)

Xattrs: TypeAlias = tuple[tuple[str, bytes], ...]


ROOT: Final = Owner(0, 0)


@dataclass(slots=True, eq=False)
class Node:
    """A file of any kind; under several names it is one node.

    `type` is one of builders.tar.header's: REGULAR, DIRECTORY, SYMLINK,
    CHARACTER_DEVICE, BLOCK_DEVICE or FIFO. `mode` is without it. `mtime` is in
    seconds since 1970. The `size` bytes of a regular file start at `offset` of
    the uncompressed layer number `layer` (of a directory, `layer` is the last
    one that has anything in it); of a sparse file only its `extents` are there,
    None where there are no holes. `linkname` is a symlink's target, `device` a device's (major,
    minor). `children` are a directory's, None of all others. `shared` is true
    where more than one name may lead here.
    """

    type: bytes
    mode: int
    owner: Owner
    mtime: int
    layer: int
    size: int = 0
    offset: int = 0
    extents: tuple[Extent, ...] | None = None
    linkname: str = ""
    device: tuple[int, int] | None = None
    xattrs: Xattrs = ()
    children: "dict[str, Node] | None" = None
    shared: bool = False


@dataclass(frozen=True)
class LayerFile:
    """An uncompressed layer: `size` bytes from `offset` on of an open file.

    `what` names it in errors.
    """

    fd: int
    offset: int
    size: int
    what: str


class Place(NamedTuple):
    """A name in the tree and the node that it leads to.

    `path` is relative to the root ("" is the root itself, "bin/sh"). `link` is
    the path under which the same node came before, None where this is the first.
    """

    path: str
    node: Node
    link: str | None


@dataclass(frozen=True)
class MergedTree:
    """The file system that a container of the image starts with."""

    layers: Sequence[LayerFile]
    root: Node

    def walk(self) -> Iterator[Place]:
        """Yield all names: directories before their contents, sorted by bytes, the root first."""
        yield Place("", self.root, None)
        first: dict[Node, str] = {}
        # A stack of iterators rather than recursion: how deep it goes is the image's choice.
        stack = [("", iter(_sorted(self.root)))]
        while stack:
            prefix, children = stack[-1]
            for name, node in children:
                path = prefix + name
                link = first.setdefault(node, path) if node.shared else None
                yield Place(path, node, None if link is path else link)
                if node.children is not None:
                    stack.append((f"{path}/", iter(_sorted(node))))
                    break
            else:
                stack.pop()

    def find(self, path: str) -> Node | None:
        """Return what is called `path`, relative to the root; no link is followed."""
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            node = node.children.get(name) if node and node.children is not None else None
        return node

    def read(self, node: Node) -> bytes:
        """Return the content of a regular file, which should be a small one."""
        return b"".join(self.chunks(node))

    def chunks(self, node: Node) -> Iterator[bytes]:
        """Yield the content of a regular file of any size in pieces of 1 MiB or less."""
        for hole, offset, size in _pieces(node):
            yield from _zeros(hole)
            for start in range(0, size, CHUNK):
                yield self._read(node, offset + start, min(CHUNK, size - start))

    def copy(self, node: Node, sink: Sink, *, skip: Callable[[int], object] | None = None) -> None:
        """Write the content of a regular file of any size to `sink`.

        `skip` takes the size of a hole, where the sink is a file in which nothing need be written
        for it; what comes before the hole has been written by then.
        """
        if node.extents is None:
            self._copy(node, node.offset, node.size, sink)
            return
        for hole, offset, size in _pieces(node):
            if skip:
                sink.flush()
                skip(hole)
            else:
                for zeros in _zeros(hole):
                    sink.write(zeros)
            self._copy(node, offset, size, sink)

    def _copy(self, node: Node, offset: int, size: int, sink: Sink) -> None:
        """Write `size` bytes from `offset` of the node's layer on to `sink`."""
        if size < _COPY_FROM:
            sink.write(self._read(node, offset, size))
        else:
            layer = self.layers[node.layer]
            sink.copy_range(layer.fd, layer.offset + offset, size, layer.what)

    def _read(self, node: Node, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` of the node's layer on."""
        layer = self.layers[node.layer]
        start = layer.offset + offset
        data = os.pread(layer.fd, size, start) if size else b""
        while len(data) < size:
            more = os.pread(layer.fd, size - len(data), start + len(data))
            if not more:
                die(
                    f"{layer.what} became shorter while it was read",
                    hint="leave the file alone, and build again",
                )
            data += more
        return data


def _pieces(node: Node) -> Iterator[tuple[int, int, int]]:
    """Yield what a regular file consists of: holes, and data behind each of them.

    As the size of a hole, which may be 0, the offset of the data in the layer and their size.
    """
    if node.extents is None:
        yield 0, node.offset, node.size
        return
    end = 0
    offset = node.offset
    for extent in node.extents:
        yield extent.start - end, offset, extent.size
        end = extent.end
        offset += extent.size
    yield node.size - end, offset, 0


def _zeros(size: int) -> Iterator[bytes]:
    for _ in range(size // CHUNK):
        yield _HOLE
    if size % CHUNK:
        yield bytes(size % CHUNK)


def _sorted(node: Node) -> list[tuple[str, Node]]:
    children = node.children or {}
    if all(map(str.isascii, children)):
        return sorted(children.items())
    return sorted(children.items(), key=lambda child: os.fsencode(child[0]))
