"""Names of images in registries.

Source: the reference grammar of the CNCF distribution project. A name without a
registry belongs to docker.io.
"""

import re
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die

_DEFAULT_REGISTRY: Final = "docker.io"

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[A-Za-z0-9]+(?:(?:\.|-+)[A-Za-z0-9]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_NAME: Final = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def is_name(text: str) -> bool:
    """Whether `text` names a repository, with or without its registry, and no tag or digest."""
    return bool(_NAME.fullmatch(text))


def is_tag(text: str) -> bool:
    """Whether `text` can be a tag."""
    return bool(_TAG.fullmatch(text))


def is_digest(text: str) -> bool:
    """Whether `text` is a SHA-256 digest as manifests are known by."""
    return bool(_DIGEST.fullmatch(text))


def check_repo_tag(repo_tag: str) -> None:
    """Raise `UserError` for what is no name and tag that engines load an image by."""
    name, _, tag = repo_tag.rpartition(":")
    if not (is_name(name) and is_tag(tag)):
        die(
            f"{repo_tag!r} is no name and tag of an image",
            hint="write it like registry.example/app:1.0, the name in lower case",
        )


def canonical_name(reference: str) -> str:
    """Return the name in `reference`, with its tag, as registries and containerd write it.

    It begins with the registry, and images of Docker's own are in "library".
    """
    name, _, tag = reference.rpartition(":")
    image = RemoteImage(name, tag)
    repository = image.repository
    if image.registry == _DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return f"{image.registry}/{repository}:{tag}"


@dataclass(frozen=True)
class RemoteImage:
    """The image `version` (a tag or a digest) of the repository `name`."""

    name: str
    version: str

    @property
    def registry(self) -> str:
        """The host of the registry, with its port where that is named."""
        first, slash, _ = self.name.partition("/")
        # As Docker tells "registry.example/app" from "group/app".
        named = slash and (
            re.search(r"[.:\[]", first) or first == "localhost" or first != first.lower()
        )
        return first if named else _DEFAULT_REGISTRY

    @property
    def repository(self) -> str:
        """The name inside of the registry."""
        return self.name.removeprefix(f"{self.registry}/")

    @property
    def has_digest(self) -> bool:
        """Whether `version` is a digest."""
        return is_digest(self.version)

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.has_digest else ':'}{self.version}"
