"""The images that an archive names, and which of them is meant."""

from collections.abc import Sequence
from dataclasses import dataclass

from builders.console.errors import UserError, die


@dataclass(frozen=True)
class NamedImage:
    """An image as its manifest describes it, by names of members.

    `source` is the document that says so, and `others` are what else was to be chosen from.
    """

    source: str
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The image that is meant, by `name` and `tag`, or neither of them for the first one.

    `name_word` and `tag_word` are what the user calls the two, for messages.
    """

    name: str | None = None
    tag: str | None = None
    name_word: str = "the name"
    tag_word: str = "the tag"

    @property
    def reference(self) -> str | None:
        """The familiar form of name and tag, None where none is chosen.

        Names are lower case in archives, whatever their makers were given.
        """
        if self.name is None or self.tag is None:
            return None
        return familiar(f"{self.name.lower()}:{self.tag}")

    @property
    def advice(self) -> str:
        """The end of a sentence that says how to choose."""
        return f", or choose one with {self.name_word} and {self.tag_word}, where they are taken"

    def check(self, what: str, held: Sequence[str]) -> None:
        """Raise `UserError` where of name and tag only one is given.

        `what` is the archive, `held` are the images in it.
        """
        if (self.name is None) == (self.tag is None):
            return
        given, other = self.name_word, self.tag_word
        if self.name is None:
            given, other = other, given
        die(
            f"{what}: {given} is given without {other}; it holds {_listed(held)}",
            hint="set both to choose one, or neither to take its first one",
        )

    def missing(self, what: str, held: Sequence[str]) -> UserError:
        """Return the error of an archive `what` that holds `held` and not what is meant."""
        words = f"{self.name_word} and {self.tag_word}"
        return UserError(
            f"{what} holds no image {self.name}:{self.tag}, only {_listed(held)}",
            hint=f"set {words} to one that it holds"
            if held
            else f"leave {words} out to take its first one",
        )


FIRST = Choice()
"""The first image of an archive, or the only one."""


def familiar(reference: str) -> str:
    """Return an image's name as Docker's users know it: without its default registry."""
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/"):
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


def _listed(images: Sequence[str]) -> str:
    return ", ".join(images) or "images without a name"
