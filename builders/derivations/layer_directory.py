"""The directory that a derivation of a layer makes: `layer.tar`, and `checksum` beside it.

`checksum` holds the tar's SHA-256 in hexadecimal and a newline.
"""

import os

from builders.image.layer_kinds import TarLayer


def read_tar_layer(directory: str) -> TarLayer:
    """Return the layer in `directory`."""
    path = os.path.join(directory, "layer.tar")
    with open(os.path.join(directory, "checksum"), encoding="ascii") as file:
        digest = file.read().strip()
    return TarLayer(path=path, diff_id=f"sha256:{digest}", size=os.stat(path).st_size)
