"""OCI image layouts, as directories and in archives: their blobs, to be sent as they are.

Source: OCI image specification v1.1, "Image Layout".
"""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from builders.blobs.descriptors import CONTAINERD_NAME, REFERENCE_NAME, Descriptor
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import (
    OpenImage,
    OpenIndex,
    open_complete,
)
from builders.blobs.source import (
    Blob,
    Bytes,
    Content,
    FileContent,
    Image,
    Index,
    LayerContent,
)
from builders.console.errors import UserError, die
from builders.formats.documents import find_file, read_document, wrong_digest
from builders.formats.image_archive import (
    DOCUMENT_LIMIT,
    INDEX,
    ImageArchive,
)
from builders.formats.json_values import JsonValue, parse_json
from builders.image.layer_kinds import BaseLayer, StoredBytes
from builders.image.platform import Platform

_AGAIN: Final = "make it again"
_INDEX_TYPES: Final = ("image.index.v1+json", "manifest.list.v2+json")
_IMAGES_MAX: Final = 1000


@dataclass(frozen=True)
class NamedOpenImage:
    """What a path leads to, with the name and the tag that it has, as far as it has any."""

    source: OpenImage | OpenIndex
    name: str | None
    tag: str | None


class Layout(ABC):
    """Where the blobs of an image layout are."""

    what: str

    @abstractmethod
    def index(self) -> JsonValue:
        """Return index.json."""

    @abstractmethod
    def document(self, digest: str) -> bytes:
        """Return a document, whose digest is right."""

    @abstractmethod
    def content(self, descriptor: Descriptor) -> Content:
        """Return the content of a layer."""


class DirectoryLayout(Layout):
    def __init__(self, path: str) -> None:
        self.what = path

    def index(self) -> JsonValue:
        return _parsed(self._read(INDEX), f"{self.what}: {INDEX}")

    def document(self, digest: str) -> bytes:
        name = f"blobs/sha256/{digest}"
        data = self._read(name)
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            die(
                f"{self.what}: the content of {name} is not what its name says: its SHA-256 is "
                f"{found}",
                hint=_AGAIN,
            )
        return data

    def content(self, descriptor: Descriptor) -> Content:
        path = os.path.join(self.what, "blobs/sha256", descriptor.hexadecimal)
        return FileContent(path, descriptor.size)

    def _read(self, name: str) -> bytes:
        path = os.path.join(self.what, name)
        try:
            with open(path, "rb") as file:
                return file.read(DOCUMENT_LIMIT)
        except OSError as error:
            die(f"can't read {path}: {error.strerror}", hint=_AGAIN)


class ArchiveLayout(Layout):
    def __init__(self, archive: ImageArchive) -> None:
        self.what = archive.what
        self._archive = archive

    def index(self) -> JsonValue:
        document, _ = read_document(self._archive, INDEX, wanted=f"its {INDEX}")
        return JsonValue(document, f"{self.what}: {INDEX}", hint=_AGAIN)

    def document(self, digest: str) -> bytes:
        name = f"blobs/sha256/{digest}"
        _, data = read_document(self._archive, name, wanted=f"{INDEX} needs {name}")
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            wrong_digest(self._archive, name, found)
        return data

    def content(self, descriptor: Descriptor) -> Content:
        name = f"blobs/sha256/{descriptor.hexadecimal}"
        member = find_file(self._archive, name, wanted=f"{INDEX} needs {name}")
        # As it lies there: what it is uncompressed, nobody asks.
        layer = BaseLayer(
            archive=self._archive.path,
            compression=self._archive.compression,
            offset=member.offset,
            stored=StoredBytes(descriptor.digest, descriptor.media_type, member.size),
            diff_id="",
            size=member.size,
            entry={},
            name=name,
            mode=member.mode,
            mtime=member.mtime,
            uid=member.uid,
            gid=member.gid,
            uname=member.uname,
            gname=member.gname,
        )
        return LayerContent(layer, LayerCompression("none"))


def open_layout(layout: Layout) -> NamedOpenImage:
    """Return the only image or index in a layout."""
    entries = layout.index()["manifests"].elements()
    digests = {entry["digest"].string(): entry for entry in entries}
    if len(digests) != 1:
        die(
            f"{layout.what} holds {len(digests) or 'no'} images",
            hint="copy one into a layout of its own, for example with 'skopeo copy'",
        )
    (entry,) = digests.values()
    annotations = entry["annotations"].or_else({})
    full = annotations.lookup(CONTAINERD_NAME).string_or_none() or ""
    reference = annotations.lookup(REFERENCE_NAME).string_or_none() or ""
    name, _, tag = (full or (reference if ":" in reference else f":{reference}")).rpartition(":")
    return NamedOpenImage(_entry(layout, entry), name or None, tag or None)


def _entry(layout: Layout, entry: JsonValue) -> OpenImage | OpenIndex:
    descriptor = _descriptor(entry)
    if not descriptor.media_type.endswith(_INDEX_TYPES):
        return open_complete(_image(layout, entry))
    data = layout.document(descriptor.hexadecimal)
    inner = _parsed(data, f"{layout.what}: {descriptor.digest}")["manifests"].elements()
    if len(inner) > _IMAGES_MAX or any(
        (image["mediaType"].string_or_none() or "").endswith(_INDEX_TYPES) for image in inner
    ):
        die(f"{layout.what}: {INDEX} leads to indexes within each other", hint=_AGAIN)
    images = [_image(layout, image) for image in inner]
    index = Index(index=Blob(descriptor, Bytes(data)), images=tuple(images))
    return OpenIndex(tuple(map(open_complete, images)), close=lambda _: index)


def _image(layout: Layout, entry: JsonValue) -> Image:
    descriptor = _descriptor(entry)
    data = layout.document(descriptor.hexadecimal)
    manifest = _parsed(data, f"{layout.what}: {descriptor.digest}")
    config = _descriptor(manifest["config"])
    config_data = layout.document(config.hexadecimal)
    layers = [_descriptor(layer) for layer in manifest["layers"].or_else([]).elements()]
    return Image(
        platform=_platform(entry, config_data),
        manifest=Blob(descriptor, Bytes(data)),
        config=Blob(config, Bytes(config_data)),
        layers=tuple(Blob(layer, layout.content(layer)) for layer in layers),
    )


def _platform(entry: JsonValue, config: bytes) -> Platform:
    given: Mapping[str, Any] = entry["platform"].or_else({}).properties()
    if not given:
        try:
            found = json.loads(config)
        except (ValueError, RecursionError):
            found = None
        given = found if isinstance(found, dict) else {}
    variant = given.get("variant")
    return Platform(
        str(given.get("os") or ""),
        str(given.get("architecture") or ""),
        variant if isinstance(variant, str) else None,
    )


def _descriptor(value: JsonValue) -> Descriptor:
    return Descriptor(
        media_type=value["mediaType"].string(),
        digest=f"sha256:{value['digest'].digest()}",
        size=value["size"].natural(),
    )


def _parsed(data: bytes, where: str) -> JsonValue:
    try:
        return JsonValue(parse_json(data), where, hint=_AGAIN)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error})", hint=_AGAIN) from None
