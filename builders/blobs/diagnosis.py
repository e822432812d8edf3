"""What to say where the files that an image is read from are not what they should be."""

from collections.abc import Collection, Sequence
from typing import Final

from builders.blobs.source import Blob
from builders.console.errors import UserError
from builders.layers.resources import Resources
from builders.tar.sinks import LEAVE_ALONE, HashSink

_NAMED: Final = 5
"""Paths of a layer that an error names."""


class Diagnosis:
    """Says it; `hint` is what to do about a file that is missing or has changed."""

    def __init__(self, hint: str = LEAVE_ALONE) -> None:
        self.hint = hint

    def changed(self, number: int, paths: Sequence[str]) -> UserError:
        """Return the failure of the `number`th layer, whose digest is another than it should be.

        It was read from `paths`.
        """
        named = self.find_changed(paths) if len(paths) > 1 else paths
        return changed_layer(number, named or paths, hint=self.hint)

    def find_changed(self, paths: Sequence[str]) -> Sequence[str]:
        """Return those of `paths` of which it is known that they have changed, none by default."""
        del paths
        return ()

    def check(self, layers: Sequence[Blob], digests: Collection[str]) -> None:
        """Raise `UserError` where one of `layers`, and of `digests`, is made of other bytes."""
        for number, blob in enumerate(layers, 1):
            layer, digest = blob.content.layer, blob.descriptor.digest
            if layer is None or digest not in digests:
                continue
            sink = HashSink()
            with Resources(helpers=0, hint=self.hint) as resources:
                blob.content.write(sink, resources)
            if f"sha256:{sink.digest()}" != digest:
                raise self.changed(number, layer.needs)


def changed_layer(number: int, paths: Sequence[str], *, hint: str) -> UserError:
    """Return the failure of the `number`th layer, which what is at `paths` has changed."""
    names = ", ".join(paths[:_NAMED])
    if len(paths) > _NAMED:
        names = f"{names} and {len(paths) - _NAMED} more"
    one = len(paths) == 1
    what = f"what is at {names} has changed" if one else f"something at {names} has changed"
    return UserError(
        f"layer {number} has another digest than the image says: {what} since", hint=hint
    )
