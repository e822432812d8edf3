"""Makes `passthru.manifest` and `passthru.digest`: what an image is in a registry.

The output is the manifest, or the index of several images, byte for byte; the output `digest` is a
file of its digest, "sha256:" and 64 hexadecimal digits, without a newline. No layer is read.
"""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from builders.blobs.source import Bytes
from builders.console.errors import writing
from builders.derivations import arguments
from builders.derivations.oci_images import described, given_image, together


@dataclass(frozen=True)
class Arguments:
    """What oci_manifest takes.

    `images` are the fields of builders.blobs.planned_images.PlannedImage, or of
    builders.derivations.oci_images.ArchivedImage. There is one, or
    `index_annotations` are those of the index of them all.
    """

    images: list[dict[str, Any]]
    index_annotations: dict[str, str] | None


def main(_: list[str]) -> None:
    """Write the manifest and its digest to the outputs."""
    build = arguments.load()
    given = build.arguments(Arguments)
    images = [given_image(image) for image in given.images]
    layers = os.path.join(build.top, "layers")
    os.mkdir(layers)
    blobs_of = partial(described, jobs=build.cores, directory=layers)
    top = together(images, blobs_of, given.index_annotations).top
    if not isinstance(top.content, Bytes):
        raise TypeError("a manifest is made of bytes")
    digest = build.attributes["outputs"]["digest"]
    with writing(build.out), open(build.out, "wb") as file:
        file.write(top.content.data)
    with writing(digest), open(digest, "w", encoding="ascii") as text:
        text.write(top.descriptor.digest)
