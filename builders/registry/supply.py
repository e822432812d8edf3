"""What layers are read from, on a machine that may have to get it first."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from builders.blobs.open_images import OpenLayer


class Supply:
    """Lets the paths of a layer be there while it is read. This one finds them where they are."""

    def expect(self, layers: Sequence[OpenLayer]) -> None:
        """Take note that `layers` are going to be read, in this order."""

    @contextmanager
    def ready(self, layer: OpenLayer, *, among_others: bool = False) -> Iterator[Mapping[str, str]]:
        """Let the paths of `layer` be there, and tell where those lie that are elsewhere.

        Raises `UserError` for a path that can't be had. What is read `among_others` waits for room
        where they take much.
        """
        del layer, among_others
        yield {}
