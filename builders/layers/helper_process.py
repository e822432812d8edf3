"""One process that writes entries of a store layer for another one, and what they tell each other.

Jobs come in by one pipe, and what is written goes out by another, from which it gets to the
reader of a stream without passing through the main process; or, where the main process's sink says
so, through memory of both. Large files are only named: the main process copies them.
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
from builders.tar.header import Attributes, Owner
from builders.tar.sinks import LEAVE_ALONE, Sink, copy_file, enlarge_pipe

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

    def __init__(self, others: "Iterable[HelperProcess]") -> None:
        """Start it. The pipes of `others` are not for it."""
        # It takes no memory before something is written to it.
        self._memory = _SharedMemory()
        jobs, self._jobs = os.pipe()
        self._output, output = os.pipe()
        enlarge_pipe(output)
        self._process = os.fork()
        if self._process == 0:
            for helper in (*others, self):
                helper.close()
            _work(jobs, _PipeSink(output, self._memory))
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

    def give(self, batch: list[Group], sink: Sink, *, hint: str) -> None:
        """Have the helper write `batch` for `sink`; it may have two of them at once.

        `hint` is as in `EntryWriter`.
        """
        data = _pack_job(batch, sink, hint)
        self._unsent.append(memoryview(_HEADER.pack(_DATA, len(data)) + data))
        self._batches += 1
        self._send_jobs(most=self._batches)

    def is_ready(self) -> bool:
        """Whether there is something to collect already."""
        return bool(self._poll.poll(0))

    def collect(self, sink: Sink, *, hint: str) -> int:
        """Write the next batch to `sink`; return its size in bytes."""
        sink.flush()
        # Of the batches before, all is read: the helper waits for this one and takes it.
        self._send_jobs(most=self._batches - 1)
        written = 0
        while True:
            kind, size = _HEADER.unpack(self._read(_HEADER.size))
            if kind == _END:
                self._memory.next_batch()
                self._batches -= 1
                return written
            if kind == _SHARED:
                sink.write_shared(self._memory.get(size))
            elif kind == _DATA:
                if not sink.splice(self._output, size):
                    _killed()
            else:
                content = marshal.loads(self._read(size))
                if kind == _ERROR:
                    message, remedy = content
                    raise UserError(message, hint=remedy)
                path, size = content
                copy_file(sink, path, size, hint=hint)
            written += size

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
                # The helper is gone; `collect` finds out why.
                self._unsent.clear()
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


def _pack_job(batch: list[Group], sink: Sink, hint: str) -> bytes:
    """Return a batch as it goes to a helper: what most groups have in common is there once."""
    attributes: dict[Attributes, int] = {}
    groups = [
        (
            group.prefix,
            group.names,
            group.regular,
            attributes.setdefault(group.attributes, len(attributes)),
        )
        for group in batch
    ]
    packed = [(tuple(each.owner), each.mtime, each.mode, each.xattrs) for each in attributes]
    return marshal.dumps((sink.copy_from, sink.shares_memory, hint, packed, groups))


def _work(jobs: int, sink: "_PipeSink") -> NoReturn:
    """Be a helper, until the main process has no more jobs."""
    # Ctrl-C is for the main process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        writer = EntryWriter(sink)
        while header := _read_all(jobs, _HEADER.size):
            job = marshal.loads(_read_all(jobs, _HEADER.unpack(header)[1]))
            sink.copy_from, sink.shares_memory, writer.hint, packed, groups = job
            attributes = [
                Attributes(Owner(*owner), mtime, mode, xattrs)
                for owner, mtime, mode, xattrs in packed
            ]
            try:
                for prefix, names, regular, number in groups:
                    writer.add(Group(prefix, names, regular, attributes[number]))
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


class _PipeSink(Sink):
    """Writes pieces, each with a header, for `HelperProcess.collect`.

    `copy_from` and `shares_memory` are those of the main process's sink. Where that shares
    memory, what finds room there goes through `memory`, and only its size through the pipe.
    """

    def __init__(self, fd: int, memory: _SharedMemory) -> None:
        self._fd = fd
        self._memory = memory
        self._in_memory = 0

    def write(self, data: bytes) -> None:
        """Take `data`."""
        if self.shares_memory and self._memory.put(data):
            self._in_memory += len(data)
        elif data:
            self.flush()
            _send(self._fd, _DATA, data)

    def copy(self, file: int, size: int, path: str, *, hint: str = LEAVE_ALONE) -> None:
        """Leave the file to the main process."""
        self.flush()
        _send(self._fd, _COPY, marshal.dumps((path, size)))

    def end(self) -> None:
        """End a batch."""
        self.flush()
        _send(self._fd, _END, b"")
        self._memory.next_batch()

    def fail(self, error: UserError) -> None:
        """Give the main process `error` to raise."""
        self.flush()
        _send(self._fd, _ERROR, marshal.dumps((error.message, error.hint)))

    def flush(self) -> None:
        """Say how much is in the memory."""
        if self._in_memory:
            _write(self._fd, _HEADER.pack(_SHARED, self._in_memory))
            self._in_memory = 0


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
