"""Write the image of a plan to stdout, as buildLayeredImage writes it to its output.

write_image.py PLAN COMPRESSOR [LEVEL]
"""

import os
import pathlib
import sys

from builders.compression.produce import compress_output
from builders.formats.image_stream import stream_image
from builders.image.plan import plan_from_json


def main() -> None:
    """Write it."""
    plan = plan_from_json(pathlib.Path(sys.argv[1]).read_text())
    compress_output(
        lambda output: stream_image(plan, output),
        sys.stdout.buffer,
        compressor=sys.argv[2],
        level=int(sys.argv[3]) if sys.argv[3:] else None,
        threads=len(os.sched_getaffinity(0)),
    )


if __name__ == "__main__":
    main()
