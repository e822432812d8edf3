"""Several images in one archive, as `docker save IMAGE IMAGE…` makes one.

The archive holds each layer once, whichever images have it, then the image
configurations as they were, so that the images keep their IDs, and manifest.json.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from builders.console.errors import warn
from builders.formats.docker_archive import DockerArchiveWriter, ImageEntry, layer_name
from builders.formats.image_reader import BaseImage
from builders.formats.named_images import familiar
from builders.image.layer_kinds import BaseLayer
from builders.layers.archived import ArchiveReader
from builders.tar.sinks import Sink

_REFERENCE: Final = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/\[\]-]{0,383}")
"""What names of images are made of; engines refuse an archive for one that is none."""


@dataclass(frozen=True)
class Source:
    """An archive and all images in it; `what` names it in errors."""

    what: str
    images: tuple[BaseImage, ...]


def write_merged(sink: Sink, sources: Sequence[Source], *, mtime: int) -> None:
    """Write one archive of all images of `sources`, in their order.

    A name that two images have goes to the later one, as when both archives
    are loaded one after the other; the earlier image stays, under what other names it
    has. An image that comes again is there once, with the names of both.
    Members have the time `mtime`, in seconds since 1970.
    """
    archive = DockerArchiveWriter(sink, mtime=mtime)
    for source in sources:
        _write_layers(archive, sink, source)
    archive.finish(_entries(sources))


def _write_layers(archive: DockerArchiveWriter, sink: Sink, source: Source) -> None:
    """Write those layers of `source` that the archive doesn't have yet."""
    missing: dict[str, BaseLayer] = {}
    for image in source.images:
        for layer in image.layers:
            name = layer_name(layer.diff_id)
            if name not in archive:
                missing.setdefault(name, layer)
    # There is no way back in a compressed stream, and engines don't care for the order.
    layers = sorted(missing.items(), key=lambda item: item[1].offset if item[1].stream else 0)
    path, compression = source.images[0].path, source.images[0].compression
    with ArchiveReader(path, compression, what=source.what) as reader:
        for name, layer in layers:
            size = layer.blob.size
            copy = partial(reader.copy, sink, layer.offset, size, name=layer.name)
            archive.add(name, size, copy)


def _entries(sources: Sequence[Source]) -> list[ImageEntry]:
    """Return what manifest.json says of each image."""
    images: dict[str, BaseImage] = {}
    # By the name that people use, since it may be written in several ways.
    named: dict[str, tuple[str, str]] = {}
    for source in sources:
        for image in source.images:
            digest = hashlib.sha256(image.config_json).hexdigest()
            images.setdefault(digest, image)
            for repo_tag in _names(source, image):
                earlier = named.pop(familiar(repo_tag), None)
                if earlier and earlier[0] != digest:
                    warn(
                        f"{repo_tag} is the name of two images; it goes to the one in {source.what}"
                    )
                named[familiar(repo_tag)] = (digest, repo_tag)
    return [
        ImageEntry(
            config=image.config_json,
            repo_tags=[repo_tag for owner, repo_tag in named.values() if owner == digest],
            layers=[layer_name(layer.diff_id) for layer in image.layers],
        )
        for digest, image in images.items()
    ]


def _names(source: Source, image: BaseImage) -> Iterator[str]:
    for repo_tag in image.repo_tags:
        # An index may note a tag alone; that names no image.
        if ":" in os.path.basename(repo_tag):
            if not _REFERENCE.fullmatch(repo_tag):
                warn(f"an image in {source.what} has the name {repo_tag}, which no engine takes")
            else:
                yield repo_tag
        else:
            warn(f"an image in {source.what} has the tag {repo_tag}, but no name")
