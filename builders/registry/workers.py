"""Threads that do what is given to them, the most urgent first, until one fails."""

import itertools
import math
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_Task = Callable[[], object]


class Workers:
    """A context manager, which waits for all that was given, or drops it after a failure.

    The threads are no reason to go on where the program ends: they may wait for a registry.
    """

    def __init__(self, count: int, *, on_failure: Callable[[], object] = lambda: None) -> None:
        """`count` threads are started when there is something for each; `on_failure` is told."""
        self._count = count
        self._on_failure = on_failure
        # None ends a thread.
        self._tasks: queue.PriorityQueue[tuple[float, int, _Task | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._left = 0
        self._threads = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Start no thread yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Wait for all tasks; raises what one of them raised."""
        try:
            if error is None:
                self.join()
                return
            first = self._error
            self._fail(error)
            # What stopped this thread may be that another one has failed.
            if first and isinstance(error, Exception):
                raise first from None
        finally:
            for _ in range(self._threads):
                self._tasks.put((math.inf, next(self._numbers), None))

    def submit(self, urgency: float, task: _Task) -> None:
        """Let `task` be done, those of more urgency before it; raises what another has raised."""
        self.check()
        with self._changed:
            self._left += 1
            start = self._threads < min(self._count, self._left)
            self._threads += start
        self._tasks.put((-urgency, next(self._numbers), task))
        if start:
            threading.Thread(target=self._work, daemon=True).start()

    def check(self) -> None:
        """Raise what a task has raised."""
        if self._error:
            raise self._error

    def join(self) -> None:
        """Wait until all is done; raises what a task raises."""
        with self._changed:
            # Now and then, so that a signal is heard.
            while not self._changed.wait_for(lambda: not self._left or self._error, timeout=1):
                pass
        self.check()

    def _work(self) -> None:
        while True:
            task = self._tasks.get()[2]
            if task is None:
                return
            try:
                if self._error is None:
                    task()
            except BaseException as error:
                self._fail(error)
            with self._changed:
                self._left -= 1
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            first = self._error is None
            self._error = self._error or error
            self._changed.notify_all()
        if first:
            self._on_failure()
