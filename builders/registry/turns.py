"""Turns at something that can only be read forwards, such as a compressed archive."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets one thread read at a time: of those that wait, the one that wants what comes next."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[int] = []
        self._position = 0
        self._busy = False

    @contextmanager
    def turn(self, position: int) -> Iterator[None]:
        """Wait until what begins at `position` is to be read, and let nobody else read."""
        with self._condition:
            self._waiting.append(position)
            self._condition.wait_for(lambda: not self._busy and position == self._next())
            self._waiting.remove(position)
            self._busy = True
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._position = position
                self._condition.notify_all()

    def _next(self) -> int:
        """Return the nearest position ahead, or else the first of all, for a new start."""
        ahead = [position for position in self._waiting if position >= self._position]
        return min(ahead or self._waiting)
