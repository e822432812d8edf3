"""Image indexes: one name for the images of several platforms.

Source: OCI image specification, "Image Index"; Docker's manifest list is the same
under another media type.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from builders.console.errors import die

_VARIANTS: Final = ("", "v8", "v7", "v6", "v5")
"""The order in which skopeo prefers variants of an architecture when none is asked for."""


@dataclass(frozen=True)
class Entry:
    """A manifest that an index lists, and its platform."""

    digest: str
    os: str
    architecture: str
    variant: str

    @property
    def platform(self) -> str:
        """The platform, as `docker --platform` spells it."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def read_index(data: bytes, *, what: str) -> list[Entry] | None:
    """Return what an index lists, or None where `data` is the manifest of a single image.

    Raises `UserError` where it is neither; `what` names the image.
    """
    try:
        manifest = json.loads(data)
        if not isinstance(manifest, dict):
            raise TypeError
        if "manifests" not in manifest:
            return None
        return [_entry(entry) for entry in manifest["manifests"] if _has_platform(entry)]
    except (ValueError, KeyError, TypeError, AttributeError):
        die(
            f"what the registry answers for {what} is no image manifest",
            hint="check the name of the image and of the registry",
        )


def choose(entries: list[Entry], *, os: str, architecture: str) -> Entry | None:
    """Return the entry that skopeo takes for a platform, or None where there is none."""
    fitting = [entry for entry in entries if (entry.os, entry.architecture) == (os, architecture)]
    preferred = [entry for entry in fitting if entry.variant in _VARIANTS]
    return min(
        preferred,
        key=lambda entry: _VARIANTS.index(entry.variant),
        default=next(iter(fitting), None),
    )


def _has_platform(entry: dict[str, Any]) -> bool:
    # Attestations are listed under the platform unknown/unknown.
    return bool(entry.get("platform", {}).get("os", "unknown") != "unknown")


def _entry(entry: dict[str, Any]) -> Entry:
    platform = entry["platform"]
    return Entry(
        digest=entry["digest"],
        os=platform["os"],
        architecture=platform["architecture"],
        variant=platform.get("variant", ""),
    )
