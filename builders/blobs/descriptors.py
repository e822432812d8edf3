"""Descriptors: what a manifest says of each blob.

Source: OCI image specification v1.1, "Content Descriptors", "Image Manifest", "Image Index" and
"Annotations".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from builders.image.layer_kinds import MEDIA_TYPES
from builders.image.platform import Platform

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"

LAYER_TYPES: Final = frozenset(MEDIA_TYPES.values())
"""What a layer of an image of ours can be."""

REFERENCE_NAME: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"
COMPRESSOR: Final = "dev.longshore.layer.compressor"
"""The key of ours: what the bytes of a layer depend on beside its content."""


@dataclass(frozen=True)
class Descriptor:
    """A blob: its media type, digest ("sha256:" and hexadecimal digits) and size in bytes.

    `platform` is of an image in an index.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    @property
    def hexadecimal(self) -> str:
        """The digits of the digest."""
        return self.digest.removeprefix("sha256:")

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as JSON's types."""
        data: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            data["annotations"] = dict(self.annotations)
        if self.platform:
            data["platform"] = self.platform.to_json()
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Descriptor":
        """Return the descriptor of a layer that `to_json` wrote."""
        return Descriptor(
            media_type=data["mediaType"],
            digest=data["digest"],
            size=data["size"],
            annotations=data.get("annotations", {}),
        )


def descriptor_of(data: bytes, media_type: str, **others: Any) -> Descriptor:
    """Return the descriptor of the blob `data`; `others` are fields of it."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Descriptor(media_type=media_type, digest=digest, size=len(data), **others)
