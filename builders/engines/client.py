"""Running the client of an engine: `docker`, `podman` or `ctr`.

A client knows where its engine is and who may use it (contexts, DOCKER_HOST, CONTAINER_HOST,
CONTAINERD_ADDRESS), and all that is here is what it says.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Final

from builders.console.errors import UserError, die

_LAST_WORDS: Final = 5
"""Seconds that a client has to end before it is killed."""
_UNREACHABLE: Final = re.compile(
    r"cannot connect to|unable to connect to|error during connect|failed to dial"
    r"|is the docker daemon running",
    re.IGNORECASE,
)
_FORBIDDEN: Final = re.compile(r"permission denied", re.IGNORECASE)
_NOISE: Final = re.compile(r"\btime=\S+ level=(?:warning|info|debug) ")


class ClientError(Exception):
    """What a client said when it failed: one line."""


@dataclass(frozen=True)
class EngineClient:
    """The command `words` talks to the engine called `engine`.

    `remedies` say what to do where the engine doesn't run ("start") and where it may not be used
    ("permission"). `environment` is added to this process's.
    """

    engine: str
    words: tuple[str, ...]
    start: str
    permission: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> str:
        """Return what the client prints to stdout.

        Raises `ClientError` where it fails, and `UserError` where it is missing or does not reach
        the engine.
        """
        with self.started(*arguments, stdin=subprocess.DEVNULL) as running:
            return running.finish()

    @contextmanager
    def started(
        self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> Iterator["Running"]:
        """Run the client, and end it with the context. Raises `UserError` where it is missing."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    [*self.words, *arguments],
                    stdin=stdin,
                    stdout=out,
                    stderr=said,
                    env={**os.environ, **self.environment},
                )
            except OSError as error:
                die(
                    f"can't run {self.words[0]}: {error.strerror}",
                    hint=f"install it, or put the client of {self.engine} into PATH",
                )
            try:
                yield Running(self, process, out, said)
            finally:
                _end(process)

    def failed(self, said: bytes) -> Exception:
        """Return the failure of a client that `said` this on stderr."""
        lines = said.decode(errors="replace").strip().splitlines()
        lines = [line.strip() for line in lines if line.strip() and not _NOISE.match(line)]
        # podman says of each format why it isn't that; ours is this one.
        last = [line for line in lines if line.startswith("* oci-archive: ")] or lines or [""]
        line = re.sub(r"^(?:error|ctr|\* oci-archive): ", "", last[-1], flags=re.IGNORECASE)
        reason = line.rstrip(".") or f"{self.words[0]} failed and said nothing"
        if _FORBIDDEN.search(line) and re.search(r"sock|dial", line):
            return UserError(f"{self.engine} can't be used: {reason}", hint=self.permission)
        if _UNREACHABLE.search(line):
            return UserError(f"{self.engine} can't be reached: {reason}", hint=self.start)
        return ClientError(reason)


class Running:
    """A client that runs."""

    def __init__(
        self,
        client: EngineClient,
        process: "subprocess.Popen[bytes]",
        out: IO[bytes],
        said: IO[bytes],
    ) -> None:
        self.process = process
        self._client = client
        self._out = out
        self._said = said

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to it, where there is one."""
        if self.process.stdin is None:
            raise ValueError("the client has no pipe")
        return self.process.stdin

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended, for which it gets so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self) -> str:
        """Wait for the end, and return what was printed to stdout; fails as `EngineClient.run`."""
        status = self.process.wait()
        self._out.seek(0)
        printed = self._out.read()
        if status:
            self._said.seek(0)
            # docker load and others report a failure in the stream of what they do.
            raise self._client.failed(self._said.read() or printed)
        return printed.decode(errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the client where it still runs; before its input ends, which might pass for whole."""
    if process.poll() is None:
        process.terminate()
    if process.stdin:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_LAST_WORDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: raise `KeyboardInterrupt`."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # What whoever started this has it ignore stays ignored: nohup does so.
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    with _handling(dict.fromkeys(heard, interrupt)):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal end what is short and has to be done: cleaning up, and setting names."""
    with _handling(dict.fromkeys(_SIGNALS, signal.SIG_IGN)):
        yield


@contextmanager
def _handling(handlers: Mapping[int, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
