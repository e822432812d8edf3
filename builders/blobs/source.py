"""The blob source: all blobs of an image or of an index of images, and a way to write each.

Whoever makes an archive, fills a registry or serves an engine asks for nothing else: the blobs know
where their bytes come from, and nothing here knows where they go. Source: OCI image specification
v1.1, "Image Manifest" and "Image Index".
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from builders.blobs.descriptors import (
    CONFIG_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    descriptor_of,
)
from builders.blobs.layer_compression import CompressingSink, LayerCompression
from builders.compression.members import Members
from builders.console.errors import die
from builders.image.configuration import image_config
from builders.image.layer_kinds import Layer
from builders.image.plan import Plan
from builders.image.platform import Platform
from builders.layers.resources import Resources
from builders.tar.sinks import Sink, copy_file

MANIFEST_LIMIT: Final = 4 << 20
"""Bytes of a manifest or an index. Registries need not take larger ones. Source: OCI distribution
specification v1.1, "Pushing Manifests"."""

_SCHEMA_VERSION: Final = 2


class Content(ABC):
    """The bytes of a blob. All kinds are frozen dataclasses."""

    @property
    def layer(self) -> Layer | None:
        """The layer that is read for it, if one is."""
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """The paths that are read for it."""
        return ()

    @abstractmethod
    def write(self, sink: Sink, resources: Resources) -> None:
        """Write the bytes to `sink`.

        Raises `UserError` where a file that they are made of is missing or has changed.
        """


@dataclass(frozen=True)
class Bytes(Content):
    """Bytes in memory: a document."""

    data: bytes

    def write(self, sink: Sink, resources: Resources) -> None:
        """Write the bytes."""
        del resources
        sink.write(self.data)


@dataclass(frozen=True)
class LayerContent(Content):
    """A layer of the plan, made when it is written, and compressed then as `compression` says."""

    of: Layer
    compression: LayerCompression

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.of

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of the layer."""
        return self.of.needs

    def write(self, sink: Sink, resources: Resources) -> None:
        """Make the layer, and compress it with `resources.threads`."""
        format_ = self.compression.format
        if format_ is None or not self.compression.applies_to(self.of):
            self.of.write(sink, resources)
            return
        with Members(format_, resources.threads) as members:
            compressing = CompressingSink(members, sink.write)
            self.of.write(compressing, resources)
            compressing.finish()
            members.finish()


@dataclass(frozen=True)
class FileContent(Content):
    """A file of `size` bytes that holds the blob as it is."""

    path: str
    size: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The file."""
        return (self.path,)

    def write(self, sink: Sink, resources: Resources) -> None:
        """Copy the file."""
        copy_file(sink, self.path, self.size, hint=resources.hint)


@dataclass(frozen=True)
class Blob:
    """What `descriptor` describes."""

    descriptor: Descriptor
    content: Content


@dataclass(frozen=True)
class Image:
    """The blobs of one image; `layers` are in its order, the lowest first."""

    platform: Platform
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def top(self) -> Blob:
        """The blob whose digest is the image's."""
        return self.manifest

    @property
    def images(self) -> "tuple[Image, ...]":
        """The image."""
        return (self,)


@dataclass(frozen=True)
class Index:
    """The blobs of one image index."""

    index: Blob
    images: tuple[Image, ...]

    @property
    def top(self) -> Blob:
        """The blob whose digest is the index's."""
        return self.index


def blobs(source: Image | Index) -> Iterator[Blob]:
    """Yield each blob once: the documents, and then the layers in the order of the images.

    What names others comes before what it names.
    """
    documents = [
        source.top,
        *(image.manifest for image in source.images),
        *(image.config for image in source.images),
    ]
    layers = (layer for image in source.images for layer in image.layers)
    seen: set[str] = set()
    for blob in (*documents, *layers):
        if blob.descriptor.digest not in seen:
            seen.add(blob.descriptor.digest)
            yield blob


def image_blobs(plan: Plan, layers: Sequence[Blob], *, annotations: Mapping[str, str]) -> Image:
    """Return the blobs of the image of `plan`, whose times are resolved and whose layers these are.

    `annotations` are the manifest's.
    """
    return assembled(image_config(plan), layers, platform=plan.platform, annotations=annotations)


def assembled(
    config: bytes, layers: Sequence[Blob], *, platform: Platform, annotations: Mapping[str, str]
) -> Image:
    """Return the blobs of the image with the image configuration `config`, which has `layers`."""
    described = descriptor_of(config, CONFIG_TYPE)
    manifest: dict[str, Any] = {
        "schemaVersion": _SCHEMA_VERSION,
        "mediaType": MANIFEST_TYPE,
        "config": described.to_json(),
        "layers": [layer.descriptor.to_json() for layer in layers],
    }
    document = _document(manifest, annotations)
    return Image(
        platform=platform,
        manifest=_bytes(document, MANIFEST_TYPE, platform=platform),
        config=Blob(described, Bytes(config)),
        layers=tuple(layers),
    )


def index_blobs(images: Sequence[Image], *, annotations: Mapping[str, str]) -> Index:
    """Return the blobs of the index of `images`; `annotations` are its own."""
    index: dict[str, Any] = {
        "schemaVersion": _SCHEMA_VERSION,
        "mediaType": INDEX_TYPE,
        "manifests": [image.manifest.descriptor.to_json() for image in images],
    }
    return Index(index=_bytes(_document(index, annotations), INDEX_TYPE), images=tuple(images))


def named(top: Blob, annotations: Mapping[str, str]) -> Descriptor:
    """Return the descriptor of `top` with `annotations`, for an index that names it."""
    return replace(top.descriptor, annotations=annotations)


def _document(data: Mapping[str, Any], annotations: Mapping[str, str]) -> bytes:
    """Return a manifest or an index as JSON, the annotations by the order of their keys.

    Raises `UserError` where it is larger than what is sure to be taken.
    """
    last = {"annotations": dict(sorted(annotations.items()))} if annotations else {}
    document = json.dumps({**data, **last}, indent=2).encode()
    if len(document) > MANIFEST_LIMIT:
        what = "image index" if data["mediaType"] == INDEX_TYPE else "manifest"
        die(
            f"the {what} has {len(document):,} bytes, and registries take at most "
            f"{MANIFEST_LIMIT:,}",
            hint="make the annotations shorter, or leave some out",
        )
    return document


def _bytes(data: bytes, media_type: str, **others: Any) -> Blob:
    return Blob(descriptor_of(data, media_type, **others), Bytes(data))
