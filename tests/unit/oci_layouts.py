"""Checks OCI layouts, directories or archives, with no line of builders/.

Source: OCI image specification v1.1, "Image Layout", "Image Manifest", "Image Configuration" and
"Image Index"; Docker image specification v1.3.0 for manifest.json.
"""

import gzip
import hashlib
import json
import os
import pathlib
import re
import tarfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import zstandard

from tests.unit import oci_schemas

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_OPENERS: dict[str, Callable[[Any], Any]] = {
    LAYER: lambda file: file,
    f"{LAYER}+gzip": gzip.open,
    f"{LAYER}+zstd": lambda file: zstandard.ZstdDecompressor().stream_reader(
        file, read_across_frames=True
    ),
}
_DAMAGE = (EOFError, OSError, zstandard.ZstdError)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Image:
    """An image of a layout: what the index says of it, its manifest, and its configuration."""

    descriptor: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]


@dataclass
class Layout:
    """What was found in a layout; `problems` are sentences, none if it is right."""

    index: dict[str, Any] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def image(self) -> Image:
        """The only image."""
        (image,) = self.images
        return image


def check_layout(path) -> Layout:
    """Return what is in the layout at `path`, a directory or a tar of one.

    Raises `AssertionError`, with all that is wrong.
    """
    layout = read_layout(path)
    assert not layout.problems, "\n".join([f"{path}:", *layout.problems])
    return layout


def read_layout(path) -> Layout:
    """Return what is in a layout, right or wrong."""
    path = pathlib.Path(path)
    with _Directory.opened(path) if path.is_dir() else _Tar.opened(path) as files:
        return _Checker(files, Layout(problems=list(files.problems))).check()


class _Directory:
    """The files of a directory by name."""

    def __init__(self, root):
        self.root = root
        self.names, self.problems = [], []
        for directory, _, files in os.walk(root):
            for name in files:
                path = pathlib.Path(directory, name)
                self.names.append(str(path.relative_to(root)))
                if path.is_symlink():
                    self.problems.append(f"{self.names[-1]} is a symlink")

    @classmethod
    @contextmanager
    def opened(cls, path):
        yield cls(path)

    def open(self, name):
        return open(self.root / name, "rb")


class _Tar:
    """The files of a tar by name."""

    def __init__(self, archive):
        self.archive = archive
        self.members, self.problems = {}, []
        for member in archive:
            if member.isdir():
                continue
            if not member.isfile():
                self.problems.append(f"{member.name} is no file")
            if member.name in self.members:
                self.problems.append(f"{member.name} comes twice")
            self.members[member.name] = member
        self.names = list(self.members)

    @classmethod
    @contextmanager
    def opened(cls, path):
        # No compression: who reads an archive from a pipe, reads it as it is.
        with tarfile.open(path, "r:") as archive:
            yield cls(archive)

    def open(self, name):
        return self.archive.extractfile(self.members[name])


class _Checker:
    """One check of a layout; what is found goes to `layout`."""

    def __init__(self, files, layout):
        self.files = files
        self.layout = layout
        self.used = set()
        self.digests = {}

    def check(self):
        self._document("layout", "oci-layout")
        index = self._document("index", "index.json")
        if index is not None:
            self.layout.index = index
            self._index(index, "index.json", expected=INDEX)
        self.used |= {"oci-layout", "index.json", "manifest.json"}
        if "manifest.json" in self.files.names:
            self._docker_manifest()
        for name in sorted(set(self.files.names) - self.used):
            self._say(f"nothing refers to {name}")
        return self.layout

    def _say(self, problem):
        self.layout.problems.append(problem)

    def _expect(self, condition, problem):
        if not condition:
            self._say(problem)
        return condition

    def _document(self, kind, name):
        """Return the JSON document `name`, or None if there is none that the schema accepts."""
        if not self._expect(name in self.files.names, f"{name} is missing"):
            return None
        with self.files.open(name) as file:
            data = file.read()
        try:
            document = json.loads(data, object_pairs_hook=_unique)
        except ValueError as error:
            self._say(f"{name}: {error}")
            return None
        problems = oci_schemas.problems(kind, document)
        self.layout.problems += [f"{name}: {problem}" for problem in problems]
        return None if problems else document

    def _blob(self, descriptor, where):
        """Return the name of what a descriptor is of, or None if it isn't there and whole."""
        digest, size = descriptor["digest"], descriptor["size"]
        if not re.fullmatch("sha256:[0-9a-f]{64}", digest):
            self._say(f"{where} has the digest {digest}")
            return None
        name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
        self.used.add(name)
        if not self._expect(name in self.files.names, f"{where} needs {name}, which is missing"):
            return None
        if name not in self.digests:
            with self.files.open(name) as file:
                self.digests[name] = _digest(file)
        is_digest, is_size = self.digests[name]
        right = self._expect(is_digest == digest, f"{name} has the digest {is_digest}")
        right &= self._expect(size == is_size, f"{where} says {size} bytes, and it has {is_size}")
        return name if right else None

    def _index(self, index, where, *, expected):
        found = index.get("mediaType", expected)
        self._expect(found == expected, f"{where} has the media type {found}")
        self._expect(index["manifests"], f"{where} has no manifests")
        platforms = [descriptor.get("platform") for descriptor in index["manifests"]]
        if len(platforms) > 1 and where != "index.json":
            self._expect(None not in platforms, f"{where} has manifests without a platform")
            texts = [json.dumps(platform, sort_keys=True) for platform in platforms]
            self._expect(len(set(texts)) == len(texts), f"{where} has a platform twice")
        for number, descriptor in enumerate(index["manifests"]):
            of = f"{where}, manifest {number},"
            media_type = descriptor["mediaType"]
            if not self._expect(media_type in (MANIFEST, INDEX), f"{of} is of type {media_type}"):
                continue
            name = self._blob(descriptor, of)
            kind = "index" if media_type == INDEX else "manifest"
            document = self._document(kind, name) if name else None
            if document is None:
                continue
            if media_type == INDEX:
                self._index(document, name, expected=media_type)
            else:
                self._manifest(document, descriptor, name)

    def _manifest(self, manifest, descriptor, name):
        found = manifest.get("mediaType", MANIFEST)
        self._expect(found == MANIFEST, f"{name} has the media type {found}")
        of_config = manifest["config"]
        found = of_config["mediaType"]
        self._expect(found == CONFIG, f"{name}: its config is of type {found}")
        config_name = self._blob(of_config, f"{name}, config,")
        config = self._document("config", config_name) if config_name else None
        diff_ids = [
            self._layer(layer, f"{name}, layer {number},")
            for number, layer in enumerate(manifest["layers"])
        ]
        if config is None:
            return
        self._expect(
            config["rootfs"]["diff_ids"] == diff_ids,
            f"{config_name}: diff_ids are {config['rootfs']['diff_ids']}, layers are {diff_ids}",
        )
        if "history" in config:
            filled = [entry for entry in config["history"] if not entry.get("empty_layer")]
            self._expect(
                len(filled) == len(diff_ids),
                f"{config_name}: history tells of {len(filled)} layers, and there are "
                f"{len(diff_ids)}",
            )
        self._platform(descriptor.get("platform"), config, name)
        self.layout.images.append(Image(descriptor, manifest, config))

    def _platform(self, platform, config, name):
        keys = ("architecture", "os", "variant", "os.version", "os.features")
        if platform is not None:
            of_config = {key: config[key] for key in keys if key in config}
            self._expect(
                platform == of_config, f"{name} is listed for {platform}, and is for {of_config}"
            )

    def _layer(self, descriptor, where):
        """Return the digest of a layer's tar, or None if it can't be read."""
        media_type = descriptor["mediaType"]
        if not self._expect(media_type in _OPENERS, f"{where} is of type {media_type}"):
            return None
        name = self._blob(descriptor, where)
        if not name:
            return None
        try:
            with self.files.open(name) as file, _OPENERS[media_type](file) as tar:
                beginning = tar.read(512)
                digest = _digest(tar, beginning)[0]
        except _DAMAGE as error:
            self._say(f"{where} can't be read as {media_type}: {error}")
            return None
        self._expect(
            beginning[257:262] == b"ustar" or not beginning.strip(b"\0"),
            f"{where} holds no tar",
        )
        return digest

    def _docker_manifest(self):
        with self.files.open("manifest.json") as file:
            entries = json.load(file)
        ours = [
            (image.manifest["config"], image.manifest["layers"]) for image in self.layout.images
        ]
        of_images = [(_member(config), [_member(one) for one in layers]) for config, layers in ours]
        for entry in entries:
            self._expect(
                (entry["Config"], entry["Layers"]) in of_images,
                f"manifest.json has an image that index.json has not: {entry}",
            )
            tags = entry["RepoTags"]
            self._expect(
                tags is None or all(":" in tag for tag in tags), f"manifest.json has tags {tags}"
            )


def _member(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _digest(file, beginning=b""):
    """Return the digest of a file and its size; of it, `beginning` has been read."""
    digest, size = hashlib.sha256(beginning), len(beginning)
    while data := file.read(_CHUNK):
        digest.update(data)
        size += len(data)
    return f"sha256:{digest.hexdigest()}", size


def _unique(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a name comes twice among {names}")
    return dict(pairs)
