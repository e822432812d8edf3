"""Which layers of an image a repository has already, and which can be had from another one.

What is not asked costs nothing: the manifest that a push replaces tells of most layers, the base
image's repository of others, and only the rest is looked for one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from builders.blobs.descriptors import Descriptor
from builders.blobs.open_images import OpenImage, OpenLayer
from builders.compression.streams import NONE
from builders.image.layer_kinds import MEDIA_TYPES, BaseLayer
from builders.image.names import RemoteImage
from builders.registry.client import Client
from builders.registry.destinations import DOCKER_HUB, Repository
from builders.registry.digest_cache import DigestCache
from builders.registry.manifests import Found, Manifests, choose
from builders.registry.uploads import Session, Uploads, pull_scope
from builders.registry.workers import Workers

LATEST: Final = "latest"
"""The tag that most likely has the image before, where those of the push are new."""
_PLAIN: Final = MEDIA_TYPES[NONE]


class Status(Enum):
    """What becomes of a blob; the values are for people, and in the report."""

    SENT = "sent"
    PRESENT = "there already"
    MOUNTED = "mounted"


@dataclass(frozen=True)
class MountSource:
    """A repository of the same registry, whose blobs can be had without being sent.

    `tag` is of an image that says what layers are there, None for the tags of the push.
    """

    repository: Repository
    tag: str | None = None


@dataclass
class PushedLayer:
    """A layer on its way: what it is as a blob, and whether and how it gets there.

    `number` is for people. `source` is a repository that has it, as long as `status` is None;
    `session` is what a mount ended in that was not done.
    """

    number: int
    layer: OpenLayer
    descriptor: Descriptor | None
    status: Status | None = None
    source: Repository | None = None
    session: Session | None = None

    @property
    def key(self) -> str:
        """What no other layer has."""
        return self.layer.key

    @property
    def name(self) -> str:
        """What people call it."""
        digest = self.descriptor.digest[7:19] if self.descriptor else ""
        return f"layer {self.number} {digest}".strip()

    @property
    def size(self) -> int:
        """Bytes of the blob; before they are known, those of the layer."""
        return self.descriptor.size if self.descriptor else self.layer.size

    @property
    def is_spooled(self) -> bool:
        """Whether the layer goes into a file first.

        It is made once that way, however often it is sent, and a compressed archive is read once.
        """
        return self.layer.format is not None or self.layer.is_stream


class Survey:
    """Finds out what is where; `tags` are those of the push."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        tags: Sequence[str],
        images: Sequence[OpenImage],
        *,
        cache: DigestCache,
        exact: bool,
        jobs: int,
    ) -> None:
        """With `exact` no layer is taken that another tool has compressed."""
        self._client = client
        self._repository = repository
        self._tags = tags
        self._images = images
        self._cache = cache
        self._exact = exact
        self._jobs = jobs

    def layers(self, found: Found) -> list[PushedLayer]:
        """Return each layer once, with what is known of it; those in `found` are marked."""
        layers: dict[str, PushedLayer] = {}
        for image in self._images:
            for layer in image.layers:
                if layer.key not in layers:
                    descriptor = self._known(layer, found)
                    layers[layer.key] = PushedLayer(len(layers) + 1, layer, descriptor)
        for pushed in layers.values():
            if pushed.descriptor and pushed.descriptor.digest in found.blobs:
                pushed.status = Status.PRESENT
        return list(layers.values())

    def check(self, found: Found, uploads: Uploads) -> None:
        """Look for the blobs that `found` tells of, and let it tell of those that are there."""
        wanted = {image.config_digest: len(image.config) for image in self._images}
        for image in self._images:
            for layer in image.layers:
                for descriptor in (*found.layers.get(layer.diff_id or "", ()), self._own(layer)):
                    if descriptor:
                        wanted[descriptor.digest] = descriptor.size
        there: set[str] = set()

        def look_for(digest: str) -> None:
            if uploads.exists(digest, size=wanted[digest]):
                there.add(digest)

        with Workers(self._jobs) as workers:
            for digest in wanted.keys() & found.blobs:
                workers.submit(0, partial(look_for, digest))
        found.blobs = there
        found.layers = {
            diff_id: [descriptor for descriptor in descriptors if descriptor.digest in there]
            for diff_id, descriptors in found.layers.items()
        }

    def look_around(self, given: Sequence[MountSource]) -> list[Found]:
        """Return what the `given` repositories and those of base images have."""
        sources = list(given)
        for image in self._images:
            base = _base_source(image.base, self._repository)
            if base and base not in sources:
                sources.append(base)
        around = []
        for source in sources:
            if source.repository == self._repository:
                continue
            manifests = Manifests(self._client, source.repository, (pull_scope(source.repository),))
            tags = [source.tag] if source.tag else list(dict.fromkeys((*self._tags, LATEST)))
            around.append(manifests.look_up(tags, self._images, strict=False))
        return around

    def borrow(self, layers: Sequence[PushedLayer], others: Sequence[Found]) -> None:
        """Take for layers that are not there what `others` have of them."""
        for layer in layers:
            for other in others:
                if layer.status is None and layer.source is None:
                    chosen = self._chosen(layer.layer, other) or layer.descriptor
                    if chosen and chosen.digest in other.blobs:
                        layer.descriptor, layer.source = chosen, other.repository

    def find(
        self, layers: Sequence[PushedLayer], others: Sequence[Found], uploads: Uploads
    ) -> None:
        """Look for blobs of which nothing says whether they are there."""
        with Workers(self._jobs) as workers:
            for layer in layers:
                if layer.status is None and layer.source is None and layer.descriptor:
                    workers.submit(0, partial(_look_for, layer, layer.descriptor, others, uploads))

    def _known(self, layer: OpenLayer, found: Found) -> Descriptor | None:
        """Return what `layer` is as a blob, as far as the registry or a push before this knows."""
        return self._chosen(layer, found) or self._own(layer)

    def _own(self, layer: OpenLayer) -> Descriptor | None:
        """Return what `layer` is as we compress it, as far as that is known."""
        if layer.descriptor or layer.diff_id is None or layer.compressor is None:
            return layer.descriptor
        remembered = self._cache.get(layer.diff_id, layer.compressor)
        return layer.describe(*remembered) if remembered else None

    def _chosen(self, layer: OpenLayer, found: Found) -> Descriptor | None:
        candidates = found.layers.get(layer.diff_id or "", [])
        # As it is compressed here. A base image in an archive may have lost what it had.
        is_base = isinstance(layer.content.layer, BaseLayer) and layer.media_type == _PLAIN
        fitting = [
            candidate
            for candidate in candidates
            if candidate.media_type == layer.media_type or is_base
        ]
        return choose(fitting, layer.compressor, exact=self._exact)


def _look_for(
    layer: PushedLayer, descriptor: Descriptor, others: Sequence[Found], uploads: Uploads
) -> None:
    digest, size = descriptor.digest, descriptor.size
    if uploads.exists(digest, size=size):
        layer.status = Status.PRESENT
        return
    for other in others:
        if uploads.exists(digest, other.repository, size=size):
            layer.source = other.repository
            return


def _base_source(name: str | None, repository: Repository) -> MountSource | None:
    """Return the repository of a base image, if it is on the registry of `repository`."""
    if not name:
        return None
    reference, _, digest = name.partition("@")
    path, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        path, tag = reference, ""
    image = RemoteImage(path, tag)
    inner = image.repository
    if image.registry == DOCKER_HUB and "/" not in inner:
        inner = f"library/{inner}"
    if image.registry != repository.registry:
        return None
    return MountSource(Repository(image.registry, inner), digest or tag or None)
