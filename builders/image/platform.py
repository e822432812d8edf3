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

    def to_json(self) -> dict[str, str]:
        """Return it as JSON's types, as a descriptor has it."""
        data = {"architecture": self.architecture, "os": self.os}
        return {**data, "variant": self.variant} if self.variant else data

    def __str__(self) -> str:
        """As `docker --platform` spells it: "linux/arm/v7"."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
