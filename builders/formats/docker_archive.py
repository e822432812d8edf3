"""The Docker archive, as `docker save` writes it and `docker load` reads it.

Its members are layers, image configurations and manifest.json, which names the two. Ours are called
by their digests: `HEX/layer.tar` and `HEX.json`. Source: Docker image specification v1.3.0,
"Combined Image JSON + Filesystem Changeset Format".
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.formats.documents import read_document
from builders.formats.image_archive import (
    DESCRIBING,
    IMAGES_MAX,
    MANIFEST,
    RESAVE,
    ImageArchive,
)
from builders.formats.json_values import JsonValue
from builders.formats.named_images import Choice, NamedImage, familiar
from builders.image.layer_kinds import BaseLayer, Layer
from builders.tar.header import REGULAR, Entry
from builders.tar.sinks import Sink
from builders.tar.writer import TarWriter

_MODE: Final = 0o644


def docker_images(archive: ImageArchive) -> list[NamedImage]:
    """Return the images that manifest.json names; there is at least one."""
    document, _ = read_document(archive, MANIFEST, wanted=f"its {MANIFEST}")
    entries = JsonValue(document, f"{archive.what}: {MANIFEST}", hint=RESAVE).elements()
    if not entries:
        die(f"{archive.what}: {MANIFEST} names no image", hint=RESAVE)
    if len(entries) > IMAGES_MAX:
        die(f"{archive.what}: {MANIFEST} names more than {IMAGES_MAX} images", hint=RESAVE)
    return [
        NamedImage(
            source=MANIFEST,
            config=entry["Config"].string(),
            layers=entry["Layers"].strings(),
            repo_tags=entry["RepoTags"].strings(),
        )
        for entry in entries
    ]


def choose_docker(
    archive: ImageArchive, images: Sequence[NamedImage], choice: Choice
) -> NamedImage:
    """Return that of `images` which is meant."""
    held = [repo_tag for image in images for repo_tag in image.repo_tags]
    choice.check(archive.what, held)
    wanted = choice.reference
    if wanted is None:
        return images[0]
    for image in images:
        if wanted in map(familiar, image.repo_tags):
            return image
    raise choice.missing(archive.what, held)


def layer_name(diff_id: str) -> str:
    """Return what the layer with this diff ID is called in archives of ours."""
    return f"{diff_id.removeprefix('sha256:')}/layer.tar"


def member_names(layers: Sequence[Layer], *, config: str) -> list[str]:
    """Return what each of `layers` is called in an archive beside the configuration `config`.

    A base image's layer keeps its name, so that images on it stay what they are, unless that could
    be taken for another member: it is the name of one, lies below one, or another lies below it.
    Whoever makes a base image chooses its names, and can know ours.
    """
    ours = {layer_name(layer.blob.digest) for layer in layers} | {config, *DESCRIBING}
    theirs: dict[str, set[str]] = {}
    for layer in layers:
        if isinstance(layer, BaseLayer):
            theirs.setdefault(layer.name, set()).add(layer.blob.digest)
    files = ours | theirs.keys()
    directories = {directory for name in files for directory in _parents(name)}

    def name(layer: Layer) -> str:
        own = layer_name(layer.blob.digest)
        if not isinstance(layer, BaseLayer) or layer.name == own:
            return own
        is_free = layer.name not in ours | directories and files.isdisjoint(_parents(layer.name))
        return layer.name if is_free and len(theirs[layer.name]) == 1 else own

    return list(map(name, layers))


def _parents(name: str) -> Iterator[str]:
    """Yield the directories that the member `name` lies in."""
    at = 0
    while (at := name.find("/", at + 1)) != -1:
        yield name[:at]


@dataclass(frozen=True)
class ImageEntry:
    """An image in manifest.json: its configuration, names, and the names of its layers."""

    config: bytes
    repo_tags: Sequence[str]
    layers: Sequence[str]

    @property
    def config_name(self) -> str:
        """The member that the configuration is."""
        return f"{hashlib.sha256(self.config).hexdigest()}.json"


class DockerArchiveWriter:
    """Writes a Docker archive to a sink: its layers, and then `finish`.

    Members of our own have the time `mtime`, in seconds since 1970. A member that comes again is
    written once.
    """

    def __init__(self, sink: Sink, *, mtime: int) -> None:
        self._tar = TarWriter(sink)
        self._mtime = mtime
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self._names

    def add(self, name: str, size: int, content: Callable[[], object] | bytes) -> None:
        """Write a member of our own."""
        self._add(
            Entry(name=name, type=REGULAR, mode=_MODE, uid=0, gid=0, mtime=self._mtime, size=size),
            content,
        )

    def add_layer(self, name: str, layer: Layer, content: Callable[[], object]) -> None:
        """Write a layer, which `content` writes; one of a base image with its own header."""
        size = layer.blob.size
        if not isinstance(layer, BaseLayer):
            self.add(name, size, content)
            return
        entry = Entry(
            name=name,
            type=REGULAR,
            mode=layer.mode,
            uid=layer.uid,
            gid=layer.gid,
            mtime=layer.mtime,
            size=size,
            uname=layer.uname,
            gname=layer.gname,
        )
        self._add(entry, content)

    def finish(self, images: Sequence[ImageEntry]) -> None:
        """Write the configurations of `images`, manifest.json and the end."""
        for image in images:
            self.add(image.config_name, len(image.config), image.config)
        manifest = _manifest(images)
        self.add(MANIFEST, len(manifest), manifest)
        self._tar.finish()

    def _add(self, entry: Entry, content: Callable[[], object] | bytes) -> None:
        if entry.name in self._names:
            return
        self._names.add(entry.name)
        self._tar.add(entry, content)


def _manifest(images: Sequence[ImageEntry]) -> bytes:
    """Return manifest.json; indent and order of keys are the reference's."""
    entries = [
        {
            "Config": image.config_name,
            "RepoTags": list(image.repo_tags),
            "Layers": list(image.layers),
        }
        for image in images
    ]
    return json.dumps(entries, indent=4).encode()
