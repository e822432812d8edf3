"""Decompress a gzip file and throw its content away.

read_gzip.py FILE ours       as base images are read
read_gzip.py FILE zlib       as Python's zlib reads it
"""

import sys
import zlib

from builders.compression.readers import CHUNK
from builders.compression.streams import open_decompressed


def main() -> None:
    """Read it."""
    if sys.argv[2] == "ours":
        with open_decompressed(sys.argv[1]) as (_, reader):
            while reader.read(CHUNK):
                pass
    else:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        with open(sys.argv[1], "rb", buffering=0) as file:
            while data := file.read(CHUNK):
                inflater.decompress(data)


if __name__ == "__main__":
    main()
