"""The image that a subcommand of longshore is about, and the machine that it is wanted on."""

import argparse
import os
import platform
from typing import Final

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""The machines of Linux in Go's words."""


def add_image(parser: argparse.ArgumentParser) -> None:
    """Add the argument `image`, but for the programs that are of one image."""
    own = os.environ.get("LONGSHORE_IMAGE")
    if own:
        parser.set_defaults(image=own)
        return
    parser.add_argument(
        "image",
        metavar="PLAN|RESULT|ARCHIVE|LAYOUT",
        help="the image: its plan, a stream script or an archive that was built, or an OCI layout",
    )


def architecture() -> str:
    """Return that of this machine, as images name it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())
