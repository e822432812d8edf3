"""The layers of a base image as files that can be read anywhere in."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from builders.compression.streams import (
    MAGIC_LENGTH,
    NONE,
    Chunks,
    copy_to_file,
    decompressed,
    detect,
    open_file,
)
from builders.console.errors import die
from builders.formats.base_image import BaseImage, BaseLayer, read_base_image, read_layers
from builders.rootfs.merged import LayerFile, MergedTree, merge_layers


@contextmanager
def open_base(
    path: str | None,
    *,
    name: str | None,
    tag: str | None,
    architecture: str,
    jobs: int,
    directory: str,
) -> Iterator[tuple[BaseImage | None, MergedTree | None]]:
    """Read the base image in the archive at `path`, and merge its layers; None for none.

    What is unpacked goes to files in `directory`. The others are as for `read_base_image`.
    """
    if path is None:
        yield None, None
        return
    image = read_base_image(
        path,
        name=name,
        tag=tag,
        architecture=architecture,
        jobs=jobs,
        spool=os.path.join(directory, "base.tar"),
    )
    with open_layers(image, directory=directory, what=f"fromImage {path}") as layers:
        yield image, merge_layers(layers)


@contextmanager
def open_layers(image: BaseImage, *, directory: str, what: str) -> Iterator[list[LayerFile]]:
    """Open the layers of `image`, uncompressed, the lowest first.

    A layer that lies uncompressed in an uncompressed archive is read where it
    is. All others are decompressed, each once and in constant memory, into a
    file in `directory` that is gone afterwards. `what` names the archive in errors.
    """
    distinct = {layer.offset: layer for layer in image.layers}
    opened: dict[int, LayerFile] = {}
    with (
        open_file(image.path, what=what) as (fd, _),
        tempfile.TemporaryFile(dir=directory, buffering=0) as spool,
    ):
        packed = []
        for offset, layer in sorted(distinct.items()):
            if image.compression == NONE and _is_plain(fd, layer):
                opened[offset] = LayerFile(fd, offset, layer.size, what=_name(what, layer))
            else:
                packed.append(layer)
        start = 0
        for layer, chunks in read_layers(image.path, image.compression, packed, what=what):
            name = _name(what, layer)
            _, content = decompressed(Chunks(chunks), what=name)
            size = copy_to_file(content, spool)
            if size != layer.uncompressed_size:
                die(f"{name} changed while it was read", hint="build again")
            opened[layer.offset] = LayerFile(spool.fileno(), start, size, what=name)
            start += size
        yield [opened[layer.offset] for layer in image.layers]


def _is_plain(fd: int, layer: BaseLayer) -> bool:
    return detect(os.pread(fd, min(MAGIC_LENGTH, layer.size), layer.offset)) == NONE


def _name(what: str, layer: BaseLayer) -> str:
    return f"{what}: layer {layer.name}"
