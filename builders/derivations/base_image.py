"""Reads a base image: its layers, all of them found and hashed, and its configuration.

The output is the JSON file of builders.derivations.planned.PlannedBase.
"""

from dataclasses import dataclass

from builders.console.errors import die
from builders.derivations import arguments
from builders.derivations.planned import PlannedBase
from builders.formats.container_config import read_platform
from builders.formats.image_reader import read_base_image
from builders.formats.named_images import Choice
from builders.image.platform import LINUX, Platform


@dataclass(frozen=True)
class Arguments:
    """What base_image takes.

    Names are those of buildImage's attributes; `architecture` and `variant` decide where an OCI
    archive has several images. The base image must be for them.
    """

    from_image: str
    from_image_name: str | None
    from_image_tag: str | None
    architecture: str
    variant: str | None


def main(_: list[str]) -> None:
    """Write the file to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    what = f"fromImage {given.from_image}"
    image = read_base_image(
        given.from_image,
        what=what,
        choice=from_image_choice(given.from_image_name, given.from_image_tag),
        architecture=given.architecture,
        variant=given.variant,
        jobs=build.cores,
    )
    platform = Platform(os=LINUX, architecture=given.architecture, variant=given.variant)
    check_base_platform(read_platform(image.config, what=what), platform, what=what)
    PlannedBase(layers=image.layers, config=image.config).write(build.out)


def check_base_platform(base: Platform, own: Platform, *, what: str) -> None:
    """Raise `UserError` for a base image whose programs don't run where those of the image do."""
    if own.takes(base):
        return
    remedy = f"take a base image for {own}"
    if base.os.lower() in ("", own.os):
        remedy += ", or set architecture and variant to what the base image has"
    die(f"{what} is an image for {base}, and this one is for {own}", hint=remedy)


def from_image_choice(name: str | None, tag: str | None) -> Choice:
    """Return the choice that fromImageName and fromImageTag make."""
    return Choice(name, tag, name_word="fromImageName", tag_word="fromImageTag")
