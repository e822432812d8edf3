"""Makes `passthru.blobs`: what the layers of an image are once they are compressed.

The output is the JSON of builders.blobs.compressed_layers; the compressed bytes are not kept.
"""

import time
from dataclasses import dataclass

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.console.errors import writing
from builders.derivations import arguments
from builders.image.plan import plan_from_json
from builders.remedies import CHECK_STORE


@dataclass(frozen=True)
class Arguments:
    """What compressed_layers takes: the image `plan`, name and level of the `compressor`."""

    plan: str
    compressor: str
    compression_level: int | None


def main(_: list[str]) -> None:
    """Write the JSON to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    compression = LayerCompression(given.compressor, given.compression_level)
    with open(given.plan, encoding="utf-8") as file:
        plan = plan_from_json(file.read())
    now = int(time.time()) if plan.has_now else None
    plan = plan.resolve(jobs=build.cores, hint=CHECK_STORE, now=now)
    layers = compress_layers(plan, compression, jobs=build.cores, hint=CHECK_STORE)
    made = CompressedLayers(
        compression=compression,
        time=now,
        layers=tuple(layer.descriptor for layer in layers),
    )
    with writing(build.out), open(build.out, "w", encoding="utf-8") as output:
        output.write(made.to_json())
