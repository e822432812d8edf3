"""Images of which it may be open what their layers are once they are compressed.

That takes long to find out, and whoever sends an image may know it without: the other side has the
layer, and says what it is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from builders.blobs.compressed_layers import CompressedBlob, CompressedLayers, compress_each
from builders.blobs.descriptors import COMPRESSOR, CONFIG_TYPE, Descriptor, descriptor_of
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import (
    Blob,
    Bytes,
    Content,
    FileContent,
    Image,
    Index,
    LayerContent,
    assembled,
    index_blobs,
)
from builders.compression.members import MemberFormat
from builders.image.configuration import image_config
from builders.image.layer_kinds import Layer
from builders.image.plan import Plan
from builders.image.platform import Platform
from builders.tar.sinks import LEAVE_ALONE


@dataclass(frozen=True)
class OpenLayer:
    """A layer; `descriptor` is None as long as it is open what it is as a blob.

    `content` writes what is to be compressed as `format` says, or the blob itself where that is
    None. `diff_id` is None where nobody has to know it, and `size` is that of the content in bytes.
    `needs` are the paths that are read.
    """

    content: Content
    media_type: str
    format: MemberFormat | None
    diff_id: str | None
    size: int
    needs: tuple[str, ...]
    descriptor: Descriptor | None

    @property
    def key(self) -> str:
        """What two layers have in common that are one blob."""
        if self.descriptor:
            return self.descriptor.digest
        return f"{self.format} of {self.diff_id}"

    @property
    def compressor(self) -> str | None:
        """What the bytes of the blob depend on, None where they are as they are."""
        return str(self.format) if self.format else None

    @property
    def is_stream(self) -> bool:
        """Whether it has to be read in the order of other layers."""
        return self.content.layer is not None and self.content.layer.stream is not None

    def describe(self, digest: str, size: int) -> Descriptor:
        """Return the descriptor of the blob with `digest` and `size`, made by us."""
        annotations = {COMPRESSOR: self.compressor} if self.compressor else {}
        return Descriptor(self.media_type, digest, size, annotations)


@dataclass(frozen=True)
class OpenImage:
    """An image; `config` is its image configuration, and `base` the name of its base image.

    `close` makes it of its layers, once they are known.
    """

    platform: Platform
    config: bytes
    layers: tuple[OpenLayer, ...]
    close: Callable[[Sequence[Blob]], Image]
    base: str | None = None

    @property
    def images(self) -> "tuple[OpenImage, ...]":
        """The image."""
        return (self,)

    @property
    def config_digest(self) -> str:
        """The digest of the image configuration."""
        return descriptor_of(self.config, CONFIG_TYPE).digest


@dataclass(frozen=True)
class OpenIndex:
    """An index of images; `close` makes it of them."""

    images: tuple[OpenImage, ...]
    close: Callable[[Sequence[Image]], Index]


def open_planned(
    plan: Plan,
    compression: LayerCompression,
    *,
    annotations: Mapping[str, str],
    known: CompressedLayers | None,
) -> OpenImage:
    """Return the image of `plan`, whose times are resolved.

    `known` is taken where it is of the same compressor.
    """
    config = image_config(plan)
    descriptors: Sequence[Descriptor | None] = [None] * len(plan.layers)
    if known and known.compression == compression:
        descriptors = known.layers
    layers = [
        open_layer(layer, compression, descriptor)
        for layer, descriptor in zip(plan.layers, descriptors, strict=True)
    ]
    return OpenImage(
        platform=plan.platform,
        config=config,
        layers=tuple(layers),
        close=lambda blobs: assembled(
            config, blobs, platform=plan.platform, annotations=annotations
        ),
        base=annotations.get(BASE_NAME),
    )


BASE_NAME = "org.opencontainers.image.base.name"
"""The annotation that names the base image (OCI image specification, "Annotations")."""


def open_layer(
    layer: Layer, compression: LayerCompression, descriptor: Descriptor | None = None
) -> OpenLayer:
    """Return `layer`, to be compressed as `compression` says."""
    media_type = compression.media_type(layer)
    applies = compression.applies_to(layer)
    blob = layer.blob
    found = OpenLayer(
        content=LayerContent(layer, _AS_IT_IS),
        media_type=media_type,
        format=compression.format if applies else None,
        diff_id=layer.diff_id,
        size=blob.size,
        needs=layer.needs,
        descriptor=descriptor,
    )
    if found.format is None:
        return replace(found, descriptor=Descriptor(media_type, blob.digest, blob.size))
    return found


_AS_IT_IS = LayerCompression("none")


def open_complete(image: Image) -> OpenImage:
    """Return an image of which all is known."""
    config = image.config.content
    if not isinstance(config, Bytes):
        raise TypeError("an image configuration is made of bytes")
    layers = [
        OpenLayer(
            content=blob.content,
            media_type=blob.descriptor.media_type,
            format=None,
            diff_id=None,
            size=blob.descriptor.size,
            needs=blob.content.needs,
            descriptor=blob.descriptor,
        )
        for blob in image.layers
    ]
    return OpenImage(image.platform, config.data, tuple(layers), close=lambda _: image)


def open_index(images: Sequence[OpenImage], annotations: Mapping[str, str]) -> OpenIndex:
    """Return the index of `images`."""
    return OpenIndex(
        tuple(images), close=lambda closed: index_blobs(closed, annotations=annotations)
    )


def closed(source: OpenImage | OpenIndex) -> Image | Index:
    """Return `source`, of whose layers nothing may be open: none is to be compressed."""
    if isinstance(source, OpenIndex):
        return source.close([_as_image(image) for image in source.images])
    return _as_image(source)


def compress_open(image: OpenImage, *, jobs: int, directory: str, hint: str = LEAVE_ALONE) -> Image:
    """Return `image`, with files in `directory` for the layers that are to be compressed.

    `jobs` and `hint` are as in `compress_layers`.
    """
    made: dict[str, CompressedBlob] = {}
    by_format: dict[MemberFormat, dict[str, OpenLayer]] = {}
    for layer in image.layers:
        if layer.format and layer.diff_id and layer.content.layer:
            by_format.setdefault(layer.format, {})[layer.diff_id] = layer
    for format_, layers in by_format.items():
        contents = [layer.content.layer for layer in layers.values() if layer.content.layer]
        found = compress_each(contents, format_, jobs=jobs, directory=directory, hint=hint)
        made |= {layer.key: found[diff_id] for diff_id, layer in layers.items()}

    def blob(layer: OpenLayer) -> Blob:
        if layer.key not in made:
            return Blob(_known(layer), layer.content)
        file = made[layer.key]
        descriptor = layer.describe(f"sha256:{file.digest}", file.size)
        return Blob(descriptor, FileContent(str(file.path), file.size))

    return image.close([blob(layer) for layer in image.layers])


def _known(layer: OpenLayer) -> Descriptor:
    if layer.descriptor is None:
        raise ValueError("a layer is still to be compressed")
    return layer.descriptor


def _as_image(image: OpenImage) -> Image:
    return image.close([Blob(_known(layer), layer.content) for layer in image.layers])
