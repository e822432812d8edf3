"""Builds the file system of an image as one uncompressed tar archive: exportImage."""

import os
from dataclasses import dataclass

from builders.console.errors import writing
from builders.derivations import arguments
from builders.derivations.base_image import from_image_choice
from builders.formats.image_reader import read_base_image
from builders.formats.stream_scripts import is_script, run_stream
from builders.layers.tree import MTIME
from builders.rootfs.base_tree import open_layers
from builders.rootfs.export import write_file_system
from builders.rootfs.merge_layers import merge_layers
from builders.tar.sinks import FileSink


@dataclass(frozen=True)
class Arguments:
    """What export_image takes.

    `from_image` is an image archive, or a stream script where `is_program` is true. Names are those
    of exportImage's attributes; `architecture` decides where an OCI archive has several.
    """

    from_image: str
    from_image_name: str | None
    from_image_tag: str | None
    is_program: bool
    architecture: str


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    what = f"fromImage {given.from_image}"
    path = given.from_image
    if is_script(path, is_program=given.is_program):
        path = os.path.join(build.top, "streamed.tar")
        run_stream(given.from_image, path, what=what)
    image = read_base_image(
        path,
        what=what,
        choice=from_image_choice(given.from_image_name, given.from_image_tag),
        architecture=given.architecture,
        jobs=build.cores,
        spool=os.path.join(build.top, "image.tar"),
    )
    with (
        open_layers(image.layers, directory=build.top, what=what) as layers,
        writing(build.out),
        open(build.out, "wb", buffering=0) as file,
    ):
        sink = FileSink(file.fileno())
        write_file_system(sink, merge_layers(layers), mtime=MTIME)
        sink.flush()
