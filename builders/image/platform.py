"""The platform of an image: what its programs run on.

Source: OCI image specification, "Image Index", the properties of `platform`. Other words than Go's
are read as containerd reads them (its platforms module, database.go).
"""

import re
from dataclasses import dataclass
from typing import Final

LINUX: Final = "linux"
"""The operating system of all images that are made here."""

_MEANT: Final = {
    "aarch64": "arm64",
    "armel": "arm",
    "armhf": "arm",
    "i386": "386",
    "x86-64": "amd64",
    "x86_64": "amd64",
}
"""What else architectures are called."""
_LEVEL: Final = re.compile(r"v?([0-9]{1,4})(?:\.([0-9]{1,4}))?")
"""A variant of which higher ones have all that it has."""


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

    def takes(self, base: "Platform") -> bool:
        """Whether an image for this platform may have the layers of one for `base`.

        What `base` does not say is taken as it is, and so is a variant where only one of both names
        any: v8 goes without saying for arm64, for one. A variant takes lower ones.
        """
        if base.os and base.os.lower() != self.os.lower():
            return False
        if base.architecture and _meant(base.architecture) != _meant(self.architecture):
            return False
        if not base.variant or not self.variant:
            return True
        return base.variant == self.variant or _is_lower(base.variant, self.variant)


def _meant(architecture: str) -> str:
    word = architecture.lower()
    return _MEANT.get(word, word)


def _is_lower(one: str, other: str) -> bool:
    """Whether `one` is a variant of no higher level; false where they have none to compare."""
    levels = [_LEVEL.fullmatch(variant.lower()) for variant in (one, other)]
    lower, higher = (
        [int(part or 0) for part in level.groups()] if level else None for level in levels
    )
    return lower is not None and higher is not None and lower <= higher
