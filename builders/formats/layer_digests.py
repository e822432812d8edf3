"""The digests of layers."""

from dataclasses import dataclass

from builders.compression.readers import CHUNK, HashingReader, Peekable, Reader
from builders.compression.streams import MAGIC_LENGTH, NONE, Decompressed, detect
from builders.console.errors import UserError


@dataclass(frozen=True)
class LayerDigest:
    """What a layer hashes to.

    `blob` is the hexadecimal SHA-256 of its bytes as they are stored, `diff` that of the
    uncompressed tar, which has `size` bytes; `compression` is one of
    builders.compression.streams.
    """

    blob: str
    diff: str
    size: int
    compression: str


def digest_layer(source: Reader, *, what: str) -> LayerDigest:
    """Hash the layer that `source` holds, itself compressed or not; `what` names it in errors.

    Raises `LayerError` where it is compressed and cut off or damaged.
    """
    blob = HashingReader(source)
    peekable = Peekable(blob)
    compression = detect(peekable.peek(MAGIC_LENGTH))
    if compression == NONE:
        while peekable.read(CHUNK):
            pass
        return LayerDigest(blob=blob.digest(), diff=blob.digest(), size=blob.size, compression=NONE)
    inner = Decompressed(peekable, compression, what=what)
    layer = HashingReader(inner)
    try:
        while layer.read(CHUNK):
            pass
    except UserError as error:
        if error is inner.error:
            raise LayerError(error.message, hint=error.hint) from None
        raise
    return LayerDigest(
        blob=blob.digest(), diff=layer.digest(), size=layer.size, compression=compression
    )


class LayerError(UserError):
    """A layer is damaged, while the archive around it may be whole."""
