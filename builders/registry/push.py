"""Pushing an image or an index: what the registry lacks, and then the manifests."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from builders.blobs.descriptors import CONFIG_TYPE, Descriptor
from builders.blobs.diagnosis import Diagnosis
from builders.blobs.open_images import OpenImage, OpenIndex
from builders.blobs.source import Blob, Image, Index
from builders.compression.members import MemberFormat, Members
from builders.console.errors import UserError, die, warn
from builders.console.transfers import Transfers
from builders.image.layer_kinds import in_reading_order
from builders.layers.resources import Resources
from builders.registry.answers import Answer
from builders.registry.bodies import Bytestream, InFile, InMemory, Made
from builders.registry.client import Client
from builders.registry.destinations import Repository
from builders.registry.digest_cache import DigestCache
from builders.registry.manifests import (
    Found,
    Manifests,
    by_tag_alone,
    checked_put,
    lacks_blobs,
)
from builders.registry.spool import Spool
from builders.registry.supply import Supply
from builders.registry.survey import LATEST, MountSource, PushedLayer, Status, Survey
from builders.registry.uploads import Session, Uploads, push_scopes
from builders.registry.workers import Workers


@dataclass(frozen=True)
class Settings:
    """How a push is done.

    `jobs` uploads run at a time, and `threads` compress, into files in `directory`. With `exact` no
    layer is taken that another tool has compressed, and with `check` a manifest that is there says
    nothing of its blobs: each is looked for. `supply` lets files be there, and `diagnosis` tells of
    those that have changed. If `dry`, nothing is sent.
    """

    jobs: int
    threads: int
    directory: str
    diagnosis: Diagnosis
    exact: bool = False
    check: bool = False
    dry: bool = False
    chunk_size: int | None = None
    sources: Sequence[MountSource] = ()
    supply: Supply = field(default_factory=Supply)

    @property
    def hint(self) -> str:
        """What to do about a file that is missing or has changed."""
        return self.diagnosis.hint


@dataclass(frozen=True)
class BlobReport:
    """What became of a blob; `digest` is None where only compressing would have told it."""

    digest: str | None
    size: int
    media_type: str
    status: Status


@dataclass(frozen=True)
class Report:
    """What a push did; `digest` is the image's, None in a dry run that can't know it."""

    digest: str | None
    blobs: Sequence[BlobReport]


class _BlobsMissingError(Exception):
    """A registry lacks blobs that a manifest of its own names."""


class Push:
    """A push of one image or index to one repository, under `tags`."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        tags: Sequence[str],
        source: OpenImage | OpenIndex,
        settings: Settings,
        *,
        cache: DigestCache,
        shown: Transfers,
    ) -> None:
        self._client = client
        self._repository = repository
        self._tags = tags
        self._source = source
        self._settings = settings
        self._cache = cache
        self._shown = shown
        self._manifests = Manifests(client, repository, push_scopes(repository))
        self._uploads = Uploads(client, repository, chunk_size=settings.chunk_size)
        self._survey = Survey(
            client,
            repository,
            tags,
            source.images,
            cache=cache,
            exact=settings.exact,
            jobs=settings.jobs,
        )
        self._stopped = threading.Event()
        client.sleep = self._stopped.wait
        self._trust = True
        self._layers: list[PushedLayer] = []

    def run(self) -> Report:
        """Do it; raises `UserError`, and then no tag has changed."""
        try:
            try:
                return self._attempt(trust=True)
            except _BlobsMissingError:
                warn(
                    f"the registry {self._repository.registry} lacks blobs of an image that it "
                    "has; all are looked for now"
                )
                return self._attempt(trust=False)
        finally:
            self._stopped.set()

    def _attempt(self, *, trust: bool) -> Report:
        """Push once; `trust` says whether what an image is made of counts as being there."""
        self._trust = trust
        tags = dict.fromkeys((*self._tags, LATEST))
        found = self._manifests.look_up(list(tags), self._source.images)
        if found.denied:
            # Before anything is compressed for it.
            self._uploads.check_access()
        if self._settings.check or not trust:
            self._survey.check(found, self._uploads)
        self._layers = self._survey.layers(found)
        others: list[Found] = []
        if trust and any(layer.status is None for layer in self._layers):
            others = self._survey.look_around(self._settings.sources)
            self._survey.borrow(self._layers, others)
        self._survey.find(self._layers, others, self._uploads)
        if not self._settings.dry:
            self._send(found)
        closed = self._closed()
        if closed and not self._settings.dry:
            self._put(closed, found, trust=trust)
        return self._report(closed, found)

    def _send(self, found: Found) -> None:
        """Send what is not there."""
        pending = []
        for layer in self._layers:
            if layer.status is Status.PRESENT:
                self._shown.end(layer.key, Status.PRESENT.value, layer.name, layer.size)
            else:
                self._shown.expect(layer.key, layer.size)
                pending.append(layer)
        by_us = [layer for layer in pending if layer.source is None]
        streamed = [layer.layer for layer in by_us if not layer.is_spooled]
        self._settings.supply.expect(streamed)
        spool = Spool(self._settings.directory)

        def stop() -> None:
            self._stop()
            spool.stop()

        with Workers(self._settings.jobs, on_failure=stop) as workers:
            for layer in pending:
                if layer.source is not None:
                    workers.submit(layer.size, partial(self._mount, layer))
                elif not layer.is_spooled:
                    workers.submit(layer.size, partial(self._stream, layer))
            for image in self._source.images:
                if image.config_digest not in found.blobs:
                    blob = InMemory(image.config_digest, image.config)
                    workers.submit(0, partial(self._upload, blob.digest, "config", blob))
            self._make([layer for layer in by_us if layer.is_spooled], spool, workers)
        # What could not be mounted after all.
        left = [layer for layer in pending if layer.status is None]
        if left:
            with Workers(self._settings.jobs, on_failure=stop) as workers:
                self._make(left, spool, workers)

    def _make(self, layers: Sequence[PushedLayer], spool: Spool, workers: Workers) -> None:
        """Make `layers` in the order in which they are best read, and let each be sent."""
        largest_first = sorted(layers, key=lambda layer: layer.size, reverse=True)
        hint = self._settings.hint
        threads = self._settings.threads
        in_order = list(
            in_reading_order(largest_first, layer_of=lambda layer: layer.layer.content.layer)
        )
        supply = self._settings.supply
        supply.expect([layer.layer for layer in in_order])
        here: dict[str, str] = {}
        with Resources(helpers=0, hint=hint, places=here) as resources, ExitStack() as stack:
            compressing: dict[MemberFormat, Members] = {}
            for layer in in_order:
                workers.check()
                format_ = layer.layer.format
                if format_ and format_ not in compressing:
                    compressing[format_] = stack.enter_context(Members(format_, threads))
                name = f"layer {layer.number}"
                self._shown.begin(layer.key, name, layer.layer.size, "being compressed")
                with supply.ready(layer.layer) as places:
                    here |= places
                    spool.make(
                        layer.layer,
                        resources,
                        compressing[format_] if format_ else None,
                        changed=partial(self._changed, layer),
                        done=partial(self._made, layer, spool, workers),
                        on_read=partial(self._moved, layer.key),
                    )
                here.clear()
            for members in compressing.values():
                members.finish()

    def _made(
        self,
        layer: PushedLayer,
        spool: Spool,
        workers: Workers,
        descriptor: Descriptor,
        file: InFile,
    ) -> None:
        """Let the blob `file` be sent, which `layer` has become."""
        known, layer.descriptor = layer.descriptor, descriptor
        if layer.layer.diff_id and layer.layer.compressor:
            self._cache.add(layer.layer.diff_id, layer.layer.compressor, file.digest, file.size)
        new = known is None or known.digest != descriptor.digest
        workers.submit(file.size, partial(self._from_spool, layer, file, spool, new=new))

    def _from_spool(self, layer: PushedLayer, file: InFile, spool: Spool, *, new: bool) -> None:
        session = layer.session
        if new and session is None:
            # Only now that it is compressed it can be looked for.
            trust = self._trust and not self._settings.check
            session = self._uploads.begin_unless_there(file.digest, size=file.size, trust=trust)
            if session is None:
                layer.status = Status.PRESENT
                self._shown.end(layer.key, Status.PRESENT.value, layer.name, file.size)
        if layer.status is None:
            self._upload(layer.key, layer.name, file, session)
            layer.status = Status.SENT
        spool.remove(file)

    def _changed(self, layer: PushedLayer) -> UserError:
        return self._settings.diagnosis.changed(layer.number, layer.layer.needs)

    def _stream(self, layer: PushedLayer) -> None:
        if layer.descriptor is None:
            raise TypeError("a layer as it is has a digest")
        hint = self._settings.hint
        with self._settings.supply.ready(layer.layer, among_others=True) as places:
            blob = Made(
                Blob(layer.descriptor, layer.layer.content),
                threads=1,
                hint=hint,
                changed=partial(self._changed, layer),
                places=places,
            )
            self._upload(layer.key, layer.name, blob, layer.session)
        layer.status = Status.SENT

    def _mount(self, layer: PushedLayer) -> None:
        if layer.descriptor is None or layer.source is None:
            raise TypeError("a layer to be mounted has a digest and a source")
        mounted = self._uploads.mount(layer.descriptor.digest, layer.source)
        if mounted is True:
            layer.status = Status.MOUNTED
            self._shown.end(layer.key, Status.MOUNTED.value, layer.name, layer.size)
            return
        layer.session = mounted or None
        if not layer.is_spooled and layer.descriptor == layer.layer.descriptor:
            self._stream(layer)

    def _upload(
        self, key: str, name: str, blob: Bytestream, session: Session | None = None
    ) -> None:
        self._shown.begin(key, name, blob.size)
        self._uploads.send(blob, session=session, on_sent=lambda count: self._moved(key, count))
        self._shown.end(key, Status.SENT.value, name, blob.size)

    def _moved(self, key: str, count: int) -> None:
        if self._stopped.is_set():
            # Another blob has failed, or the user has had enough.
            raise UserError("the push was stopped", hint="see what failed first")
        self._shown.move(key, count)

    def _stop(self) -> None:
        self._stopped.set()

    def _closed(self) -> Image | Index | None:
        """Return the image or the index, None where a layer of it is not known."""
        by_key = {layer.key: layer for layer in self._layers}
        images = []
        for image in self._source.images:
            descriptors = [by_key[layer.key].descriptor for layer in image.layers]
            blobs = [
                Blob(descriptor, layer.content)
                for layer, descriptor in zip(image.layers, descriptors, strict=True)
                if descriptor
            ]
            if len(blobs) != len(image.layers):
                return None
            images.append(image.close(blobs))
        if isinstance(self._source, OpenIndex):
            return self._source.close(images)
        return images[0]

    def _put(self, closed: Image | Index, found: Found, *, trust: bool) -> None:
        """Send the manifests, those in an index by digest, and at last the one that gets tags.

        Before a tag is new the registry has said which digest the manifest has there. One that told
        that of the image before gets the tag at once, which goes back where it tells another one.
        With `trust`, one that lacks blobs may only have said that it has them.
        """
        before = found.before if found.tag == self._tags[0] else None
        manifests = [*(image.manifest for image in closed.images), closed.top]
        for digest, blob in {blob.descriptor.digest: blob for blob in manifests}.items():
            if digest not in found.manifests and (blob is not closed.top or before is None):
                answer = self._ask_to_take(blob, digest, trust=trust)
                if blob is not closed.top or not by_tag_alone(answer):
                    self._check(answer, blob)
        there = found.tag if closed.top.descriptor.digest == found.top else None
        # The tag that was looked up may have it already.
        done = [tag for tag in self._tags[:1] if tag == there]
        for tag in self._tags[len(done) :]:
            with self._telling(done):
                answer = self._ask_to_take(closed.top, tag, trust=trust)
                try:
                    self._check(answer, closed.top, tag)
                except UserError:
                    if answer.ok and before and tag == found.tag:
                        with suppress(UserError):
                            self._manifests.put_back(before, tag)
                    raise
            done.append(tag)

    def _ask_to_take(self, blob: Blob, reference: str, *, trust: bool) -> Answer:
        answer = self._manifests.put(blob, reference)
        believed = any(layer.status is not Status.SENT for layer in self._layers)
        if trust and believed and lacks_blobs(answer):
            raise _BlobsMissingError
        return answer

    def _check(self, answer: Answer, blob: Blob, tag: str | None = None) -> None:
        logged_in = self._client.has_credentials
        checked_put(answer, blob, self._repository, tag, logged_in=logged_in)

    @contextmanager
    def _telling(self, done: Sequence[str]) -> Iterator[None]:
        """Say in an error which of several tags are set."""
        try:
            yield
        except UserError as error:
            if len(self._tags) == 1:
                raise
            all_ = ", ".join(self._tags)
            left = ", ".join(tag for tag in self._tags if tag not in done)
            state = f"the image has none of the tags {all_} by now"
            if done:
                state = f"the image has the tags {', '.join(done)} by now, and not {left}"
            die(f"{error.message}; {state}", hint=error.hint)

    def _report(self, closed: Image | Index | None, found: Found) -> Report:
        blobs = [
            BlobReport(
                digest=layer.descriptor.digest if layer.descriptor else None,
                size=layer.size,
                media_type=(layer.descriptor or layer.layer).media_type,
                # Of a dry run, what would become of it.
                status=layer.status or (Status.MOUNTED if layer.source else Status.SENT),
            )
            for layer in self._layers
        ]
        for image in self._source.images:
            present = image.config_digest in found.blobs
            blobs.append(
                BlobReport(
                    digest=image.config_digest,
                    size=len(image.config),
                    media_type=CONFIG_TYPE,
                    status=Status.PRESENT if present else Status.SENT,
                )
            )
        return Report(closed.top.descriptor.digest if closed else None, blobs)
