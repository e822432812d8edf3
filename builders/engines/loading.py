"""Loading an image into an engine, in the way that sends the least.

There are three ways. The engine pulls from a registry on loopback, and asks for what it lacks; or
it reads an archive without the layers that it is known to have; or the whole archive. Whichever it
is, the image first has a name that nobody else uses. Its own names are set once it is there whole,
and that name is removed, also where the load fails or is interrupted.
"""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from builders.blobs.diagnosis import Diagnosis
from builders.blobs.source import Blob, Image
from builders.console.errors import UserError, die
from builders.console.progress import Progress, size
from builders.console.terminal import tell, visible
from builders.engines.client import ClientError, undisturbed
from builders.engines.engine import Engine
from builders.formats.oci_writers import NamedSource, write_archive
from builders.layers.resources import Resources
from builders.registry.loopback import LoopbackRegistry
from builders.registry.loopback_names import ADDRESS, is_left_over

STRATEGIES: Final = ("auto", "pull", "load", "full")
"""What to try: all ways, one after the other; only to pull; only archives; only the whole one."""

_PATIENCE: Final = 2.0
"""Seconds after which an engine that has not asked our registry is not going to."""
_MOMENT: Final = 0.05
_MTIME: Final = 1
"""Of the members of an archive that nobody keeps, in seconds since 1970."""
_WRONG_BYTES: Final = re.compile(r"digest|diff ?id|verif|checksum", re.IGNORECASE)
"""What engines say of a layer that is not what the manifest says."""


class _RefusedError(Exception):
    """A way doesn't work here; the text is why."""


@dataclass(frozen=True)
class Loaded:
    """What came of a load: the engine's names of the image, and what it was sent.

    `way` is one of `STRATEGIES` or "there", and `requests` how many the registry answered.
    """

    names: tuple[str, ...]
    way: str
    layers: int = 0
    size: int = 0
    requests: int = 0


def load_image(
    engine: Engine,
    image: Image,
    names: Sequence[str],
    *,
    strategy: str,
    jobs: int,
    foreign: bool = False,
    diagnosis: Diagnosis | None = None,
) -> Loaded:
    """Load `image` under `names` (each a name and tag) into `engine`.

    `foreign` says that the image is not for this machine's platform. `jobs` processes write an
    archive. Raises `UserError` where no way of `strategy` works, or where a file of the image is
    missing or has changed, of which `diagnosis` tells.
    """
    try:
        full_names = tuple(map(engine.full_name, names))
        load = _Load(engine, image, full_names, jobs, foreign, diagnosis or Diagnosis())
        leftovers = _Leftovers(engine)
        loaded = load.run(strategy)
        leftovers.drop()
        return loaded
    except ClientError as error:
        raise UserError(
            f"{engine.title} refuses: {error}",
            hint=f"see whether '{' '.join(engine.client.words)}' works by itself",
        ) from None


class _Leftovers:
    """Names that loads left behind which were killed.

    They are looked for while all else goes on, and removed in the end: the layers that they hold
    may be those that are wanted.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._found: list[str] = []
        self._thread = threading.Thread(target=self._find, daemon=True)
        self._thread.start()

    def drop(self) -> None:
        """Remove them; what the engine says against it is left to the next load."""
        self._thread.join()
        for reference in self._found:
            with undisturbed(), suppress(ClientError, UserError):
                self._engine.drop(reference)

    def _find(self) -> None:
        with suppress(ClientError, UserError):
            self._found = [name for name in self._engine.loopback_names() if is_left_over(name)]


@dataclass(frozen=True)
class _Load:
    """What the ways have in common."""

    engine: Engine
    image: Image
    names: tuple[str, ...]
    jobs: int
    foreign: bool
    diagnosis: Diagnosis

    @property
    def platform(self) -> str | None:
        """The platform that the engine has to be told."""
        return str(self.image.platform) if self.foreign else None

    def run(self, strategy: str) -> Loaded:
        """Try one way after the other."""
        there = [name for name in self.names if self.engine.has(name, self.image)]
        if there:
            with undisturbed():
                for name in self.names:
                    if name not in there:
                        self.engine.tag(there[0], name)
            return Loaded(self.names, "there")
        reasons: list[str] = []
        for way in self._ways(strategy):
            try:
                return way()
            except _RefusedError as refused:
                reasons.append(str(refused))
                tell(visible(f"{refused}."))
        die(
            f"{self.engine.title} takes the image in no way: {reasons[-1]}",
            hint="see what the engine's own log says",
        )

    def _ways(self, strategy: str) -> Iterator[Callable[[], Loaded]]:
        """Yield what to try; what the engine has is asked when it matters."""
        full = partial(self._archive, "full", frozenset())
        if strategy == "auto" and self.engine.prefers_archives() and (known := self._known()):
            yield from (partial(self._archive, "load", known), self._pull, full)
            return
        if strategy in ("auto", "pull"):
            yield self._pull
        if strategy in ("auto", "load") and (known := self._known()):
            yield partial(self._archive, "load", known)
        if strategy != "pull":
            yield full

    def _known(self) -> frozenset[str]:
        return self.engine.known_layers(self.image, self.names)

    def _pull(self) -> Loaded:
        """Let the engine pull from loopback."""
        registry = LoopbackRegistry(self.image, hint=self.diagnosis.hint)
        # It answers for its name as long as that is there.
        with registry, self._named(registry.reference):
            self._follow(registry)
            begun = registry.traffic.begun
            sent = [blob for blob in self.image.layers if _digest(blob) in begun]
            return self._loaded("pull", sent, requests=len(registry.traffic.requests))

    def _follow(self, registry: LoopbackRegistry) -> None:
        """Run the pull to its end."""
        progress = Progress(total=0, layers=0)
        shown = _Shown(self.image, registry, progress)
        deadline = time.monotonic() + _PATIENCE
        words = self.engine.pull(registry.reference, self.platform)
        with self.engine.client.started(*words) as running:
            while not running.ended_within(_MOMENT):
                shown.update()
                if registry.failure:
                    # The engine would try again, and again.
                    raise registry.failure
                if time.monotonic() > deadline and not registry.traffic.greeted.is_set():
                    raise _RefusedError(
                        f"{self.engine.title} does not reach {ADDRESS} of this machine"
                    )
            shown.update()
            if registry.failure:
                raise registry.failure
            try:
                running.finish()
            except ClientError as error:
                self._check(error, registry.traffic.whole)
                raise _RefusedError(
                    f"{self.engine.title} can't pull from {ADDRESS}: {error}"
                ) from None
        progress.abandon()

    def _archive(self, way: str, known: Collection[str]) -> Loaded:
        """Send an archive without the layers that are known."""
        progress = Progress(total=0, layers=0)
        sent = [blob for blob in self.image.layers if _digest(blob) not in known]
        # What is left of a load that was killed is told by its registry, that is no more.
        with (
            LoopbackRegistry(self.image) as registry,
            self._named(f"{registry.name}:load") as reference,
        ):
            words = self.engine.load(self.platform)
            with self.engine.client.started(*words, stdin=subprocess.PIPE) as running:
                content = NamedSource(self.image, reference, self.image.platform.architecture)
                # Where it goes away in the middle, it says why.
                with (
                    suppress(BrokenPipeError),
                    Resources(
                        helpers=self.jobs - 1, threads=self.jobs, hint=self.diagnosis.hint
                    ) as resources,
                ):
                    write_archive(
                        running.stdin.fileno(),
                        content,
                        mtime=_MTIME,
                        resources=resources,
                        without=known,
                        progress=progress,
                    )
                with suppress(BrokenPipeError):
                    running.stdin.close()
                progress.abandon()
                digests = {_digest(blob) for blob in sent}
                try:
                    running.finish()
                except ClientError as error:
                    self._check(error, digests)
                    raise _RefusedError(
                        f"{self.engine.title} refuses the archive: {error}"
                    ) from None
                if not self.engine.checks_archives():
                    self._verify(digests)
            return self._loaded(way, sent)

    @contextmanager
    def _named(self, reference: str) -> Iterator[str]:
        """Give the image its names once it is there as `reference`, which is removed anyway."""
        try:
            yield reference
            with undisturbed():
                for name in self.names:
                    self.engine.tag(reference, name)
        finally:
            with undisturbed(), suppress(ClientError):
                self.engine.drop(reference)

    def _loaded(self, way: str, sent: Sequence[Blob], *, requests: int = 0) -> Loaded:
        total = sum(blob.descriptor.size for blob in sent)
        return Loaded(self.names, way, len(sent), total, requests)

    def _check(self, error: ClientError, sent: Collection[str]) -> None:
        """Raise `UserError` where `error` is about bytes, and a layer that was `sent` has others.

        Engines notice it, and only we know what the layer is made of.
        """
        if _WRONG_BYTES.search(str(error)):
            self._verify(sent)

    def _verify(self, sent: Collection[str]) -> None:
        """Raise `UserError` where a layer that was `sent` is not what was planned."""
        self.diagnosis.check(self.image.layers, sent)


class _Shown:
    """Shows what a registry sends."""

    def __init__(self, image: Image, registry: LoopbackRegistry, progress: Progress) -> None:
        self._layers = {_digest(blob): blob for blob in image.layers}
        self._numbers = {_digest(blob): number for number, blob in enumerate(image.layers, 1)}
        self._registry = registry
        self._progress = progress
        self._seen: set[str] = set()

    def update(self) -> None:
        """Tell of layers that are new, and move the line."""
        sent = self._registry.traffic.sent
        new = sent.keys() & self._layers.keys() - self._seen
        for digest in sorted(new, key=lambda digest: self._numbers[digest]):
            self._seen.add(digest)
            total = self._layers[digest].descriptor.size
            self._progress.expect(total)
            self._progress.layer(
                f"Sending layer {self._numbers[digest]} of {len(self._layers)} ({size(total)})"
            )
        self._progress.update(sum(sent[digest] for digest in self._seen))


def _digest(blob: Blob) -> str:
    return blob.descriptor.digest
