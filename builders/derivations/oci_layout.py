"""Makes an OCI image layout of an image or an index: one tar, or a directory."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from builders.console.errors import writing
from builders.derivations import arguments
from builders.derivations.image_plan import output_hash
from builders.derivations.oci_images import compressed, given_image, together
from builders.formats.oci_writers import (
    NamedSource,
    blob_directory,
    write_archive,
    write_directory,
)
from builders.layers.resources import Resources
from builders.layers.tree import MTIME
from builders.remedies import CHECK_STORE


@dataclass(frozen=True)
class Arguments:
    """What oci_layout takes.

    `images` and `index_annotations` are those of builders.derivations.oci_manifest. The image or
    the index is called `name`; where `tag` is None, it is the hash in the path of this output.
    `architecture` is that of the images which this machine runs. With `directory` the output is
    one, else a tar.
    """

    images: list[dict[str, Any]]
    index_annotations: dict[str, str] | None
    name: str
    tag: str | None
    architecture: str
    directory: bool


def main(_: list[str]) -> None:
    """Write the layout to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    images = [given_image(image) for image in given.images]
    # In a layout they are where they belong; from here they are copied into the tar.
    layers = blob_directory(build.out if given.directory else os.path.join(build.top, "layout"))
    with writing(layers):
        os.makedirs(layers)
    source = together(
        images, partial(compressed, directory=layers, jobs=build.cores), given.index_annotations
    )
    content = NamedSource(
        source,
        repo_tag=f"{given.name}:{given.tag or output_hash(build.out)}",
        architecture=given.architecture,
    )
    with Resources(helpers=build.cores - 1, hint=CHECK_STORE) as resources:
        if given.directory:
            write_directory(build.out, content, resources=resources)
        else:
            with writing(build.out), open(build.out, "wb", buffering=0) as file:
                write_archive(file.fileno(), content, mtime=MTIME, resources=resources)
