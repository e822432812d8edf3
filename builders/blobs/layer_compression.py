"""How an image's own layers are compressed where they are blobs.

Layers of a base image keep what they came with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from builders.blobs.descriptors import COMPRESSOR
from builders.compression.compress import COMPRESSOR_LEVELS
from builders.compression.members import MemberFormat, Members
from builders.compression.streams import GZIP, NONE, ZSTD
from builders.console.errors import die
from builders.image.layer_kinds import MEDIA_TYPES, BaseLayer, Layer
from builders.tar.sinks import Sink

DEFAULT_LAYER_LEVELS: Final = {"gz": 1, "zstd": 3}
"""libdeflate's 1 makes about as many bytes as skopeo does where it is told nothing, and is the
fastest; 3 is zstd's own."""

_STREAMS: Final = {"none": NONE, "gz": GZIP, "zstd": ZSTD}


@dataclass(frozen=True)
class LayerCompression:
    """A compressor and its level, both of builders.compression.compress.

    The level is None where the compressor has none, and there stands for its usual one.
    """

    compressor: str
    level: int | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for what there is none of."""
        if self.compressor not in COMPRESSOR_LEVELS:
            raise ValueError(f"unknown compressor {self.compressor}")
        if self.level is not None and self.level not in COMPRESSOR_LEVELS[self.compressor]:
            raise ValueError(f"{self.compressor} has no level {self.level}")

    @property
    def format(self) -> MemberFormat | None:
        """The format of the compressed pieces, None where nothing is compressed."""
        if self.compressor == "none":
            return None
        return MemberFormat(self.compressor, self.level or DEFAULT_LAYER_LEVELS[self.compressor])

    @property
    def stream(self) -> str:
        """The compression in the words of builders.compression.streams."""
        return _STREAMS[self.compressor]

    @property
    def annotations(self) -> dict[str, str]:
        """What the descriptor of a compressed layer says of its compressor."""
        return {COMPRESSOR: str(self.format)} if self.format else {}

    def applies_to(self, layer: Layer) -> bool:
        """Whether `layer` is compressed here, and not passed on as it lies."""
        return self.compressor != "none" and not isinstance(layer, BaseLayer)

    def media_type(self, layer: Layer) -> str:
        """Return the media type that `layer` has as a blob; raises `UserError` if there is none."""
        if self.applies_to(layer):
            return MEDIA_TYPES[self.stream]
        if layer.blob.media_type is None:
            die(
                f"a layer of the base image ({', '.join(layer.needs)}) is compressed with what the "
                "OCI image specification doesn't know",
                hint="make the base image again with layers in gzip or zstd, or with plain ones, "
                "for example with 'skopeo copy'",
            )
        return layer.blob.media_type


class CompressingSink(Sink):
    """Compresses what it takes, with the threads of `members`, into `target`.

    `target` gets the compressed pieces as they become ready, in order, and is complete once
    `members` has finished. Several sinks may be written one after the other without that: the
    threads then go from one to the next.
    """

    wants_help = False
    """All cores compress, and are slower at it than the tar is made."""

    def __init__(self, members: Members, target: Callable[[bytes], object]) -> None:
        self.size = 0
        self._members = members
        self._target = target
        self._missing = members.format.size
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self.size += len(data)
        if len(data) < self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            return
        view = memoryview(data)
        while len(view) >= self._missing:
            self._parts.append(bytes(view[: self._missing]))
            view = view[self._missing :]
            self._pass_on()
        if view:
            self._parts.append(bytes(view))
            self._missing -= len(view)

    def finish(self) -> None:
        """Pass on the last piece; an empty stream is one empty piece."""
        if self._parts or not self.size:
            self._pass_on()

    def _pass_on(self) -> None:
        self._members.add(b"".join(self._parts), self._target)
        self._parts = []
        self._missing = self._members.format.size
