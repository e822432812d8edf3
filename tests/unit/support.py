"""What several unit tests use."""

import pathlib

from builders.formats.base_image import BaseImage, read_base_image
from builders.formats.named_images import Choice

BUILDERS = pathlib.Path(__file__).parents[2] / "builders"


def read_base(path, *, name=None, tag=None, **options) -> BaseImage:
    """The base image in the archive at `path`, as the functions with a fromImage read it."""
    choice = Choice(name, tag, name_word="fromImageName", tag_word="fromImageTag")
    return read_base_image(str(path), what=f"fromImage {path}", choice=choice, **options)
