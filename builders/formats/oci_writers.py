"""The OCI archive: an image layout in one tar, which is a Docker archive, too.

`index.json` names what skopeo, podman and containerd read, and `manifest.json` what `docker load`
does where Docker keeps its images without containerd; both mean the same blobs. Source: OCI image
specification v1.1, "Image Layout"; Docker image specification v1.3.0, for manifest.json.
"""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from builders.blobs.descriptors import (
    CONTAINERD_NAME,
    INDEX_TYPE,
    REFERENCE_NAME,
    Descriptor,
)
from builders.blobs.source import Blob, FileContent, Image, Index, blobs, named
from builders.console.errors import writing
from builders.console.progress import Progress
from builders.formats.image_archive import INDEX, MANIFEST, OCI_LAYOUT
from builders.image.layer_kinds import in_reading_order
from builders.image.names import canonical_name
from builders.layers.resources import Resources
from builders.tar.header import REGULAR, Entry
from builders.tar.sinks import FileSink
from builders.tar.writer import TarWriter

_LAYOUT: Final = b'{"imageLayoutVersion": "1.0.0"}'
_MODE: Final = 0o644
_BLOBS: Final = "blobs/sha256"


@dataclass(frozen=True)
class NamedSource:
    """An image or an index under the name `repo_tag`: the repository, a colon and the tag.

    `architecture` is that of the machine that most likely loads it.
    """

    source: Image | Index
    repo_tag: str
    architecture: str

    @property
    def first(self) -> Image:
        """The image for who can't take an index: that of the machine, if there is one."""
        images = self.source.images
        fitting = (image for image in images if image.platform.architecture == self.architecture)
        return next(fitting, images[0])


def write_archive(
    output: int,
    content: NamedSource,
    *,
    mtime: int,
    resources: Resources,
    without: Collection[str] = (),
    progress: Progress | None = None,
) -> None:
    """Write the archive to the file descriptor `output`.

    Its members have the time `mtime`, in seconds since 1970. Documents come before layers, and
    what names others before what it names. Blobs whose digests are in `without` are left out, which
    the specification allows where the reader has them. `progress` shows how far it is; the caller
    finishes it. Raises `UserError` as contents do.
    """
    every = [blob for blob in blobs(content.source) if blob.descriptor.digest not in without]
    shown = progress or Progress(total=0, layers=0, moving=False)
    shown.expect(sum(blob.descriptor.size for blob in every), layers=_layers(every))
    sink = FileSink(output, on_written=shown.update)
    tar = TarWriter(sink)

    def add(name: str, size: int, write: Any) -> None:
        entry = Entry(name=name, type=REGULAR, mode=_MODE, uid=0, gid=0, mtime=mtime, size=size)
        tar.add(entry, write)

    for name, data in _documents([content]).items():
        add(name, len(data), data)
    for blob in _in_order(every, shown):
        add(
            _member(blob.descriptor),
            blob.descriptor.size,
            lambda blob=blob: blob.content.write(sink, resources),
        )
    tar.finish()
    sink.flush()
    if not progress:
        shown.finish(sink.written)


def write_directory(path: str, content: NamedSource, *, resources: Resources) -> None:
    """Make the directory `path`, and in it the layout; all else is as in `write_archive`.

    Blobs that are files in `blob_directory` stay there.
    """
    every = list(blobs(content.source))
    progress = _progress(every)
    directory = blob_directory(path)
    with writing(directory):
        os.makedirs(directory, exist_ok=True)
    for name, data in _documents([content]).items():
        if name != MANIFEST:
            with writing(path), open(os.path.join(path, name), "xb") as file:
                file.write(data)
    for blob in _in_order(every, progress):
        target = os.path.join(path, _member(blob.descriptor))
        if isinstance(blob.content, FileContent) and blob.content.path == target:
            continue
        with writing(target), open(target, "xb", buffering=0) as file:
            sink = FileSink(file.fileno())
            blob.content.write(sink, resources)
            sink.flush()


def blob_directory(path: str) -> str:
    """Return the directory of the blobs in the layout `path`; they are named by their digits."""
    return os.path.join(path, _BLOBS)


def _progress(every: Sequence[Blob]) -> Progress:
    return Progress(
        total=sum(blob.descriptor.size for blob in every),
        layers=_layers(every),
        moving=False,
    )


def _layers(every: Sequence[Blob]) -> int:
    return sum(blob.content.layer is not None for blob in every)


def _in_order(every: Sequence[Blob], progress: Progress) -> Iterator[Blob]:
    """Yield blobs in the order in which they are written, and tell about each layer."""
    number = 0
    for blob in in_reading_order(every, layer_of=lambda blob: blob.content.layer):
        if blob.content.layer:
            number += 1
            progress.layer(blob.content.layer.describe(number))
        yield blob


def _documents(contents: Sequence[NamedSource]) -> dict[str, bytes]:
    """Return the files of a layout that are no blobs, and manifest.json."""
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [_entry(content).to_json() for content in contents],
    }
    manifest = [
        {
            "Config": _member(content.first.config.descriptor),
            "RepoTags": [content.repo_tag],
            "Layers": [_member(layer.descriptor) for layer in content.first.layers],
        }
        for content in contents
    ]
    return {
        OCI_LAYOUT: _LAYOUT,
        INDEX: json.dumps(index, indent=2).encode(),
        MANIFEST: json.dumps(manifest, indent=2).encode(),
    }


def _entry(content: NamedSource) -> Descriptor:
    # containerd takes the whole name, and the others know the tag.
    names = {
        CONTAINERD_NAME: canonical_name(content.repo_tag),
        REFERENCE_NAME: content.repo_tag.rpartition(":")[2],
    }
    return named(content.source.top, names)


def _member(descriptor: Descriptor) -> str:
    return f"{_BLOBS}/{descriptor.hexadecimal}"
