"""Attempts at sending a blob: how many there are, the bodies of each, and what is told of them."""

from collections.abc import Callable, Iterator

from builders.console.errors import UserError
from builders.registry.answers import Answer
from builders.registry.bodies import Bytestream
from builders.registry.client import Client, Payload

OnSent = Callable[[int], object]
"""Is told bytes that went out, and with a negative number of those that have to go again."""


class Attempts:
    """Counts the attempts at one blob."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._made = 0

    def failed(
        self, said: str, failure: UserError, answer: Answer | None = None, most: int | None = None
    ) -> None:
        """Wait before the next attempt; raise `failure` where there have been enough."""
        pauses = self._client.pauses
        if self._made >= (len(pauses) if most is None else most):
            raise failure
        pause = pauses[min(self._made, len(pauses) - 1)]
        self._made += 1
        self._client.pause(said, self._client.wait_after(answer, pause) if answer else pause)


class Transmission:
    """One attempt at a blob: its bodies, and what is told of them."""

    def __init__(self, blob: Bytestream, on_sent: OnSent) -> None:
        self.blob = blob
        self._on_sent = on_sent
        self._sent = 0
        self._pieces: Iterator[bytes] = iter(())
        self._rest = b""
        self._position = -1
        """Where in the blob the rest begins, which the pieces follow."""

    def whole(self, offset: int = 0) -> Payload:
        """Return the body from `offset` on."""
        return Payload(self.blob.size - offset, lambda: self._told(self.blob.read(offset), 0))

    def part(self, start: int, size: int) -> Payload:
        """Return the body of `size` bytes from `start` on; of any size, none of it is held.

        The blob is read onwards from part to part, and again only where a part is sent again.
        """
        return Payload(size, lambda: self._told(self._read(start, size), start))

    def undo(self) -> None:
        """Take back what was told: it has to go again."""
        self._tell(0)

    def close(self) -> None:
        """Read no more."""
        close = getattr(self._pieces, "close", None)
        if close:
            close()

    def _read(self, start: int, size: int) -> Iterator[bytes]:
        if start != self._position:
            self.close()
            self._pieces, self._rest, self._position = self.blob.read(start), b"", start
        end = start + size
        while self._position < end:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                return
            taken = piece[: end - self._position]
            self._rest = piece[len(taken) :]
            self._position += len(taken)
            yield taken

    def _told(self, pieces: Iterator[bytes], begin: int) -> Iterator[bytes]:
        self._tell(begin)
        for piece in pieces:
            yield piece
            self._tell(self._sent + len(piece))

    def _tell(self, sent: int) -> None:
        """Say that `sent` bytes have gone, of what is sent in all."""
        difference, self._sent = sent - self._sent, sent
        if difference:
            self._on_sent(difference)
