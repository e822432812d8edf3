"""Fetching images with skopeo, again where a failure may pass."""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from builders.console.errors import warn
from builders.registry.failures import Problem, RegistryError, describe, read_failure
from builders.registry.names import RemoteImage
from builders.registry.stalls import StallWatch

PAUSES: Final = (1, 2, 4, 8)
"""Seconds before each new attempt."""

PATIENCE: Final = 120
"""Seconds that an attempt may be without a byte from the registry."""


class Lines(Protocol):
    """Takes what a program says, line by line."""

    def write(self, line: bytes, /) -> object:
        """Take a line."""

    def flush(self) -> object:
        """Pass it on."""


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
        command = [
            self.program,
            *("--insecure-policy", "--tmpdir", self.directory),
            *("--override-os", os_name, "--override-arch", architecture),
            *("copy", f"--src-tls-verify={self._verify}"),
            *(["--quiet"] if self.quiet else []),
            f"docker://{image}",
            f"docker-archive:{archive}:{name}",
        ]

        def attempt() -> None:
            # skopeo doesn't write over what an attempt before left behind.
            if os.path.lexists(archive):
                os.unlink(archive)
            self._run(command, image, self.output)

        self._persist(attempt, image)

    def manifest(self, image: RemoteImage) -> bytes:
        """Return the manifest or the index of `image` as it is; raises `RegistryError`."""
        command = [
            *(self.program, "--tmpdir", self.directory),
            *("inspect", "--raw", f"--tls-verify={self._verify}", f"docker://{image}"),
        ]
        data = io.BytesIO()

        def attempt() -> None:
            data.seek(0)
            data.truncate()
            self._run(command, image, data)

        self._persist(attempt, image)
        return data.getvalue()

    def manifest_digest(self, manifest: bytes, image: RemoteImage) -> str:
        """Return the digest that a registry knows `manifest`, which is of `image`, by."""
        with tempfile.NamedTemporaryFile(dir=self.directory) as file:
            file.write(manifest)
            file.flush()
            digest = io.BytesIO()
            self._run([self.program, "manifest-digest", file.name], image, digest)
        return digest.getvalue().decode().strip()

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

    def _run(self, command: Sequence[str], image: RemoteImage, output: Lines | None) -> None:
        # A file for stderr, since nobody reads a second pipe meanwhile.
        with (
            tempfile.TemporaryFile(dir=self.directory) as log,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if output else sys.stderr,
                stderr=log,
                env=self.environment,
            ) as process,
            StallWatch(process, patience=self.patience) as watch,
        ):
            try:
                if output:
                    assert process.stdout
                    for line in process.stdout:
                        output.write(line)
                        output.flush()
                code = process.wait()
            except BaseException:
                # Else it would be waited for until it is through.
                process.terminate()
                raise
            log.seek(0)
            said = log.read().decode(errors="replace")
        if watch.stalled:
            raise RegistryError(Problem.TRANSIENT, f"nothing came for {self.patience} s")
        if code:
            raise read_failure(said, image)
