"""What the layers of an image are once they are compressed: digests and sizes, as JSON.

To know them is all that costs time where an image is to be named by its digest, and they are the
same on each machine. So they are found once, and kept without the bytes. The JSON is an object with
`version`, `compressor`, `level` (null where it has none), `time` (what stands for the current time
in the image, in seconds since 1970; null where nothing does) and `layers`: a descriptor for each
layer of the image, the lowest first.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.blobs.descriptors import Descriptor
from builders.blobs.layer_compression import CompressingSink, LayerCompression
from builders.blobs.source import Blob, FileContent, LayerContent
from builders.compression.members import MemberFormat, Members
from builders.console.errors import writing
from builders.console.progress import Progress
from builders.image.layer_kinds import Layer
from builders.image.plan import Plan
from builders.layers.resources import Resources
from builders.tar.sinks import LEAVE_ALONE

_VERSION: Final = 1


@dataclass(frozen=True)
class CompressedLayers:
    """The layers of an image as blobs; `time` is in seconds since 1970, or None."""

    compression: LayerCompression
    time: int | None
    layers: tuple[Descriptor, ...]

    def to_json(self) -> str:
        """Return the JSON that the module's documentation describes."""
        format_ = self.compression.format
        data = {
            "version": _VERSION,
            "compressor": self.compression.compressor,
            "level": format_.level if format_ else None,
            "time": self.time,
            "layers": [layer.to_json() for layer in self.layers],
        }
        return json.dumps(data, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> "CompressedLayers":
        """Return what `to_json` wrote; raises `ValueError` for another version."""
        data = json.loads(text)
        if data["version"] != _VERSION:
            raise ValueError(f"blobs of version {data['version']}, expected {_VERSION}")
        return CompressedLayers(
            compression=LayerCompression(data["compressor"], data["level"]),
            time=data["time"],
            layers=tuple(map(Descriptor.from_json, data["layers"])),
        )

    def blobs(self, plan: Plan) -> list[Blob]:
        """Return the layers of `plan`, whose times are resolved, as blobs."""
        return [
            Blob(descriptor, LayerContent(layer, self.compression))
            for layer, descriptor in zip(plan.layers, self.layers, strict=True)
        ]


def compress_layers(
    plan: Plan,
    compression: LayerCompression,
    *,
    jobs: int,
    directory: str | None = None,
    hint: str = LEAVE_ALONE,
) -> list[Blob]:
    """Compress the layers of `plan`, whose times are resolved, and return them as blobs.

    `jobs` threads do it; the bytes don't depend on how many. With `directory` each compressed layer
    becomes a file in it that is named by the hexadecimal digits of its digest. Else no byte is
    kept, and who writes the blob compresses again. Raises `UserError` where a file is missing or
    has changed; `hint` says what to do about it.
    """
    # First, since it refuses layers that can be no blobs.
    media_types = [compression.media_type(layer) for layer in plan.layers]
    format_ = compression.format
    own = {layer.diff_id: layer for layer in plan.layers if compression.applies_to(layer)}
    made: dict[str | None, CompressedBlob] = {}
    if format_:
        made = compress_each(list(own.values()), format_, jobs=jobs, directory=directory, hint=hint)

    def blob(layer: Layer, media_type: str) -> Blob:
        content = LayerContent(layer, compression)
        if not compression.applies_to(layer):
            return Blob(Descriptor(media_type, layer.blob.digest, layer.blob.size), content)
        found = made[layer.diff_id]
        return Blob(
            Descriptor(media_type, f"sha256:{found.digest}", found.size, compression.annotations),
            FileContent(found.path, found.size) if found.path else content,
        )

    return [blob(*pair) for pair in zip(plan.layers, media_types, strict=True)]


def compress_each(
    layers: Sequence[Layer],
    format_: MemberFormat,
    *,
    jobs: int,
    directory: str | None,
    hint: str,
) -> "dict[str | None, CompressedBlob]":
    """Compress `layers` in `format_`, and return what each becomes, by diff ID.

    `jobs`, `directory` and `hint` are as in `compress_layers`.
    """
    made: dict[str | None, CompressedBlob] = {}
    progress = Progress(
        total=sum(layer.size or 0 for layer in layers), layers=len(layers), moving=False
    )
    with Members(format_, jobs) as members, Resources(helpers=0, hint=hint) as resources:
        for number, layer in enumerate(layers, 1):
            progress.layer(f"Compressing layer {number} of {len(layers)}")
            path = os.path.join(directory, f"{number}.part") if directory else None
            target = made[layer.diff_id] = CompressedBlob(path)
            sink = CompressingSink(members, target.write)
            layer.write(sink, resources)
            sink.finish()
        members.finish()
    for target in made.values():
        target.finish()
    return made


class CompressedBlob:
    """Hashes and counts a compressed layer, and writes it to a file where there is a `path`."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._file: int | None = None
        if path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with writing(path):
                self._file = os.open(path, flags, 0o644)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.size += len(data)
        if self._file is not None and self.path:
            with writing(self.path):
                view = memoryview(data)
                while view:
                    view = view[os.write(self._file, view) :]

    def finish(self) -> None:
        """Close the file, and name it by the digest."""
        if self._file is not None and self.path:
            os.close(self._file)
            final = os.path.join(os.path.dirname(self.path), self.digest)
            os.rename(self.path, final)
            self.path = final
