"""What stays open from one layer of an image to the next: helper processes, and archives."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from builders.layers.archived import ArchiveReader
from builders.layers.helpers import Helpers
from builders.tar.sinks import LEAVE_ALONE


class Resources:
    """What layers are written with; a context manager, which closes all of it.

    `helpers` are processes that write entries of store paths, and `threads` compress where that is
    to be done. `places` are where paths lie, under their last names, that are not where they should
    be. `hint` says what to do about a file that is missing or not what it was when the image was
    planned.
    """

    def __init__(
        self,
        *,
        helpers: int,
        threads: int = 1,
        hint: str = LEAVE_ALONE,
        places: Mapping[str, str] | None = None,
    ) -> None:
        """At most `helpers` processes are started, and none where nothing needs them."""
        self.threads = threads
        self._places = {} if places is None else places
        self.hint = hint
        self._opened = ExitStack()
        self.helpers = self._opened.enter_context(Helpers(helpers))
        self._archives: dict[str, ArchiveReader] = {}

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self._opened.close()

    def place(self, path: str) -> str:
        """Return where `path` lies, or what it is in."""
        for outer, place in self._places.items():
            if path == outer or path.startswith(f"{outer}/"):
                return place + path[len(outer) :]
        return path

    def archive(self, path: str, compression: str) -> ArchiveReader:
        """Return the archive at `path`, the same each time."""
        if path not in self._archives:
            reader = ArchiveReader(self.place(path), compression, what=f"base image {path}")
            self._archives[path] = self._opened.enter_context(reader)
        return self._archives[path]
