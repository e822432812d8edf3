"""The files of an image, as a container finds them: names are resolved, and content is read.

Store paths are read from the store of this machine. All else is in the image's other layers, which
are merged in memory.
"""

import io
import os
import posixpath
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from builders.compression.readers import open_file
from builders.image.layer_kinds import BaseLayer, Layer, TarLayer, TarWithClosure
from builders.rootfs.base_tree import open_layers
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile, MergedTree, Node
from builders.tar.header import DIRECTORY, REGULAR, SYMLINK

_LINKS_MAX: Final = 40
"""As many as Linux follows."""
_EXECUTABLE: Final = 0o111


@dataclass(frozen=True)
class ImageFile:
    """A file or a directory: its `path` without links, absolute, and what else is asked for.

    `source` is where it is read from: a path on this machine, or a node of the merged layers. It
    `is_of_base` where a layer of the base image has it.
    """

    path: str
    is_directory: bool
    is_executable: bool
    source: "str | Node"
    is_of_base: bool = False


class ImageFiles:
    """The files of an image; `store_paths` are on this machine, the rest is in `tree`.

    Of the layers in it so many are `base_layers`. What is `given`, and all below it, is made or
    mounted when containers start.
    """

    def __init__(
        self,
        tree: MergedTree | None,
        store_paths: Collection[str],
        *,
        base_layers: int = 0,
        given: Sequence[str] = (),
    ) -> None:
        self._tree = tree
        self._base_layers = base_layers
        self._given = given
        self._store_paths = frozenset(store_paths)
        self._above = {parent for path in store_paths for parent in _parents(path) if parent != "/"}
        self._known: dict[str, ImageFile | None] = {}

    def find(self, path: str) -> ImageFile | None:
        """Return what a process finds at the absolute `path`, links followed; None for nothing."""
        if path not in self._known:
            self._known[path] = self._find(path)
        return self._known[path]

    def is_given(self, path: str) -> bool:
        """Whether `path` leads to where something is put when containers start."""
        place = self._resolve(path)
        return place is not None and any(
            place == given or place.startswith(f"{given}/") for given in self._given
        )

    def list(self, path: str) -> list[str]:
        """Return the absolute names of what is in the directory at `path`, none if there is none.

        They begin with `path` as it is given.
        """
        found = self.find(path)
        if found is None or not found.is_directory:
            return []
        if isinstance(found.source, str):
            names = os.listdir(found.source) if found.source else []
        else:
            names = list(found.source.children or ())
        return sorted(posixpath.join(path, name) for name in names)

    @contextmanager
    def open(self, file: ImageFile) -> Iterator[BinaryIO]:
        """Open the content of a file."""
        if isinstance(file.source, str):
            with open(file.source, "rb") as opened:
                yield opened
        else:
            assert self._tree
            yield _open_node(file.source, self._tree)

    def outside_of_store(self) -> Iterator[str]:
        """Yield the absolute names of the image's own regular files that are no store paths."""
        if self._tree:
            for path, node, _ in self._tree.walk():
                if node.type == REGULAR and node.layer >= self._base_layers:
                    yield f"/{path}"

    def _find(self, path: str) -> ImageFile | None:
        place = self._resolve(path)
        return None if place is None else self._plain(place)

    def _resolve(self, path: str) -> str | None:
        """Return where `path` leads, whether anything is there or not; None for too many links."""
        pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        at = "/"
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                at = posixpath.dirname(at)
                continue
            name = posixpath.join(at, part)
            target = self._link(name)
            if target is None:
                at = name
                continue
            links += 1
            if links > _LINKS_MAX:
                return None
            pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            if target.startswith("/"):
                at = "/"
        return at

    def _node(self, path: str) -> Node | None:
        return self._tree.find(path.lstrip("/")) if self._tree else None

    def _in_store(self, path: str) -> bool:
        return any(parent in self._store_paths for parent in (path, *_parents(path)))

    def _link(self, path: str) -> str | None:
        node = self._node(path)
        if node is not None:
            return node.linkname if node.type == SYMLINK else None
        if not self._in_store(path):
            return None
        try:
            return os.readlink(path)
        except OSError:
            return None

    def _plain(self, path: str) -> ImageFile | None:
        node = self._node(path)
        if node is not None and (node.type != DIRECTORY or path not in self._above):
            return ImageFile(
                path=path,
                is_directory=node.type == DIRECTORY,
                is_executable=bool(node.mode & _EXECUTABLE),
                source=node,
                is_of_base=node.layer < self._base_layers,
            )
        if path in self._above or path == "/":
            return ImageFile(path, is_directory=True, is_executable=True, source=node or "")
        if not self._in_store(path):
            return None
        try:
            mode = os.stat(path, follow_symlinks=False).st_mode
        except OSError:
            return None
        return ImageFile(
            path=path,
            is_directory=stat.S_ISDIR(mode),
            is_executable=bool(mode & _EXECUTABLE),
            source=path,
        )


def _parents(path: str) -> Iterator[str]:
    while path not in ("", "/"):
        path = posixpath.dirname(path)
        yield path


class _NodeFile(io.RawIOBase):
    """A file of a layer, which begins somewhere in an open one."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        wanted = max(min(len(buffer), self._size - self._position), 0)
        data = os.pread(self._fd, wanted, self._offset + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _open_node(node: Node, tree: MergedTree) -> BinaryIO:
    if node.extents is not None:
        return io.BytesIO(tree.read(node))
    layer = tree.layers[node.layer]
    return io.BufferedReader(_NodeFile(layer.fd, layer.offset + node.offset, node.size))


@contextmanager
def open_image_files(
    layers: Sequence[Layer], *, directory: str, what: str, given: Sequence[str] = ()
) -> Iterator[ImageFiles]:
    """Open the files of an image of `layers`; what is unpacked goes to files in `directory`.

    Store paths have to be on this machine. `what` names the base image in errors, and `given` is as
    in `ImageFiles`.
    """
    base = [layer for layer in layers if isinstance(layer, BaseLayer)]
    with ExitStack() as stack:
        files = list(stack.enter_context(open_layers(base, directory=directory, what=what)))
        for layer in layers:
            if isinstance(layer, TarLayer):
                fd, size = stack.enter_context(open_file(layer.path, what=layer.path))
                if isinstance(layer, TarWithClosure):
                    size = layer.closure.offset
                files.append(LayerFile(fd, 0, size, what=layer.path))
        store_paths = [path for layer in layers for path in layer.store_paths]
        yield ImageFiles(
            merge_layers(files) if files else None,
            store_paths,
            base_layers=len(base),
            given=given,
        )
