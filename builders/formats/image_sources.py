"""Images to be sent, from whatever a path leads to: plans, documents, scripts, archives, layouts.

Nothing is read that the digests in it make needless: layers are looked at when they are sent.
"""

import hashlib
import json
import os
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from builders.blobs.descriptors import CONTAINERD_NAME, REFERENCE_NAME, Descriptor
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import (
    OpenImage,
    OpenIndex,
    open_complete,
    open_index,
    open_layer,
    open_planned,
)
from builders.blobs.planned_images import PlannedImage
from builders.blobs.source import (
    Blob,
    Bytes,
    Content,
    FileContent,
    Image,
    Index,
    LayerContent,
    assembled,
)
from builders.compression.streams import NONE
from builders.console.errors import UserError, die
from builders.formats.documents import find_file, read_document, wrong_digest
from builders.formats.image_archive import (
    DOCUMENT_LIMIT,
    INDEX,
    OCI_LAYOUT,
    ImageArchive,
    open_archive,
)
from builders.formats.image_reader import BaseImage, images_in
from builders.formats.json_values import JsonValue, parse_json
from builders.image.layer_kinds import MEDIA_TYPES, BaseLayer, StoredBytes
from builders.image.platform import Platform

_AGAIN: Final = "make it again"
_INDEX_TYPES: Final = ("image.index.v1+json", "manifest.list.v2+json")
_SCRIPT_MAX: Final = 1 << 16
_IMAGES_MAX: Final = 1000
_DEFAULT: Final = LayerCompression("gz")
_PLAIN: Final = MEDIA_TYPES[NONE]
_STORE_HASH: Final = re.compile(r"/([0-9a-z]{32})-[^/]+$")


@dataclass(frozen=True)
class NamedOpenImage:
    """What a path leads to, with the name and the tag that it has, as far as it has any."""

    source: OpenImage | OpenIndex
    name: str | None
    tag: str | None


@dataclass(frozen=True)
class Reading:
    """How images are read.

    `compression` is for layers that come without, None for the usual one, and `architecture` the
    one to choose where an archive has a name several times. `jobs` threads hash what has to be
    hashed, and `hint` says what to do about a file that is missing or has changed. `find` returns
    where a file is that some other build may have made, None if it can't be had.
    """

    compression: LayerCompression | None
    architecture: str
    jobs: int
    hint: str
    find: Callable[[str], str | None] = lambda _: None


@dataclass(frozen=True)
class ArchivedImage:
    """An image in the file `archive`, called `name` in messages.

    Its plain layers are compressed with `compressor` at `compression_level`. `architecture` is that
    of the image where the archive has one for each of several.
    """

    name: str
    archive: str
    compressor: str
    compression_level: int | None
    architecture: str


def open_archived(
    image: ArchivedImage, *, jobs: int, hint: str, compression: LayerCompression | None = None
) -> OpenImage:
    """Return what the archive holds; raises `UserError` for an index.

    `compression` is for the image's own; `jobs` and `hint` are those of `Reading`.
    """
    own = LayerCompression(image.compressor, image.compression_level)
    reading = Reading(compression or own, image.architecture, jobs, hint)
    source = read_source(image.archive, reading).source
    if isinstance(source, OpenIndex):
        die(
            f"{image.archive} holds an image index",
            hint="copy one of its images into an archive of its own with 'skopeo copy'",
        )
    return source


def read_source(path: str, reading: Reading) -> NamedOpenImage:
    """Return the image or the index at `path`; raises `UserError` where there is none."""
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, OCI_LAYOUT)):
            die(
                f"{path} is a directory, and not an image layout, which has a file {OCI_LAYOUT}",
                hint="name an image layout, an archive, a stream script or a plan",
            )
        return _from_layout(_Directory(path))
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError as error:
        die(f"can't read {path}: {error.strerror}", hint="build it, or name another image")
    if start[:1] == b"{":
        return _from_document(path, reading)
    if start == b"#!":
        return _from_document(_plan_of_script(path), reading)
    return _from_archive(path, reading)


def _from_document(path: str, reading: Reading) -> NamedOpenImage:
    """Read a plan, or a document that names plans."""
    try:
        with open(path, "rb") as file:
            document = parse_json(file.read())
    except OSError as error:
        die(f"can't read the image plan {path}: {error.strerror}", hint="build the image again")
    except ValueError as error:
        raise UserError(f"{path} is no image plan ({error})", hint=_AGAIN) from None
    try:
        name, tag = _text(document["name"]), _text(document["tag"])
        given: list[PlannedImage | ArchivedImage] = [
            ArchivedImage(**image) if "archive" in image else PlannedImage(**image)
            for image in document.get("images") or ()
        ]
        # Else what is not here was never built, and is not worth to be asked for.
        find = reading.find if document.get("lazy") else _existing
        plan = PlannedImage(path, path, "gz", None, annotations={})
        opened = [_open(image, reading, find) for image in given or [plan]]
    except OSError as error:
        die(
            f"can't read {error.filename}, which {path} needs: {error.strerror}",
            hint="build the image again",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is no image plan of this version of Longshore ({error})",
            hint="build it again, or use the program that came with it",
        ) from None
    annotations = document.get("indexAnnotations")
    if annotations is not None:
        return NamedOpenImage(open_index(opened, annotations), name, tag)
    return NamedOpenImage(opened[0], name, tag or _hash_of(path))


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is no text")


def _existing(path: str) -> str | None:
    return path if os.path.exists(path) else None


def _open(
    image: PlannedImage | ArchivedImage, reading: Reading, find: Callable[[str], str | None]
) -> OpenImage:
    if isinstance(image, ArchivedImage):
        return open_archived(
            image, jobs=reading.jobs, hint=reading.hint, compression=reading.compression
        )
    # What another build would find out, and nobody has to.
    if image.blobs:
        image = replace(image, blobs=find(image.blobs))
    plan = image.resolved(jobs=reading.jobs, hint=reading.hint)
    return open_planned(
        plan,
        reading.compression or image.compression,
        annotations=image.annotations,
        known=image.known(),
    )


def _hash_of(path: str) -> str | None:
    found = _STORE_HASH.search(os.path.realpath(path))
    return found[1] if found else None


def _plan_of_script(path: str) -> str:
    """Return the plan that a stream script of ours streams."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_SCRIPT_MAX)
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = []
    for before, word in pairwise(words):
        if before == "stream" and os.path.isabs(word):
            return word
    die(
        f"{path} is a script, and not one that streams an image of Longshore's",
        hint="run it, and name the archive that it writes",
    )


def _from_archive(path: str, reading: Reading) -> NamedOpenImage:
    with open_archive(path, jobs=reading.jobs, what=path) as archive:
        if INDEX in archive.members and OCI_LAYOUT in archive.members:
            return _from_layout(_Archive(archive))
        images = images_in(archive, architecture=reading.architecture)
    if len(images) != 1:
        die(
            f"{path} holds {len(images)} images",
            hint="copy one into an archive of its own, for example with 'skopeo copy'",
        )
    return _from_base_image(images[0], reading.compression or _DEFAULT)


def _from_base_image(image: BaseImage, compression: LayerCompression) -> NamedOpenImage:
    """Return an image of a Docker archive, its plain layers compressed."""
    layers = []
    for layer in image.layers:
        opened = open_layer(layer, compression)
        if opened.media_type == _PLAIN and compression.format:
            opened = replace(
                opened,
                media_type=MEDIA_TYPES[compression.stream],
                format=compression.format,
                descriptor=None,
            )
        layers.append(opened)
    platform = Platform(
        str(image.config.get("os") or "linux"),
        str(image.config.get("architecture") or ""),
        image.config.get("variant"),
    )
    source = OpenImage(
        platform,
        image.config_json,
        tuple(layers),
        close=lambda blobs: assembled(image.config_json, blobs, platform=platform, annotations={}),
    )
    name, _, tag = (image.repo_tags[0] if image.repo_tags else "").rpartition(":")
    return NamedOpenImage(source, name or None, tag or None)


class _Layout(ABC):
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


class _Directory(_Layout):
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


class _Archive(_Layout):
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


def _from_layout(layout: _Layout) -> NamedOpenImage:
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


def _entry(layout: _Layout, entry: JsonValue) -> OpenImage | OpenIndex:
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


def _image(layout: _Layout, entry: JsonValue) -> Image:
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
