"""Builds one archive of several images: mergeImages."""

import os
from dataclasses import dataclass
from typing import Final

from builders.compression.produce import compress_output
from builders.compression.streams import GZIP, NONE, ZSTD
from builders.console.errors import writing
from builders.derivations import arguments
from builders.formats.image_reader import read_images
from builders.formats.several_images import Source, write_merged
from builders.formats.stream_scripts import is_script, run_stream
from builders.layers.tree import MTIME
from builders.tar.sinks import FileSink

_COMPRESSORS: Final = {NONE: "none", GZIP: "gz", ZSTD: "zstd"}
"""What the output is compressed with where the last image is compressed so; gz for all else."""


@dataclass(frozen=True)
class Arguments:
    """What merge_images takes.

    `images` are image archives, or stream scripts where `programs` has true at that place.
    `architecture` decides where an OCI archive has several images of one name.
    """

    images: list[str]
    programs: list[bool]
    architecture: str


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    sources = []
    for number, (image, is_program) in enumerate(zip(given.images, given.programs, strict=True)):
        path = image
        if is_script(image, is_program=is_program):
            path = os.path.join(build.top, f"{number}.tar")
            run_stream(image, path, what=image)
        found = read_images(path, what=image, architecture=given.architecture, jobs=build.cores)
        sources.append(Source(what=image, images=found))

    def produce(output: int) -> None:
        sink = FileSink(output)
        write_merged(sink, sources, mtime=MTIME)
        sink.flush()

    with writing(build.out), open(build.out, "wb") as target:
        compress_output(
            produce,
            target,
            compressor=_COMPRESSORS.get(sources[-1].images[0].compression, "gz"),
            level=None,
            threads=build.cores,
        )
