"""Reads a base image: its layers, all of them found and hashed, and its configuration.

The output is the JSON file of builders.derivations.planned.PlannedBase.
"""

from dataclasses import dataclass

from builders.derivations import arguments
from builders.derivations.planned import PlannedBase
from builders.formats.image_reader import read_base_image
from builders.formats.named_images import Choice


@dataclass(frozen=True)
class Arguments:
    """What base_image takes.

    Names are those of buildImage's attributes; `architecture` decides where an OCI archive has
    several images.
    """

    from_image: str
    from_image_name: str | None
    from_image_tag: str | None
    architecture: str


def main(_: list[str]) -> None:
    """Write the file to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    image = read_base_image(
        given.from_image,
        what=f"fromImage {given.from_image}",
        choice=from_image_choice(given.from_image_name, given.from_image_tag),
        architecture=given.architecture,
        jobs=build.cores,
    )
    PlannedBase(layers=image.layers, config=image.config).write(build.out)


def from_image_choice(name: str | None, tag: str | None) -> Choice:
    """Return the choice that fromImageName and fromImageTag make."""
    return Choice(name, tag, name_word="fromImageName", tag_word="fromImageTag")
