"""Processes that write entries of a store layer beside the one that streams or hashes it.

Closures have many small files, and each takes microseconds in the interpreter.
So the walk over a layer is cut into batches; the main process writes some
itself, and helpers write the others into pipes, from which they go on to the
reader of a stream without passing through this process. Large files are only named: the
main process copies them.
"""

import marshal
import os
import signal
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NoReturn

from builders.console.errors import UserError, die
from builders.tar.entries import EntryWriter, Group
from builders.tar.header import Stamp
from builders.tar.sinks import FileSink, HashSink, copy_file, enlarge_pipe

_BATCH: Final = 256
"""Entries in a helper's batch."""
_OWN_BATCH: Final = 160
"""Entries in one of the main process, which also walks and collects."""
_NAMES: Final = 12 << 10
"""Bytes of names in a batch: two of them fit any pipe, so that nobody waits for each other."""
_MOST: Final = 3
"""Helpers at most: walking the directories, one process can't keep more of them busy."""

_DATA: Final = 0
_COPY: Final = 1
_END: Final = 2
_ERROR: Final = 3
_HEADER: Final = struct.Struct("=BQ")
"""Before each piece that a helper writes: what it is, and how many bytes follow."""


class Helpers:
    """Helper processes for one layer after the other; a context manager, which ends them."""

    def __init__(self, count: int, *, stamp: Stamp) -> None:
        """At most `count` helpers write entries with the owner and time of `stamp`."""
        self._count = min(count, _MOST)
        self._stamp = stamp
        self._helpers: list[_Helper] = []

    def __enter__(self) -> "Helpers":
        """Start none yet: a small image needs no help."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the helpers, whatever they are at."""
        for helper in self._helpers:
            helper.end()
        self._helpers.clear()

    def write(self, groups: Iterable[Group], writer: EntryWriter, sink: FileSink | HashSink) -> int:
        """Write the entries of `groups`, in order: with `writer`, or past it to its `sink`.

        Returns the number of bytes that went past `writer`. Raises `UserError` as `writer` does.
        """
        size = 0
        rounds = self._rounds(groups, sink)
        # With the next round given out before, a helper has work while the last is collected.
        ahead = deque(islice(rounds, 1))
        while ahead:
            ahead.extend(islice(rounds, 1))
            own, helpers = ahead.popleft()
            for group in own:
                writer.add(group)
            for helper in helpers:
                writer.flush()
                size += helper.collect(sink)
        return size

    def _rounds(
        self, groups: Iterable[Group], sink: FileSink | HashSink
    ) -> "Iterator[tuple[list[Group], list[_Helper]]]":
        """Yield what to write oneself, and the helpers that write what comes then."""
        batches = _Batches(groups)
        while own := batches.take(_OWN_BATCH):
            helpers = []
            for number in range(self._count if sink.wants_help else 0):
                batch = batches.take(_BATCH)
                if not batch:
                    break
                helpers.append(self._helper(number))
                helpers[-1].give(batch)
            yield own, helpers

    def _helper(self, number: int) -> "_Helper":
        if number == len(self._helpers):
            self._helpers.append(_Helper(self._stamp, self._helpers))
        return self._helpers[number]


class _Batches:
    """Groups, cut into batches."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = iter(groups)
        self._rest: Group | None = None

    def take(self, entries: int) -> list[Group]:
        """Return the next groups, with about so many `entries`; none at the end."""
        batch: list[Group] = []
        room = _NAMES
        while entries > 0 and room > 0:
            group = self._rest or next(self._groups, None)
            self._rest = None
            if group is None:
                break
            if len(group.names) > entries:
                group, self._rest = _split(group, entries)
            batch.append(group)
            entries -= len(group.names)
            room -= len(group.prefix) + sum(map(len, group.names))
        return batch


def _split(group: Group, count: int) -> tuple[Group, Group]:
    """Return the first `count` entries of `group`, and the others."""
    return (
        Group(group.prefix, group.names[:count], group.regular[:count]),
        Group(group.prefix, group.names[count:], group.regular[count:]),
    )


class _Helper:
    """One helper process, from the side of the main one."""

    def __init__(self, stamp: Stamp, others: "list[_Helper]") -> None:
        jobs, self._jobs = os.pipe()
        self._output, output = os.pipe()
        enlarge_pipe(output)
        self._process = os.fork()
        if self._process == 0:
            for helper in (*others, self):
                helper.close()
            _work(jobs, output, stamp)
        os.close(jobs)
        os.close(output)

    def give(self, batch: list[Group]) -> None:
        """Have the helper write `batch`; it may have two of them at once."""
        data = marshal.dumps([(group.prefix, group.names, group.regular) for group in batch])
        try:
            _send(self._jobs, _DATA, data)
        except BrokenPipeError:
            _killed()

    def collect(self, sink: FileSink | HashSink) -> int:
        """Write the next batch to `sink`; return its size in bytes."""
        sink.flush()
        before = sink.written
        while True:
            kind, size = _HEADER.unpack(self._read(_HEADER.size))
            if kind == _END:
                return sink.written - before
            if kind == _DATA:
                if not sink.splice(self._output, size):
                    _killed()
                continue
            content = marshal.loads(self._read(size))
            if kind == _ERROR:
                message, hint = content
                raise UserError(message, hint=hint)
            copy_file(sink, *content)

    def close(self) -> None:
        """Close this side of the pipes, by which the helper knows that it is done."""
        os.close(self._jobs)
        os.close(self._output)

    def end(self) -> None:
        """Wait until the helper is gone."""
        self.close()
        os.waitpid(self._process, 0)

    def _read(self, size: int) -> bytes:
        data = _read_all(self._output, size)
        if len(data) < size:
            _killed()
        return data


def _killed() -> NoReturn:
    die(
        "a helper process was killed",
        hint="see whether the machine has memory enough, and run it again",
    )


def _work(jobs: int, output: int, stamp: Stamp) -> NoReturn:
    """Be a helper, until the main process has no more jobs."""
    # Ctrl-C is for the main process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        writer = EntryWriter(_PipeSink(output), stamp)
        while header := _read_all(jobs, _HEADER.size):
            batch = marshal.loads(_read_all(jobs, _HEADER.unpack(header)[1]))
            try:
                for prefix, names, regular in batch:
                    writer.add(Group(prefix, names, regular))
                writer.flush()
            except UserError as error:
                _send(output, _ERROR, marshal.dumps((error.message, error.hint)))
                break
            _send(output, _END, b"")
        status = 0
    except BrokenPipeError:
        # The main process is gone, and has said why.
        pass
    finally:
        os._exit(status)


class _PipeSink:
    """Writes pieces, each with a header, for `_Helper.collect`."""

    copy_from = FileSink.copy_from

    def __init__(self, fd: int) -> None:
        self.written = 0
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Take `data`."""
        if data:
            _send(self._fd, _DATA, data)

    def copy(self, file: int, size: int, path: str) -> None:
        """Leave the file to the main process."""
        _send(self._fd, _COPY, marshal.dumps((path, size)))


def _send(fd: int, kind: int, data: bytes) -> None:
    rest = memoryview(_HEADER.pack(kind, len(data)) + data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read_all(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while data and len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data
