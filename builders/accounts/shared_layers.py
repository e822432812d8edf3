"""Layers that two images have: what one of them knows, and whether they are one blob."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from builders.accounts.known import BASE, KnownImage, KnownLayer
from builders.compression.streams import NONE
from builders.image.layer_kinds import MEDIA_TYPES

_PLAIN: Final = MEDIA_TYPES[NONE]


def completed(image: KnownImage, other: KnownImage) -> KnownImage:
    """Return `image` with what `other` knows of the layers that both have."""
    there = {layer.diff_id: layer for layer in other.layers if layer.diff_id}
    layers = tuple(
        _filled(layer, there[layer.diff_id], measured=image.measure is not None)
        if layer.diff_id in there
        else layer
        for layer in image.layers
    )
    if image.measure is not None or not all(layer.diff_id in there for layer in layers):
        return replace(image, layers=layers)
    return replace(image, layers=layers, measure=other.measure)


def _filled(layer: KnownLayer, other: KnownLayer, *, measured: bool) -> KnownLayer:
    if layer.blob_size is None:
        layer = replace(
            layer, blob=other.blob, blob_size=other.blob_size, media_type=other.media_type
        )
    if layer.size is None:
        layer = replace(layer, size=other.size)
    if measured:
        return layer
    # By its digest it is the very same layer.
    return replace(layer, kind=other.kind, paths=other.paths, directories=other.directories)


def is_there(layer: KnownLayer, others: Sequence[KnownLayer]) -> bool:
    """Whether one of `others`, which have the same content, is the blob that `layer` is.

    What is compressed in another way is another blob. Of a layer that is still to be compressed, a
    push takes what is there, whoever compressed it, as long as its media type is the same.
    """
    if layer.is_fixed:
        return any(other.blob in (None, layer.blob) for other in others)
    # A base image in an archive may have lost what its layers were before.
    is_open = layer.media_type is None or (layer.kind == BASE and layer.media_type == _PLAIN)
    return any(is_open or other.media_type in (None, layer.media_type) for other in others)
