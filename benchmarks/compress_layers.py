"""Find out what the layers of a plan are once they are compressed, as the derivation `blobs` does.

compress_layers.py PLAN COMPRESSOR
"""

import os
import pathlib
import sys

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.image.plan import plan_from_json


def main() -> None:
    """Print the JSON."""
    plan = plan_from_json(pathlib.Path(sys.argv[1]).read_text())
    compression = LayerCompression(sys.argv[2])
    layers = compress_layers(plan, compression, jobs=len(os.sched_getaffinity(0)))
    descriptors = tuple(layer.descriptor for layer in layers)
    sys.stdout.write(CompressedLayers(compression, None, descriptors).to_json())


if __name__ == "__main__":
    main()
