"""A streamer as one writes it with the standard library: what Longshore is measured against.

    tarfile_streamer.py PLAN > image.tar

Each layer is made twice with tarfile, once for its digest and size and once
for the output, as nixpkgs' streamer does it.
"""

import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import threading
from typing import Any, BinaryIO


class Counter(io.RawIOBase):
    """Hashes and counts what is written to it."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Take `data`."""
        self.hash.update(data)
        self.size += len(data)
        return len(data)


def write_layer(layer: dict[str, Any], target: Any) -> None:
    """Write the store-path layer `layer` of a plan to `target`."""

    def stamped(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid = layer["mtime"], layer["uid"], layer["gid"]
        info.uname, info.gname = layer["uname"], layer["gname"]
        return info

    with tarfile.open(fileobj=target, mode="w|") as archive:
        for name in ("/nix", "/nix/store"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(stamped(info))
        for path in layer["paths"]:
            below = pathlib.Path(path).rglob("*") if os.path.isdir(path) else ()
            for file in sorted([pathlib.Path(path), *below]):
                info = stamped(archive.gettarinfo(file))
                info.name = str(file)
                if info.islnk():
                    info.type, info.size = tarfile.REGTYPE, file.stat().st_size
                if info.isreg():
                    with open(file, "rb") as source:
                        archive.addfile(info, source)
                else:
                    archive.addfile(info)


def add_layer(archive: tarfile.TarFile, layer: dict[str, Any]) -> None:
    """Add the store-path layer `layer` of a plan to the image `archive`."""
    counter = Counter()
    write_layer(layer, counter)
    info = tarfile.TarInfo(f"{counter.hash.hexdigest()}/layer.tar")
    info.size = counter.size
    reader, writer = os.pipe()

    def fill() -> None:
        with open(writer, "wb") as target:
            write_layer(layer, target)

    thread = threading.Thread(target=fill)
    thread.start()
    source: BinaryIO
    with open(reader, "rb") as source:
        archive.addfile(info, source)
    thread.join()


def main() -> None:
    """Stream the store layers of a plan."""
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for layer in plan["layers"]:
            if layer["kind"] == "store-paths":
                add_layer(archive, layer)


if __name__ == "__main__":
    main()
