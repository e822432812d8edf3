"""Getting store paths that are not on this machine out of binary caches, each without its closure.

A store path in the store has its closure there as well. What is only sent on needs none: it is
unpacked into a directory of its own, layer by layer as it is needed, and removed where room is
needed. That it is the right one, the digests of the layer tell.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Final, Self

from builders.blobs.open_images import OpenLayer
from builders.console.errors import UserError, die
from builders.programs.diagnoses import STORE_PATH
from builders.registry.supply import Supply
from builders.remedies import CHECK_STORE

HELD_BYTES: Final = 512 << 20
"""What was fetched and is not being read may take so many bytes."""
_AT_A_TIME: Final = 4
_NEW_COMMANDS: Final = ("--extra-experimental-features", "nix-command")
_ABSENT: Final = re.compile(r"is not valid|don't know how to build|does not exist")
"""What Nix says of a path that a binary cache doesn't have."""
_SAID_MAX: Final = 300


@dataclass(frozen=True)
class _Fetched:
    """A store path that lies at `place` now, where it takes `size` bytes.

    `place` is None where nobody had it, and `said` is then what went wrong with that.
    """

    place: str | None
    size: int = 0
    said: str = ""


class Fetcher(Supply):
    """Fetches store paths into `directory`; for several threads."""

    def __init__(
        self, directory: str, *, tell: Callable[[str], object], limit: int = HELD_BYTES
    ) -> None:
        """`tell` is told of each path that is fetched."""
        self._directory = directory
        self._tell = tell
        self._limit = limit
        self._pool = ThreadPoolExecutor(_AT_A_TIME)
        self._caches: list[str] | None = None
        self._changed = threading.Condition(threading.RLock())
        self._expected: list[OpenLayer] = []
        self._fetched: dict[str, Future[_Fetched]] = {}
        self._used: Counter[str] = Counter()
        self._among_others = 0
        self._unpacked = 0
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def __enter__(self) -> Self:
        """Fetch nothing yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Fetch nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._changed:
            self._closed = True
            for process in self._running:
                process.terminate()
        self._pool.shutdown(wait=True)

    def expect(self, layers: Sequence[OpenLayer]) -> None:
        """Take note of `layers`: while one is read the next is fetched, and needed paths stay."""
        with self._changed:
            self._expected += layers

    @contextmanager
    def ready(self, layer: OpenLayer, *, among_others: bool = False) -> Iterator[Mapping[str, str]]:
        """Fetch what is missing of `layer`, and let it be removed once that is read."""
        missing = _missing(layer)
        if not missing:
            yield {}
            return
        room = layer.size if among_others else 0
        with self._changed:
            # One of them always goes on.
            self._changed.wait_for(
                lambda: not self._among_others or self._among_others + room <= self._limit
            )
            self._among_others += room
            self._used.update(missing)
            coming = {path: self._start(path) for path in missing}
            self._look_ahead(layer)
        try:
            yield {path: self._place(path, future.result()) for path, future in coming.items()}
        finally:
            with self._changed:
                self._among_others -= room
                self._used.subtract(missing)
                self._expected = [other for other in self._expected if other is not layer]
                self._make_room()
                self._changed.notify_all()

    def find(self, path: str) -> str | None:
        """Return where the file at `path`, a store path, is or lies now; None if nobody has it."""
        return path if os.path.exists(path) else self._fetch(path).place

    def _start(self, path: str) -> Future[_Fetched]:
        if path not in self._fetched:
            self._fetched[path] = self._pool.submit(self._fetch, path)
        return self._fetched[path]

    def _look_ahead(self, layer: OpenLayer) -> None:
        """Begin with the layer after this one, where there is room for it."""
        held = sum(fetched.size for fetched in self._done().values())
        for before, following in pairwise(self._expected):
            if before is layer and held + layer.size + following.size <= self._limit:
                for path in _missing(following):
                    self._start(path)

    def _done(self) -> dict[str, _Fetched]:
        return {
            path: future.result()
            for path, future in self._fetched.items()
            if future.done() and not future.exception()
        }

    def _make_room(self) -> None:
        """Remove what nobody reads any more, the oldest first, until little enough is left."""
        done = self._done()
        held = sum(fetched.size for fetched in done.values())
        if held <= self._limit:
            return
        needed = {path for layer in self._expected for path in _store_paths(layer)}
        for path, fetched in done.items():
            if held <= self._limit:
                return
            # A base image in an archive is needed by several layers.
            if not self._used[path] and path not in needed and fetched.place:
                del self._fetched[path]
                _remove(os.path.dirname(fetched.place))
                held -= fetched.size

    @staticmethod
    def _place(path: str, fetched: _Fetched) -> str:
        if fetched.place is None:
            if not fetched.said:
                die(f"{path} is missing, and no binary cache has it", hint=CHECK_STORE)
            die(
                f"{path} is missing, and can't be fetched: {fetched.said}",
                hint="see to that cache, or push from the machine that built the image",
            )
        return fetched.place

    def _fetch(self, path: str) -> _Fetched:
        with self._changed:
            self._unpacked += 1
            number = self._unpacked
        said: list[str] = []
        for cache in self._substituters():
            # Under its last name, which is that of a file in the tar.
            directory = os.path.join(self._directory, f"fetched-{number}-{len(said)}")
            target = os.path.join(directory, os.path.basename(path))
            failure = self._unpack(path, cache, target)
            if failure is None:
                self._tell(f"fetched {path} from {cache}")
                return _Fetched(target, _as_in_the_store(target))
            said.append(f"{cache}: {failure}" if failure else "")
        return _Fetched(None, said="; ".join(filter(None, said)))

    def _unpack(self, path: str, cache: str, target: str) -> str | None:
        """Unpack `path` out of `cache`; return what went wrong, "" where the cache lacks it.

        Raises `UserError` where it can't be written.
        """
        os.makedirs(os.path.dirname(target), exist_ok=True)
        dump = ["nix", *_NEW_COMMANDS, "store", "dump-path", "--store", cache, path]
        with (
            self._started(dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as source,
            self._started(["nix-store", "--restore", target], stdin=source.stdout) as restore,
        ):
            if source.stdout:
                source.stdout.close()
            _, said = source.communicate()
            _, complaint = restore.communicate()
        if source.returncode == restore.returncode == 0:
            return None
        _remove(os.path.dirname(target))
        line = _last_line(complaint)
        # Of what ends too soon, what went before tells.
        if restore.returncode > 0 and "unexpected end" not in line.lower():
            raise UserError(
                f"can't unpack {path} into {os.path.dirname(target)}: {line}",
                hint="make room there, or set TMPDIR to a directory on a larger disk",
            )
        text = said.decode(errors="replace")
        return "" if _ABSENT.search(text) else _last_line(said) or "it gave only a part of it"

    @contextmanager
    def _started(self, command: Sequence[str], **pipes: Any) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a command, until all is closed."""
        with subprocess.Popen(command, stderr=subprocess.PIPE, **pipes) as process:
            with self._changed:
                self._running.add(process)
                if self._closed:
                    process.terminate()
            try:
                yield process
            finally:
                with self._changed:
                    self._running.discard(process)

    def _substituters(self) -> Sequence[str]:
        with self._changed:
            if self._caches is None:
                self._caches = _configured_caches()
            return self._caches


def _store_paths(layer: OpenLayer) -> list[str]:
    """Return the store paths that `layer` needs, or needs something in."""
    found = (STORE_PATH.fullmatch(path) for path in layer.needs)
    return list(dict.fromkeys(path[1] for path in found if path))


def _missing(layer: OpenLayer) -> list[str]:
    """Return those that are not on this machine."""
    return [path for path in _store_paths(layer) if not os.path.lexists(path)]


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines() or [""]
    return re.sub(r"\x1b\[[0-9;]*m|^error: ", "", lines[-1])[:_SAID_MAX]


def _configured_caches() -> list[str]:
    """Return the binary caches that Nix is set up with."""
    for command in (("config", "show"), ("show-config",)):
        try:
            result = subprocess.run(
                ["nix", *_NEW_COMMANDS, *command, "--json"], capture_output=True, text=True
            )
        except FileNotFoundError:
            die(
                "store paths of the image are missing, and there is no program 'nix' to get them",
                hint="install Nix, or push from the machine that built the image",
            )
        if not result.returncode:
            return list(json.loads(result.stdout)["substituters"]["value"])
    return []


def _as_in_the_store(path: str) -> int:
    """Give all at `path` the modes that it has in a store, and return the bytes that it takes.

    In a store nothing can be written.
    """
    count = 0
    for directory, _, names in os.walk(path):
        for name in names:
            count += _make_read_only(os.path.join(directory, name))
        os.chmod(directory, 0o555)
    if not os.path.isdir(path) or os.path.islink(path):
        count += _make_read_only(path)
    return count


def _make_read_only(path: str) -> int:
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        os.chmod(path, 0o555 if status.st_mode & 0o100 else 0o444)
    return status.st_size


def _remove(path: str) -> None:
    """Remove what was unpacked at `path`, whose directories can't be written to."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)
