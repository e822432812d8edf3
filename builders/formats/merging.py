"""Several images in one archive, as `docker save IMAGE IMAGE…` makes one.

The archive holds each layer once, whichever images have it, then the image
configurations as they were, so that the images keep their IDs, and manifest.json.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from builders.compression.streams import NONE, open_file
from builders.console.errors import warn
from builders.formats.base_image import BaseImage, BaseLayer, read_layers
from builders.formats.docker_archive import familiar
from builders.image.configuration import ManifestEntry, archive_manifest
from builders.tar.header import REGULAR, Entry, end_of_archive, padding, pax_header
from builders.tar.sinks import FileSink

_MODE: Final = 0o644


@dataclass(frozen=True)
class Source:
    """An archive and all images in it; `what` names it in errors."""

    what: str
    images: tuple[BaseImage, ...]


def write_merged(sink: FileSink, sources: Sequence[Source], *, mtime: int) -> None:
    """Write one archive of all images of `sources`, in their order.

    A name that two images have goes to the later one, as when both archives
    are loaded one after the other; the earlier image stays, under what other names it
    has. An image that comes again is there once, with the names of both.
    Members have the time `mtime`, in seconds since 1970.
    """
    members = _Members(sink, mtime)
    for source in sources:
        _write_layers(members, source)
    entries = _manifest(sources)
    for digest, (config, _) in entries.items():
        members.write(f"{digest}.json", config)
    members.write("manifest.json", archive_manifest(entry for _, entry in entries.values()))
    sink.write(end_of_archive(members.size))


@dataclass
class _Members:
    """Writes the members of an archive; `size` counts their bytes, `names` are those it has."""

    sink: FileSink
    mtime: int
    size: int = 0
    names: set[str] = field(default_factory=set)

    def begin(self, name: str, size: int) -> None:
        header = pax_header(
            Entry(name=name, type=REGULAR, mode=_MODE, uid=0, gid=0, mtime=self.mtime, size=size)
        )
        self.names.add(name)
        self.sink.write(header)
        self.size += len(header) + size + padding(size)

    def end(self, size: int) -> None:
        self.sink.write(bytes(padding(size)))

    def write(self, name: str, data: bytes) -> None:
        self.begin(name, len(data))
        self.sink.write(data)
        self.end(len(data))


def _write_layers(members: _Members, source: Source) -> None:
    """Write those layers of `source` that the archive doesn't have yet."""
    missing: dict[str, BaseLayer] = {}
    for image in source.images:
        for layer in image.layers:
            if _layer_name(layer) not in members.names:
                missing.setdefault(_layer_name(layer), layer)
    if not missing:
        return
    path, compression = source.images[0].path, source.images[0].compression
    if compression == NONE:
        with open_file(path, what=source.what) as (file, _):
            for name, layer in missing.items():
                members.begin(name, layer.size)
                members.sink.copy_range(file, layer.offset, layer.size, path)
                members.end(layer.size)
        return
    # There is no way back in a compressed stream, and engines don't care for the order.
    layers = sorted(missing.values(), key=lambda layer: layer.offset)
    for layer, chunks in read_layers(path, compression, layers, what=source.what):
        members.begin(_layer_name(layer), layer.size)
        for chunk in chunks:
            members.sink.write(chunk)
        members.end(layer.size)


def _manifest(sources: Iterable[Source]) -> Mapping[str, tuple[bytes, ManifestEntry]]:
    """Return configuration and manifest entry of each image, by the configuration's digest."""
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
                        f"mergeImages: {repo_tag} is the name of two images; "
                        f"it goes to the one in {source.what}"
                    )
                named[familiar(repo_tag)] = (digest, repo_tag)
    return {
        digest: (
            image.config_json,
            ManifestEntry(
                config=f"{digest}.json",
                repo_tags=[repo_tag for owner, repo_tag in named.values() if owner == digest],
                layers=[_layer_name(layer) for layer in image.layers],
            ),
        )
        for digest, image in images.items()
    }


def _names(source: Source, image: BaseImage) -> Iterator[str]:
    for repo_tag in image.repo_tags:
        # An index may note a tag alone; that names no image.
        if ":" in os.path.basename(repo_tag):
            yield repo_tag
        else:
            warn(f"mergeImages: an image in {source.what} has the tag {repo_tag}, but no name")


def _layer_name(layer: BaseLayer) -> str:
    return f"{layer.diff_id.removeprefix('sha256:')}/layer.tar"
