"""One process that writes entries of a store layer for another one, and what they tell each other.

Jobs come in by one pipe, and what is written goes out by another, from which it gets to the
reader of a stream without passing through the main process; or, where it is to
be hashed, through memory of both. Large files are only named: the main process copies them.
"""

import marshal
import mmap
import os
import select
import signal
import struct
from collections import deque
from collections.abc import Iterable
from typing import Final, NoReturn

from builders.console.errors import UserError, die
from builders.layers.entries import EntryWriter, Group
from builders.tar.header import Stamp
from builders.tar.sinks import FileSink, HashSink, copy_file, enlarge_pipe

_DATA: Final = 0
_SHARED: Final = 1
_COPY: Final = 2
_END: Final = 3
_ERROR: Final = 4
_HEADER: Final = struct.Struct("=BQ")
"""Before each piece that a helper writes: what it is, and its size in bytes."""
_SLOT: Final = 1 << 22
"""Bytes of shared memory for one batch: more than nearly all of them take."""


class HelperProcess:
    """A helper process, from the side of the main one."""

    def __init__(
        self, stamp: Stamp, others: "Iterable[HelperProcess]", *, shares_memory: bool
    ) -> None:
        """Start it. The pipes of `others` are not for it."""
        self._memory = _SharedMemory() if shares_memory else None
        jobs, self._jobs = os.pipe()
        self._output, output = os.pipe()
        enlarge_pipe(output)
        self._process = os.fork()
        if self._process == 0:
            for helper in (*others, self):
                helper.close()
            _work(jobs, _PipeSink(output, self._memory), stamp)
        os.close(jobs)
        os.close(output)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        # A helper that waits for its output to be read takes no job: nobody may wait for that.
        os.set_blocking(self._jobs, False)
        self._room = select.poll()
        self._room.register(self._jobs, select.POLLOUT)
        self._unsent: deque[memoryview] = deque()
        self._batches = 0

    def give(self, batch: list[Group]) -> None:
        """Have the helper write `batch`; it may have two of them at once."""
        data = marshal.dumps([(group.prefix, group.names, group.regular) for group in batch])
        self._unsent.append(memoryview(_HEADER.pack(_DATA, len(data)) + data))
        self._batches += 1
        self._send_jobs(most=self._batches)

    def is_ready(self) -> bool:
        """Whether there is something to collect already."""
        return bool(self._poll.poll(0))

    def collect(self, sink: FileSink | HashSink) -> int:
        """Write the next batch to `sink`; return its size in bytes."""
        sink.flush()
        # Of the batches before, all is read: the helper waits for this one and takes it.
        self._send_jobs(most=self._batches - 1)
        before = sink.written
        while True:
            kind, size = _HEADER.unpack(self._read(_HEADER.size))
            if kind == _END:
                if self._memory:
                    self._memory.next_batch()
                self._batches -= 1
                return sink.written - before
            if kind == _SHARED and self._memory and isinstance(sink, HashSink):
                sink.write(self._memory.get(size))
                continue
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

    def _send_jobs(self, *, most: int) -> None:
        """Send what the helper has room for; wait where more than `most` batches are unsent."""
        while self._unsent:
            data = self._unsent[0]
            try:
                count = os.write(self._jobs, data)
            except BlockingIOError:
                if len(self._unsent) <= most:
                    return
                self._room.poll()
            except BrokenPipeError:
                _killed()
            else:
                if count == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = data[count:]

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


class _SharedMemory:
    """Memory of the main process and a helper: room for two batches, which take turns.

    When the helper begins one, the one before the last has been collected.
    """

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, 2 * _SLOT))
        self._start = 0
        self._end = 0

    def put(self, data: bytes) -> bool:
        """Add `data` to the batch; return False where there is no room for it."""
        end = self._end + len(data)
        if end > self._start + _SLOT:
            return False
        self._memory[self._end : end] = data
        self._end = end
        return True

    def get(self, size: int) -> memoryview:
        """Return the next `size` bytes of the batch."""
        start = self._end
        self._end += size
        return self._memory[start : self._end]

    def next_batch(self) -> None:
        """Go on with the other half."""
        self._start = self._end = 0 if self._start else _SLOT


def _work(jobs: int, sink: "_PipeSink", stamp: Stamp) -> NoReturn:
    """Be a helper, until the main process has no more jobs."""
    # Ctrl-C is for the main process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        writer = EntryWriter(sink, stamp)
        while header := _read_all(jobs, _HEADER.size):
            batch = marshal.loads(_read_all(jobs, _HEADER.unpack(header)[1]))
            try:
                for prefix, names, regular in batch:
                    writer.add(Group(prefix, names, regular))
                writer.flush()
            except UserError as error:
                sink.fail(error)
                break
            sink.end()
        status = 0
    except BrokenPipeError:
        # The main process is gone, and has said why.
        pass
    finally:
        os._exit(status)


class _PipeSink:
    """Writes pieces, each with a header, for `HelperProcess.collect`.

    What finds room there goes through `memory`, and only its size through the pipe.
    """

    def __init__(self, fd: int, memory: _SharedMemory | None) -> None:
        self.written = 0
        self.copy_from = HashSink.copy_from if memory else FileSink.copy_from
        self._fd = fd
        self._memory = memory
        self._shared = 0

    def write(self, data: bytes) -> None:
        """Take `data`."""
        if self._memory and self._memory.put(data):
            self._shared += len(data)
        elif data:
            self._flush()
            _send(self._fd, _DATA, data)

    def copy(self, file: int, size: int, path: str) -> None:
        """Leave the file to the main process."""
        self._flush()
        _send(self._fd, _COPY, marshal.dumps((path, size)))

    def end(self) -> None:
        """End a batch."""
        self._flush()
        _send(self._fd, _END, b"")
        if self._memory:
            self._memory.next_batch()

    def fail(self, error: UserError) -> None:
        """Give the main process `error` to raise."""
        self._flush()
        _send(self._fd, _ERROR, marshal.dumps((error.message, error.hint)))

    def _flush(self) -> None:
        if self._shared:
            _write(self._fd, _HEADER.pack(_SHARED, self._shared))
            self._shared = 0


def _send(fd: int, kind: int, data: bytes) -> None:
    _write(fd, _HEADER.pack(kind, len(data)) + data)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read_all(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while data and len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data
