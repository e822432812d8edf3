"""Manifests in a registry: reading what a tag means, and what that says of blobs; writing.

Who serves a manifest holds the blobs that it names. So the manifest that a push replaces says which
layers have not to be sent, and with the image configuration, which lists their diff IDs in the same
order, what a layer is once it is compressed. Engines check diff IDs when they pull: where a
registry lies, an image breaks, and none becomes another.
Sources: OCI distribution specification v1.1, "Pulling manifests" and "Pushing Manifests"; OCI image
specification v1.1, "Image Manifest", "Image Index"; Docker's "Image Manifest Version 2, Schema 2".
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from builders.blobs.descriptors import COMPRESSOR, INDEX_TYPE, MANIFEST_TYPE, Descriptor
from builders.blobs.open_images import OpenImage
from builders.blobs.source import Blob, Bytes
from builders.compression.streams import GZIP, NONE, ZSTD
from builders.console.errors import warn
from builders.image.layer_kinds import MEDIA_TYPES
from builders.image.names import is_digest
from builders.registry.answers import Answer
from builders.registry.client import Client, Payload
from builders.registry.destinations import Repository
from builders.registry.refusals import refused
from builders.registry.tokens import Scopes
from builders.registry.uploads import check_digest

_DOCKER: Final = "application/vnd.docker"
_DOCKER_LAYER: Final = f"{_DOCKER}.image.rootfs.diff.tar"
_INDEX_TYPES: Final = (INDEX_TYPE, f"{_DOCKER}.distribution.manifest.list.v2+json")
_ACCEPT: Final = ", ".join(
    (MANIFEST_TYPE, f"{_DOCKER}.distribution.manifest.v2+json", *_INDEX_TYPES)
)
_LAYER_TYPES: Final = {
    **{media_type: media_type for media_type in MEDIA_TYPES.values()},
    _DOCKER_LAYER: MEDIA_TYPES[NONE],
    f"{_DOCKER_LAYER}.gzip": MEDIA_TYPES[GZIP],
    f"{_DOCKER_LAYER}.zstd": MEDIA_TYPES[ZSTD],
}
"""What a layer can be in a manifest, and what it is in one of ours."""
_INDEXED_MAX: Final = 16
"""Images of an index that are looked at."""


@dataclass
class Found:
    """What is known of a repository: `top` is the digest that `tag` has, and `blobs` are there.

    `before` is what the tag led to, if the registry told its digest, and rightly.
    `manifests` are those of the tag, and `layers` the blobs of each diff ID. `denied` is what the
    registry answers that tells nothing: that of some who may push, before the first push.
    """

    repository: Repository
    tag: str | None = None
    denied: Answer | None = None
    top: str | None = None
    before: Answer | None = None
    blobs: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)
    layers: dict[str, list[Descriptor]] = field(default_factory=dict)


class Manifests:
    """Reads and writes the manifests of one repository."""

    def __init__(self, client: Client, repository: Repository, scopes: Scopes) -> None:
        self._client = client
        self._repository = repository
        self._scopes = scopes
        self._base = f"/v2/{repository.path}"

    def look_up(
        self, tags: Sequence[str], images: Sequence[OpenImage], *, strict: bool = True
    ) -> Found:
        """Return what the first of `tags` that is there says of `images`.

        If not `strict`, a repository that can't be read says nothing.
        """
        found = Found(self._repository)
        for tag in tags:
            answer = self._get(tag)
            if answer.ok:
                found.tag = tag
                self._take(answer, found, images)
                break
            if answer.status in (401, 403):
                found.denied = answer
                break
            if answer.status != 404 and strict:
                raise refused(
                    answer,
                    self._repository,
                    "tell about an image",
                    logged_in=self._client.has_credentials,
                )
            if answer.status != 404:
                break
        return found

    def put(self, blob: Blob, reference: str) -> Answer:
        """Send a manifest under `reference`, a tag or a digest, and return what is answered."""
        content = blob.content
        if not isinstance(content, Bytes):
            raise TypeError("a manifest is made of bytes")
        data = content.data
        return self._client.ask(
            "PUT",
            f"{self._base}/manifests/{reference}",
            self._scopes,
            headers={"Content-Type": blob.descriptor.media_type},
            payload=Payload(len(data), lambda: (data,)),
        )

    def put_back(self, before: Answer, tag: str) -> None:
        """Let `tag` lead to what it led to before, as far as the registry does that."""
        self._client.ask(
            "PUT",
            f"{self._base}/manifests/{tag}",
            self._scopes,
            headers={"Content-Type": before.headers.get("Content-Type") or MANIFEST_TYPE},
            payload=Payload(len(before.data), lambda: (before.data,)),
        )

    def has(self, digest: str) -> bool:
        """Whether the repository has the manifest with that digest."""
        path = f"{self._base}/manifests/{digest}"
        return self._client.ask("HEAD", path, self._scopes, headers={"Accept": _ACCEPT}).ok

    def _get(self, reference: str) -> Answer:
        path = f"{self._base}/manifests/{reference}"
        return self._client.ask("GET", path, self._scopes, headers={"Accept": _ACCEPT})

    def _take(self, answer: Answer, found: Found, images: Sequence[OpenImage]) -> None:
        if not answer.whole:
            # No registry takes such a manifest: something else lies there.
            return
        digest = _digest_of(answer.data)
        check_digest(answer, digest, "the image under the tag")
        found.top = digest
        if answer.headers.get("Docker-Content-Digest") == digest:
            found.before = answer
        document = answer.document()
        if not isinstance(document, dict):
            return
        found.manifests.add(digest)
        if not isinstance(document.get("manifests"), list):
            self._take_image(document, found, images)
            return
        for entry in self._fitting(document["manifests"], images):
            child = self._get(entry)
            if child.ok and _digest_of(child.data) == entry:
                found.manifests.add(entry)
                self._take_image(child.document(), found, images)

    def _fitting(self, entries: Sequence[Any], images: Sequence[OpenImage]) -> Iterator[str]:
        """Yield the digests of images of an index that are for the same platforms as `images`."""
        wanted = {(image.platform.os, image.platform.architecture) for image in images}
        count = 0
        for entry in entries:
            platform = entry.get("platform") if isinstance(entry, dict) else None
            digest = str(entry.get("digest")) if isinstance(entry, dict) else ""
            if not isinstance(platform, dict) or not is_digest(digest):
                continue
            if (str(platform.get("os")), str(platform.get("architecture"))) in wanted:
                count += 1
                if count > _INDEXED_MAX:
                    return
                yield digest

    def _take_image(self, manifest: Any, found: Found, images: Sequence[OpenImage]) -> None:
        config = manifest.get("config") if isinstance(manifest, dict) else None
        layers = manifest.get("layers") if isinstance(manifest, dict) else None
        digest = str(config.get("digest")) if isinstance(config, dict) else ""
        if not isinstance(layers, list) or not is_digest(digest):
            return
        found.blobs.add(digest)
        descriptors = [_layer(layer) for layer in layers]
        found.blobs |= {layer.digest for layer in descriptors if layer}
        diff_ids = self._diff_ids(digest, images)
        if len(diff_ids) != len(descriptors):
            return
        for diff_id, descriptor in zip(diff_ids, descriptors, strict=True):
            if descriptor and isinstance(diff_id, str):
                found.layers.setdefault(diff_id, []).append(descriptor)

    def _diff_ids(self, digest: str, images: Sequence[OpenImage]) -> Sequence[Any]:
        """Return the diff IDs in the image configuration with that digest."""
        for image in images:
            if image.config_digest == digest:
                return [layer.diff_id for layer in image.layers]
        answer = self._client.ask("GET", f"{self._base}/blobs/{digest}", self._scopes)
        if not answer.ok or not answer.whole:
            return []
        if _digest_of(answer.data) != digest:
            warn(
                f"the registry {self._repository.registry} has other bytes than those of {digest}; "
                "what it has of the image is not relied on"
            )
            return []
        config = answer.document()
        rootfs = config.get("rootfs") if isinstance(config, dict) else None
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        return diff_ids if isinstance(diff_ids, list) else []


def checked_put(
    answer: Answer, blob: Blob, repository: Repository, tag: str | None, *, logged_in: bool
) -> None:
    """Raise `UserError` where `answer` to a manifest is not that it is there; `tag` is named."""
    if not answer.ok:
        what = f"the manifest for the tag {tag}" if tag else "the image's manifest"
        raise refused(answer, repository, f"take {what}", logged_in=logged_in)
    check_digest(answer, blob.descriptor.digest, "the image")


def lacks_blobs(answer: Answer) -> bool:
    """Whether a manifest is refused because the registry hasn't what it names."""
    return answer.status in (400, 404) and bool(
        answer.codes & {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}
    )


def by_tag_alone(answer: Answer) -> bool:
    """Whether a manifest is refused because it was sent under its digest, which some can't take."""
    return answer.status in (405, 501) or bool(answer.codes & {"TAG_INVALID", "UNSUPPORTED"})


def choose(
    candidates: Collection[Descriptor], compressor: str | None, *, exact: bool
) -> Descriptor | None:
    """Return the blob to use for a layer, of those that a registry has; None for none.

    What is made by `compressor` is what we would make ourselves. What others made will do, if not
    `exact`.
    """
    for candidate in candidates:
        if candidate.annotations.get(COMPRESSOR) == compressor and compressor:
            return candidate
    if exact:
        return None
    return next(iter(candidates), None)


def _layer(value: Any) -> Descriptor | None:
    """Return the descriptor of a layer, None for what can't be one of ours.

    What has URLs is held by no registry (OCI image specification, "Non-distributable Layers").
    """
    if not isinstance(value, dict) or value.get("urls"):
        return None
    media_type = _LAYER_TYPES.get(str(value.get("mediaType")))
    digest, size = value.get("digest"), value.get("size")
    annotations: Mapping[str, Any] = value.get("annotations") or {}
    if not media_type or not isinstance(size, int) or size < 0 or not is_digest(str(digest)):
        return None
    compressor = annotations.get(COMPRESSOR) if isinstance(annotations, dict) else None
    own = {COMPRESSOR: compressor} if isinstance(compressor, str) else {}
    return Descriptor(media_type, str(digest), size, own)


def _digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
