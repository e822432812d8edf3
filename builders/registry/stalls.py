"""Ending a program that waits for what never comes.

skopeo waits for ever where a registry takes a request and says nothing more, or where a
connection goes dead without a word.
"""

import subprocess
import threading
from types import TracebackType
from typing import Final, Self

_LOOKS: Final = 8
"""How often in the time of its patience a watch looks."""


class StallWatch:
    """Kills `process` once it has neither read nor written a byte for `patience` seconds.

    To be used in a `with` block, after which `stalled` says whether it did.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, patience: float) -> None:
        self._process = process
        self._patience = patience
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.stalled = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        # Counted in looks, not by a clock: nothing moves while all of it is suspended.
        moved, quiet = _bytes_moved(self._process.pid), 0
        while moved is not None and not self._over.wait(self._patience / _LOOKS):
            before, moved = moved, _bytes_moved(self._process.pid)
            quiet = quiet + 1 if moved == before else 0
            if quiet == _LOOKS:
                self.stalled = True
                self._process.kill()
                return


def _bytes_moved(pid: int) -> int | None:
    """Return how many bytes a process has read and written, files and sockets together.

    None where the process is gone, or hidden. The format is that of Linux's proc(5).
    """
    try:
        with open(f"/proc/{pid}/io") as file:
            counts = dict(line.split(": ") for line in file)
        return int(counts["rchar"]) + int(counts["wchar"])
    except OSError:
        return None
