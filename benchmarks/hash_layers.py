"""Hash all store layers of an image plan.

    hash_layers.py PLAN one      in one process, one thing after the other
    hash_layers.py PLAN all      as planning does it, on all cores
    hash_layers.py PLAN bare     not at all: as many bytes as the largest has, from memory

The first two fail where a digest is not the plan's.
"""

import hashlib
import os
import pathlib
import sys
from dataclasses import replace

from builders.closure.graph import StorePath
from builders.image.layer_kinds import StoreLayer
from builders.image.layering import hash_layers
from builders.image.plan import plan_from_json
from builders.layers.store_paths import write_store_layer
from builders.tar.sinks import Sink


class PlainSink(Sink):
    """Hashes what it is given, then and there."""

    copy_from = 1 << 20

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self.hash.update(data)


def main() -> None:
    """Hash, and compare."""
    plan = plan_from_json(pathlib.Path(sys.argv[1]).read_text())
    planned = [layer for layer in plan.layers if isinstance(layer, StoreLayer)]
    expected = [layer.diff_id for layer in planned]
    if sys.argv[2] == "bare":
        # No two cores can hash one layer: it can't be planned in less time than this takes.
        data = bytes(1 << 20)
        sha256 = hashlib.sha256()
        for _ in range(max(layer.size or 0 for layer in planned) >> 20):
            sha256.update(data)
        return
    if sys.argv[2] == "one":
        digests: list[str | None] = []
        for layer in planned:
            sink = PlainSink()
            write_store_layer(
                sink, layer.paths, attributes=layer.attributes, store_dir=layer.store_dir
            )
            digests.append(f"sha256:{sink.hash.hexdigest()}")
    else:
        # Planning knows sizes from the closure graph; here the layers' own stand for them.
        graph = {
            path: StorePath(path, (), nar_size=(layer.size or 0) // len(layer.paths))
            for layer in planned
            for path in layer.paths
        }
        layers = hash_layers(
            [replace(layer, diff_id=None, size=None) for layer in planned],
            graph=graph,
            jobs=len(os.sched_getaffinity(0)),
        )
        digests = [layer.diff_id for layer in layers]
    if digests != expected:
        sys.exit("the layers are not those of the plan")


if __name__ == "__main__":
    main()
