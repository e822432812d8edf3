"""Builds a layered image as a file: the stream of a plan, compressed."""

from dataclasses import dataclass

from builders import arguments
from builders.compression.produce import compress_output
from builders.image.plan import from_json
from builders.image.stream import stream_image


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

    def stream(output: int) -> None:
        # Nix gives builders a terminal, but shows and keeps their output as lines.
        stream_image(plan, output, jobs=build.cores, moving=False)

    with open(build.out, "wb") as target:
        compress_output(
            stream,
            target,
            compressor=given.compressor,
            level=given.compression_level,
            threads=build.cores,
        )
