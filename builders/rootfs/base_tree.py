"""The layers of a base image as files that can be read anywhere in, and the tree they make."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from builders.compression.readers import Chunks, copy_to_file, open_file
from builders.compression.streams import MAGIC_LENGTH, NONE, decompressed, detect
from builders.console.errors import die
from builders.image.layer_kinds import BaseLayer
from builders.layers.archived import ArchiveReader
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile, MergedTree


@contextmanager
def open_base(
    layers: Sequence[BaseLayer] | None, *, directory: str, what: str
) -> Iterator[MergedTree | None]:
    """Merge the layers of a base image, the lowest first; None for no base image.

    What is unpacked goes to files in `directory`; `what` names the image in errors.
    """
    if layers is None:
        yield None
        return
    with open_layers(layers, directory=directory, what=what) as files:
        yield merge_layers(files)


@contextmanager
def open_layers(
    layers: Sequence[BaseLayer], *, directory: str, what: str
) -> Iterator[list[LayerFile]]:
    """Open `layers`, which lie in one archive, uncompressed, the lowest first.

    A layer that lies uncompressed in an uncompressed archive is read where it
    is. All others are decompressed, each once and in constant memory, into a
    file in `directory` that is gone afterwards. `what` names the archive in errors.
    """
    if not layers:
        yield []
        return
    path, compression = layers[0].archive, layers[0].compression
    distinct = {layer.offset: layer for layer in layers}
    opened: dict[int, LayerFile] = {}
    with ExitStack() as stack:
        fd, _ = stack.enter_context(open_file(path, what=what))
        spool = stack.enter_context(tempfile.TemporaryFile(dir=directory, buffering=0))
        reader = stack.enter_context(ArchiveReader(path, compression, what=what))
        start = 0
        for offset, layer in sorted(distinct.items()):
            name = f"{what}: layer {layer.name}"
            stored = layer.stored.size
            if compression == NONE and _is_plain(fd, offset, stored):
                opened[offset] = LayerFile(fd, offset, stored, what=name)
                continue
            chunks = reader.chunks(offset, stored, name=layer.name)
            _, content = decompressed(Chunks(chunks), what=name)
            size = copy_to_file(content, spool)
            if size != layer.size:
                die(f"{name} changed while it was read", hint="build again")
            opened[offset] = LayerFile(spool.fileno(), start, size, what=name)
            start += size
        yield [opened[layer.offset] for layer in layers]


def _is_plain(fd: int, offset: int, size: int) -> bool:
    return detect(os.pread(fd, min(MAGIC_LENGTH, size), offset)) == NONE
