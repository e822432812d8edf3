"""Images to be sent, from whatever a path leads to: plans, documents, scripts, archives, layouts.

Nothing is read that the digests in it make needless: layers are looked at when they are sent.
"""

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import (
    OpenImage,
    OpenIndex,
    open_index,
    open_layer,
    open_planned,
)
from builders.blobs.planned_images import PlannedImage
from builders.blobs.source import (
    assembled,
)
from builders.compression.streams import NONE
from builders.console.errors import UserError, die
from builders.formats.image_archive import (
    INDEX,
    OCI_LAYOUT,
    open_archive,
)
from builders.formats.image_reader import BaseImage, images_in
from builders.formats.json_values import parse_json
from builders.formats.open_layouts import (
    ArchiveLayout,
    DirectoryLayout,
    NamedOpenImage,
    open_layout,
)
from builders.image.layer_kinds import MEDIA_TYPES
from builders.image.platform import Platform

_AGAIN: Final = "make it again"
_SCRIPT_MAX: Final = 1 << 16
_DEFAULT: Final = LayerCompression("gz")
_PLAIN: Final = MEDIA_TYPES[NONE]
_STORE_HASH: Final = re.compile(r"/([0-9a-z]{32})-[^/]+$")


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
        return open_layout(DirectoryLayout(path))
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
            return open_layout(ArchiveLayout(archive))
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
