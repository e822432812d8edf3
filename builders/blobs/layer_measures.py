"""What layers become when they are compressed, without keeping a byte of it."""

from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256

from builders.blobs.compressed_layers import CompressedBlob
from builders.blobs.descriptors import Descriptor
from builders.blobs.layer_compression import CompressingSink
from builders.blobs.open_images import OpenLayer
from builders.compression.members import MemberFormat, Members
from builders.console.errors import die
from builders.image.layer_kinds import in_reading_order
from builders.layers.resources import Resources
from builders.tar.sinks import Sink


class _Hashing(Sink):
    """Hashes what it passes on."""

    wants_help = False

    def __init__(self, target: Sink) -> None:
        self._target = target
        self._hash = sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._target.write(data)


def measure_layers(
    layers: Sequence[OpenLayer], *, threads: int, hint: str
) -> dict[str, Descriptor]:
    """Return the blob that each of `layers` becomes, by its key; `threads` compress them.

    Raises `UserError` where a file is missing, or where a layer is not the one that was planned;
    `hint` says what to do about it.
    """
    made: dict[str, tuple[OpenLayer, CompressedBlob]] = {}
    with Resources(helpers=0, hint=hint) as resources, ExitStack() as stack:
        compressing: dict[MemberFormat, Members] = {}
        for layer in in_reading_order(layers, layer_of=lambda layer: layer.content.layer):
            if layer.format is None or layer.key in made:
                continue
            if layer.format not in compressing:
                members = Members(layer.format, threads)
                compressing[layer.format] = stack.enter_context(members)
            blob = CompressedBlob(None)
            made[layer.key] = layer, blob
            target = CompressingSink(compressing[layer.format], blob.write)
            source = _Hashing(target)
            layer.content.write(source, resources)
            target.finish()
            if source.digest != layer.diff_id:
                die(
                    f"a layer of {', '.join(layer.needs[:3])} has another digest than when the "
                    "image was planned",
                    hint=hint,
                )
        for members in compressing.values():
            members.finish()
    return {
        key: layer.describe(f"sha256:{blob.digest}", blob.size)
        for key, (layer, blob) in made.items()
    }
