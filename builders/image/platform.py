"""The platform of an image: what its programs run on.

Source: OCI image specification, "Image Index", the properties of `platform`.
"""

from dataclasses import dataclass
from typing import Final

LINUX: Final = "linux"
"""The operating system of all images that are made here."""


@dataclass(frozen=True)
class Platform:
    """Operating system and architecture in Go's words; `variant` is None where there is none."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        """As `docker --platform` spells it: "linux/arm/v7"."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
