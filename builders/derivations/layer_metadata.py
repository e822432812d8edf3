"""Makes `passthru.layer` of buildImage's images: the layer, and a configuration beside it.

The output is a directory with `layer.tar` and `checksum`, which are links to the layer's own,
`json` (architecture, configuration, date and operating system) and `VERSION`, which is `1.0`. It is
a derivation by itself, so that another configuration makes no other layer.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from builders.derivations import arguments
from builders.image.platform import LINUX


@dataclass(frozen=True)
class Arguments:
    """What layer_metadata takes, in the names of buildImage's attributes.

    `layer` is the output of single_layer.
    """

    architecture: str
    config: dict[str, Any] | None
    created: str
    layer: str


def main(_: list[str]) -> None:
    """Write the directory to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    document = {
        "architecture": given.architecture,
        "config": given.config,
        "created": given.created,
        "os": LINUX,
    }
    os.mkdir(build.out)
    for name in ("layer.tar", "checksum"):
        os.symlink(os.path.join(given.layer, name), os.path.join(build.out, name))
    with open(os.path.join(build.out, "json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    with open(os.path.join(build.out, "VERSION"), "w", encoding="ascii") as file:
        file.write("1.0")
