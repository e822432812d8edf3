"""What a push of an image sends: its layers as blobs, its manifest and its image configuration.

A plan says what layers are before they are compressed. So those that the other side lacks are
compressed here, as a push does it, unless an earlier one or a push has done it already.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from builders.accounts.known import ARCHIVE, GRAPH, REGISTRY, KnownImage, KnownLayer
from builders.accounts.shared_layers import is_there
from builders.blobs.descriptors import COMPRESSOR, Descriptor
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.layer_measures import measure_layers
from builders.blobs.open_images import OpenImage, OpenLayer
from builders.blobs.source import Blob
from builders.console.errors import UserError
from builders.formats.image_sources import Reading, read_source
from builders.registry.digest_cache import DigestCache

_NO_DIGEST: Final = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Sending:
    """How an image would be sent.

    `compression` is for layers that come without, None for the usual one. `threads` compress, and
    nothing is compressed if there are none. `architecture` and `hint` are as in `Reading`.
    """

    compression: LayerCompression | None
    threads: int
    architecture: str
    hint: str
    cache: DigestCache


def with_sent(new: KnownImage, old: KnownImage, path: str, sending: Sending) -> KnownImage:
    """Return the image `new`, which was read from `path`, as it would be sent to where `old` is.

    Raises nothing: what can't be known stays unknown, and a sentence says so.
    """
    is_hashed = new.source == ARCHIVE or any(layer.diff_id is None for layer in new.layers)
    if new.source in (GRAPH, REGISTRY) or (is_hashed and not sending.threads):
        return new
    source = _opened(path, sending)
    if source is None or len(source.layers) != len(new.layers):
        return new
    layers = tuple(
        _known_blob(layer, opened, sending)
        for layer, opened in zip(new.layers, source.layers, strict=True)
    )
    missing = [
        opened
        for layer, opened in zip(layers, source.layers, strict=True)
        # Of a closure, nobody knows what its layers are.
        if layer.blob_size is None and old.source != GRAPH and not _has(old, layer)
    ]
    made, unknown = _made(missing, sending)
    layers = tuple(
        _as_blob(layer, made[opened.key]) if opened.key in made else layer
        for layer, opened in zip(layers, source.layers, strict=True)
    )
    return replace(
        new,
        layers=layers,
        documents=_documents(source, layers, old),
        unknown=(*new.unknown, *unknown),
    )


def _opened(path: str, sending: Sending) -> OpenImage | None:
    reading = Reading(
        compression=sending.compression,
        architecture=sending.architecture,
        jobs=max(sending.threads, 1),
        hint=sending.hint,
    )
    # What is explained may be more than can be sent: archives of several images, say.
    with suppress(UserError):
        source = read_source(path, reading).source
        if isinstance(source, OpenImage):
            return source
    return None


def _known_blob(layer: KnownLayer, opened: OpenLayer, sending: Sending) -> KnownLayer:
    """Return `layer` with what is known without compressing it."""
    if layer.size is None and opened.diff_id is not None:
        layer = replace(layer, size=opened.size)
    if opened.descriptor:
        # Nobody asks for the content of what lies there as a blob.
        return replace(_as_blob(layer, opened.descriptor), is_fixed=opened.diff_id is None)
    # What was told of the layer counts, unless another compression is asked for.
    if layer.blob_size is not None and (
        sending.compression is None or layer.media_type == opened.media_type
    ):
        return layer
    known = sending.cache.get(layer.diff_id or "", opened.compressor or "")
    if known:
        return _as_blob(layer, opened.describe(*known))
    return replace(layer, blob=None, blob_size=None, media_type=opened.media_type)


def _as_blob(layer: KnownLayer, descriptor: Descriptor) -> KnownLayer:
    return replace(
        layer,
        blob=descriptor.digest,
        blob_size=descriptor.size,
        media_type=descriptor.media_type,
    )


def _has(old: KnownImage, layer: KnownLayer) -> bool:
    same = [other for other in old.layers if layer.diff_id and other.diff_id == layer.diff_id]
    return is_there(layer, same)


def _made(
    layers: Sequence[OpenLayer], sending: Sending
) -> tuple[Mapping[str, Descriptor], tuple[str, ...]]:
    """Return what `layers` are as blobs, and what is unknown."""
    if not layers or not sending.threads:
        return {}, ()
    here = [layer for layer in layers if all(map(os.path.lexists, layer.needs))]
    unknown = []
    if len(here) < len(layers):
        absent = next(path for layer in layers for path in layer.needs if not os.path.lexists(path))
        unknown.append(
            f"compressed sizes are not known of layers that are not on this machine: {absent} is "
            "missing"
        )
    try:
        made = measure_layers(here, threads=sending.threads, hint=sending.hint)
    except UserError as error:
        return {}, (*unknown, f"compressed sizes are not known: {error.message}")
    for layer in here:
        found = made.get(layer.key)
        if found and layer.diff_id and layer.compressor:
            sending.cache.add(layer.diff_id, layer.compressor, found.digest, found.size)
    return made, tuple(unknown)


def _documents(source: OpenImage, layers: Sequence[KnownLayer], old: KnownImage) -> int:
    """Return the bytes of configuration and manifest; digests that are not known are as long."""
    there = {layer.diff_id: layer for layer in old.layers if layer.blob and layer.blob_size}
    blobs = []
    for layer, opened in zip(layers, source.layers, strict=True):
        same = there.get(layer.diff_id)
        if same and old.source == REGISTRY and is_there(layer, [same]):
            descriptor = _as_there(same)
        else:
            size = opened.size if layer.blob_size is None else layer.blob_size
            described = opened.describe(layer.blob or _NO_DIGEST, size)
            descriptor = opened.descriptor or described
        blobs.append(Blob(descriptor, opened.content))
    return len(source.config) + source.close(blobs).manifest.descriptor.size


def _as_there(layer: KnownLayer) -> Descriptor:
    annotations = {COMPRESSOR: layer.compressor} if layer.compressor else {}
    return Descriptor(
        layer.media_type or "", layer.blob or _NO_DIGEST, layer.blob_size or 0, annotations
    )
