"""Fetching images with skopeo, again where a failure may pass."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from builders.console.errors import warn
from builders.image.names import RemoteImage, is_digest
from builders.registry.failures import Problem, RegistryError, describe, read_failure
from builders.registry.stalls import StallWatch

PAUSES: Final = (1, 2, 4, 8)
"""Seconds before each new attempt."""

_MANIFEST_MAX: Final = 8 << 20
"""Bytes of a manifest or an index. Registries take 4 MiB."""
_LOG_MAX: Final = 1 << 16
"""Bytes at the end of what skopeo says, where it says why it failed."""
PATIENCE: Final = 120
"""Seconds that an attempt may be without a byte from the registry."""


class Lines(Protocol):
    """Takes what a program says, line by line."""

    def write(self, line: bytes, /) -> object:
        """Take a line."""

    def flush(self) -> object:
        """Pass it on."""


class _Kept:
    """Keeps what a program says, as much as a manifest may have."""

    def __init__(self) -> None:
        self.value = b""

    def write(self, line: bytes, /) -> None:
        if len(self.value) + len(line) > _MANIFEST_MAX:
            raise RegistryError(Problem.OTHER, f"its manifest has more than {_MANIFEST_MAX} bytes")
        self.value += line

    def flush(self) -> None:
        pass

    def clear(self) -> None:
        self.value = b""


@dataclass(frozen=True)
class Skopeo:
    """The program skopeo with the settings of one fetch.

    `directory` is for its temporary files; `output` is where it says what it copies: a stream
    for lines, None for stderr as it is, where a terminal gets progress bars.
    """

    program: str
    environment: Mapping[str, str]
    directory: str
    tls_verify: bool
    output: Lines | None
    quiet: bool = False
    pauses: Sequence[float] = PAUSES
    patience: float = PATIENCE

    def copy(
        self, image: RemoteImage, archive: str, *, name: str, os_name: str, architecture: str
    ) -> None:
        """Write `image` as a docker-archive to the path `archive`, under `name` ("NAME:TAG").

        Of an index the image for the platform is taken. Raises `RegistryError`.
        """
        settings = [
            self.program,
            *("--insecure-policy", "--tmpdir", self.directory),
            *("--override-os", os_name, "--override-arch", architecture),
            *("copy", f"--src-tls-verify={self._verify}"),
            *(["--quiet"] if self.quiet else []),
            f"docker://{image}",
        ]

        def attempt() -> None:
            # skopeo doesn't write over what an attempt before left behind.
            if os.path.lexists(archive):
                os.unlink(archive)
            with _destination(archive) as (path, opened):
                command = [*settings, f"docker-archive:{path}:{name}"]
                self._run(command, image, self.output, opened=opened)

        self._persist(attempt, image)

    def manifest(self, image: RemoteImage) -> bytes:
        """Return the manifest or the index of `image` as it is; raises `RegistryError`."""
        data = _Kept()
        command = [
            *(self.program, "--tmpdir", self.directory),
            *("inspect", "--raw", f"--tls-verify={self._verify}", f"docker://{image}"),
        ]

        def attempt() -> None:
            data.clear()
            self._run(command, image, data)

        self._persist(attempt, image)
        return data.value

    def manifest_digest(self, manifest: bytes, image: RemoteImage) -> str:
        """Return the digest that a registry knows `manifest`, which is of `image`, by."""
        with tempfile.NamedTemporaryFile(dir=self.directory) as file:
            file.write(manifest)
            file.flush()
            said = _Kept()
            self._run([self.program, "manifest-digest", file.name], image, said)
        digest = said.value.decode(errors="replace").strip()
        if not is_digest(digest):
            raise RegistryError(Problem.OTHER, f"its manifest has the digest {digest[:80]!r}")
        return digest

    @property
    def _verify(self) -> str:
        return "true" if self.tls_verify else "false"

    def _persist(self, attempt: Callable[[], None], image: RemoteImage) -> None:
        for number, pause in enumerate(self.pauses, start=2):
            try:
                return attempt()
            except RegistryError as error:
                if error.problem != Problem.TRANSIENT:
                    raise
                attempts = f"attempt {number} of {len(self.pauses) + 1} follows"
                warn(f"{describe(error, image)}; {attempts} in {pause} s")
                time.sleep(pause)
        return attempt()

    def _run(
        self,
        command: Sequence[str],
        image: RemoteImage,
        output: Lines | None,
        *,
        opened: Sequence[int] = (),
    ) -> None:
        # A file for stderr, since nobody reads a second pipe meanwhile.
        with (
            tempfile.TemporaryFile(dir=self.directory) as log,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if output else sys.stderr,
                stderr=log,
                env=self.environment,
                pass_fds=opened,
            ) as process,
            StallWatch(process, patience=self.patience) as watch,
        ):
            try:
                if output:
                    assert process.stdout
                    while line := process.stdout.readline(_LOG_MAX):
                        output.write(line)
                        output.flush()
                code = process.wait()
            except BaseException:
                # Else it would be waited for until it is through.
                process.terminate()
                raise
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_MAX))
            said = log.read().decode(errors="replace")
        if watch.stalled:
            raise RegistryError(Problem.TRANSIENT, f"nothing came for {self.patience} s")
        if code:
            raise read_failure(said, image)


@contextmanager
def _destination(archive: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the path `archive` as skopeo takes it, and the file descriptors that it has to inherit.

    A colon ends a path for skopeo. A name of the open file has none.
    """
    if ":" not in archive:
        yield archive, ()
        return
    file = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield f"/proc/self/fd/{file}", (file,)
    finally:
        os.close(file)
