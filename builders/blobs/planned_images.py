"""Images as those are told of them who make blobs: the plan, and what is to be done with it."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from builders.blobs.compressed_layers import CompressedLayers
from builders.blobs.layer_compression import LayerCompression
from builders.image.plan import Plan, plan_from_json

_GZIP: Final = b"\x1f\x8b"


def read_plan(path: str) -> Plan:
    """Return the plan in the file at `path`, which may be compressed with gzip."""
    with open(path, "rb") as file:
        data = file.read()
    return plan_from_json((gzip.decompress(data) if data[:2] == _GZIP else data).decode())


@dataclass(frozen=True)
class PlannedImage:
    """An image of the `plan`, called `name` in messages.

    Its own layers are compressed with `compressor` at `compression_level`, and its manifest has
    `annotations`. `blobs` is the file of builders.blobs.compressed_layers, or None.
    """

    name: str
    plan: str
    compressor: str
    compression_level: int | None
    annotations: Mapping[str, str]
    blobs: str | None = None

    @property
    def compression(self) -> LayerCompression:
        """How layers are compressed."""
        return LayerCompression(self.compressor, self.compression_level)

    def known(self) -> CompressedLayers | None:
        """Return what is known of the compressed layers."""
        if self.blobs is None:
            return None
        with open(self.blobs, encoding="utf-8") as file:
            return CompressedLayers.from_json(file.read())

    def resolved(self, *, jobs: int, hint: str) -> Plan:
        """Return the plan; where the time of the build is in it, that of `blobs`.

        `jobs` and `hint` are as in `Plan.resolve`.
        """
        plan = read_plan(self.plan)
        known = self.known()
        return plan.resolve(jobs=jobs, hint=hint, now=known.time if known else None)
