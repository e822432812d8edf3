"""Tar archives written member by member: header, content, padding, and the end."""

from collections.abc import Callable

from builders.tar.header import BLOCK, Entry, end_of_archive, pax_header
from builders.tar.sinks import Sink


class TarWriter:
    """Writes the members of an archive to a sink.

    `size` counts the archive's bytes, of what was there before, too.
    """

    def __init__(
        self, sink: Sink, *, header: Callable[[Entry], bytes] = pax_header, size: int = 0
    ) -> None:
        """Go on with an archive of which the first `size` bytes, whole blocks, are in `sink`.

        `header` lays out header blocks in the archive's format.
        """
        self.size = size
        self._sink = sink
        self._header = header

    def add(self, entry: Entry, content: bytes | Callable[[], object] | None = None) -> None:
        """Add a member; `content` is its bytes, or writes `entry.size` bytes to the sink itself.

        Where `entry` has no bytes, `content` is not called.
        """
        size = entry.size
        if not callable(content):
            content = content or b""
            if len(content) != size:
                raise ValueError(f"{entry.name} has {len(content)} bytes, and not {size}")
        write = self._sink.write
        header = self._header(entry)
        write(header)
        added = len(header)
        if size:
            if callable(content):
                content()
            else:
                write(content)
            rest = -size % BLOCK
            if rest:
                write(bytes(rest))
            added += size + rest
        self.size += added

    def count(self, size: int) -> None:
        """Count `size` bytes, whole members, that went to the sink past this writer."""
        self.size += size

    def finish(self) -> None:
        """Add the end of the archive. Nothing is added behind it."""
        end = end_of_archive(self.size)
        self._sink.write(end)
        self.size += len(end)
