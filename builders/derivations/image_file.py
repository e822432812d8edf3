"""Builds a layered image as a file: the stream of a plan, compressed."""

from dataclasses import dataclass

from builders.derivations import arguments
from builders.formats.image_file import write_image_file
from builders.image.plan import from_json


@dataclass(frozen=True)
class Arguments:
    """What layered_image takes: the image `plan`, name and level of the `compressor`."""

    plan: str
    compressor: str
    compression_level: int | None


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    with open(given.plan, encoding="utf-8") as file:
        plan = from_json(file.read())
    write_image_file(
        plan,
        build.out,
        compressor=given.compressor,
        level=given.compression_level,
        jobs=build.cores,
    )
