"""Reading images of registries: manifest and image configuration, and layers where they are needed.

Sources: OCI distribution specification v1.1, "Pulling manifests" and "Pulling blobs"; RFC 9110,
"Range Requests".
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from builders.blobs.descriptors import COMPRESSOR, CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE
from builders.compression.readers import CHUNK, Chunks, Reader
from builders.console.errors import UserError, die
from builders.formats.image_index import IndexEntry, choose_platform, describe_platforms, read_index
from builders.formats.json_values import JsonValue, parse_json
from builders.image.names import is_digest, is_name
from builders.image.platform import LINUX, Platform
from builders.registry.answers import Answer
from builders.registry.client import Client
from builders.registry.destinations import (
    DOCKER_HUB,
    Repository,
    checked_tag,
    read_repository,
)
from builders.registry.refusals import refused
from builders.registry.uploads import pull_scope

_TRANSPORT: Final = "docker://"
_DOCKER: Final = "application/vnd.docker"
_ACCEPT: Final = ", ".join(
    (
        MANIFEST_TYPE,
        f"{_DOCKER}.distribution.manifest.v2+json",
        INDEX_TYPE,
        f"{_DOCKER}.distribution.manifest.list.v2+json",
    )
)
_CONFIG_TYPES: Final = (CONFIG_TYPE, f"{_DOCKER}.container.image.v1+json")
_LATEST: Final = "latest"
_TELL: Final = "check the name of the image, or tell whoever runs the registry"
_LATER: Final = "try again later"
_PART: Final = 4 << 20
"""Bytes of a layer that are asked for at once: a request that fails costs no more."""
_INDEX_DEPTH: Final = 2


@dataclass(frozen=True)
class VersionReference:
    """An image of a registry; `version` is a tag or a digest."""

    repository: Repository
    version: str

    def __str__(self) -> str:
        between = "@" if is_digest(self.version) else ":"
        return f"{self.repository}{between}{self.version}"


@dataclass(frozen=True)
class RemoteLayer:
    """A layer as the registry has it.

    `compressor` is what a manifest of ours says has compressed it, and `entry` its entry of the
    history, {} if there is none.
    """

    digest: str
    size: int
    media_type: str
    diff_id: str
    compressor: str | None
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class StoredImage:
    """An image in a registry, of which no layer was read.

    `documents` are the bytes of manifest and image configuration. `platforms` are those of the
    index that it was chosen from, in words; "" where it is in none.
    """

    reference: VersionReference
    config: Mapping[str, Any]
    config_digest: str
    documents: int
    layers: tuple[RemoteLayer, ...]
    platforms: str


def read_version_reference(text: str) -> VersionReference:
    """Return what `text` names, which begins with docker://; without tag and digest it is "latest".

    With a tag and a digest the digest counts, as Docker has it. Raises `UserError` where it names
    no image of a registry.
    """
    reference = text.removeprefix(_TRANSPORT)
    name, at, digest = reference.partition("@")
    if at and not is_digest(digest):
        die(f"{text!r} has no digest behind its '@'", hint="digests are like sha256:0123…")
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        before, tag = name, ""
    elif not tag:
        die(f"{text!r} ends where its tag should begin", hint="name a tag, or leave out the colon")
    if tag:
        checked_tag(tag)
    if is_name(before) and "/" not in before:
        # Docker's own images.
        before = f"{DOCKER_HUB}/library/{before}"
    repository = read_repository(before, what=text)
    return VersionReference(repository, digest or tag or _LATEST)


class RemoteReader:
    """Reads images of one repository."""

    def __init__(self, client: Client, repository: Repository) -> None:
        self._client = client
        self._repository = repository
        self._scopes = (pull_scope(repository),)
        self._base = f"/v2/{repository.path}"

    def image(self, reference: VersionReference, *, architecture: str | None) -> StoredImage:
        """Return the image; of an index, the one for Linux and `architecture` (as in GOARCH).

        Raises `UserError` where there is none, or where the registry has other bytes than those of
        a digest.
        """
        manifest, size, platforms = self._manifest(
            reference.version, architecture, what=f"the manifest of {reference}", depth=0
        )
        kind = manifest["config"].value
        media_type = manifest["config"]["mediaType"].string() if kind is not None else None
        if media_type not in _CONFIG_TYPES:
            said = f"it is of the type {media_type}" if media_type else "it has no configuration"
            die(f"{reference} is no image that can be explained: {said}", hint=_TELL)
        digest = f"sha256:{manifest['config']['digest'].digest()}"
        what = f"the configuration of {reference}"
        data = self._whole(f"{self._base}/blobs/{digest}", digest, what=what)
        config = _parsed(data, what)
        return StoredImage(
            reference=reference,
            config=config.properties(),
            config_digest=digest,
            documents=size + len(data),
            layers=_layers(manifest, config),
            platforms=platforms,
        )

    def layer(self, layer: RemoteLayer, *, what: str) -> Reader:
        """Return a reader of the blob, which raises `UserError` at the end if that is another.

        It asks for one part after the other; a part that fails is asked for again.
        """
        return Chunks(self._parts(layer, what=what))

    def _parts(self, layer: RemoteLayer, *, what: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        position = 0
        while position < layer.size:
            data = self._part(layer, position, what=what)
            digest.update(data)
            position += len(data)
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]
        if position != layer.size or f"sha256:{digest.hexdigest()}" != layer.digest:
            _other_bytes(self._repository, what, layer.digest)

    def _part(self, layer: RemoteLayer, position: int, *, what: str) -> bytes:
        last = min(position + _PART, layer.size) - 1
        path = f"{self._base}/blobs/{layer.digest}"
        with _reading():
            answer = self._client.ask(
                "GET", path, self._scopes, headers={"Range": f"bytes={position}-{last}"}
            )
        self._check(answer, "a layer")
        if answer.status != 206 and not answer.whole:
            die(
                f"the registry {self._repository.registry} gives no parts of {what}",
                hint="copy the image into an archive with 'skopeo copy', and give that",
            )
        data = answer.data if answer.status == 206 else answer.data[position:]
        if not data:
            _other_bytes(self._repository, what, layer.digest)
        return data

    def _manifest(
        self, version: str, architecture: str | None, *, what: str, depth: int
    ) -> tuple[JsonValue, int, str]:
        """Return a manifest, its bytes, and the platforms of the index that it is in."""
        path = f"{self._base}/manifests/{version}"
        digest = version if is_digest(version) else None
        data = self._whole(path, digest, what=what)
        entries = read_index(data, what=what, hint=_TELL)
        if entries is None:
            return _parsed(data, what), len(data), ""
        entry = self._chosen(entries, architecture, what=what)
        if depth == _INDEX_DEPTH:
            die(f"{what} leads from index to index", hint=_TELL)
        found, size, inner = self._manifest(entry.digest, architecture, what=what, depth=depth + 1)
        return found, size, inner or describe_platforms(entries)

    @staticmethod
    def _chosen(
        entries: Sequence[IndexEntry], architecture: str | None, *, what: str
    ) -> IndexEntry:
        wanted = Platform(LINUX, architecture or "")
        entry = entries[0] if len(entries) == 1 else choose_platform(entries, wanted)
        if entry is None:
            die(
                f"{what} is an index, and has no image for {wanted}",
                hint=f"choose with --architecture of those that it has: "
                f"{describe_platforms(entries)}",
            )
        return entry

    def _whole(self, path: str, digest: str | None, *, what: str) -> bytes:
        """Return a document, which has `digest` where that is known."""
        with _reading():
            answer = self._client.ask("GET", path, self._scopes, headers={"Accept": _ACCEPT})
        self._check(answer, "an image")
        if not answer.whole:
            die(f"{what} is larger than any that a registry takes", hint=_TELL)
        found = f"sha256:{hashlib.sha256(answer.data).hexdigest()}"
        said = answer.headers.get("Docker-Content-Digest") or found
        if found != (digest or found) or (said.startswith("sha256:") and said != found):
            _other_bytes(self._repository, what, digest or said)
        return answer.data

    def _check(self, answer: Answer, what: str) -> None:
        if answer.ok:
            return
        if answer.status == 404 and "MANIFEST_UNKNOWN" in answer.codes:
            die(
                f"the registry {self._repository.registry} has no such image of "
                f"{self._repository} ({answer.said})",
                hint="check its tag or digest",
            )
        with _reading():
            raise refused(
                answer,
                self._repository,
                f"give {what}",
                logged_in=self._client.has_credentials,
            )


def _layers(manifest: JsonValue, config: JsonValue) -> tuple[RemoteLayer, ...]:
    layers = manifest["layers"].or_else([]).elements()
    rootfs = config["rootfs"]
    claimed = [] if rootfs.value is None else rootfs["diff_ids"].or_else([]).elements()
    if len(claimed) != len(layers):
        die(
            f"{manifest.where} names {len(layers)} layers, and {config.where} {len(claimed)}",
            hint=_TELL,
        )
    history = _history(config, len(layers))
    return tuple(
        RemoteLayer(
            digest=f"sha256:{layer['digest'].digest()}",
            size=layer["size"].natural(),
            media_type=layer["mediaType"].string(),
            diff_id=f"sha256:{claim.digest()}",
            compressor=_compressor(layer),
            entry=entry,
        )
        for layer, claim, entry in zip(layers, claimed, history, strict=True)
    )


def _compressor(layer: JsonValue) -> str | None:
    value = layer["annotations"].or_else({}).lookup(COMPRESSOR).value
    return value if isinstance(value, str) else None


def _history(config: JsonValue, count: int) -> Sequence[Mapping[str, Any]]:
    """Return an entry for each of `count` layers; {} each where the history is not of them."""
    entries = [entry.value for entry in config["history"].or_else([]).elements()]
    found = [one for one in entries if isinstance(one, dict) and not one.get("empty_layer")]
    return found if len(found) == count else [{}] * count


def _parsed(data: bytes, what: str) -> JsonValue:
    try:
        return JsonValue(parse_json(data), what, hint=_TELL)
    except ValueError as error:
        raise UserError(f"{what} is not JSON ({error})", hint=_TELL) from None


def _other_bytes(repository: Repository, what: str, digest: str) -> NoReturn:
    die(
        f"the registry {repository.registry} has other bytes for {what} than those of {digest}",
        hint="try again; if that is the same, tell whoever runs the registry",
    )


@contextmanager
def _reading() -> Iterator[None]:
    """Say in a failure what to do for who reads: others of this room speak to who pushes."""
    try:
        yield
    except UserError as error:
        if not (error.hint or "").startswith("push again"):
            raise
        raise UserError(error.message, hint=_LATER) from None
