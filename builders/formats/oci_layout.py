"""Which image: those that an OCI image layout holds.

Source: OCI image specification v1.1, "Image Layout" (index.json), "Image Index", "Image Manifest".
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from builders.console.errors import die
from builders.formats.container_config import read_platform
from builders.formats.documents import read_document, wrong_digest
from builders.formats.image_archive import IMAGES_MAX, INDEX, RESAVE, ImageArchive
from builders.formats.image_index import IndexEntry, index_entries
from builders.formats.json_values import JsonValue
from builders.formats.named_images import Choice, NamedImage, familiar
from builders.image.layer_kinds import MEDIA_TYPES
from builders.image.platform import LINUX, Platform
from builders.tar.tape import REMAKE

_INDEX_DEPTH: Final = 4

_DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
_LAYER_TYPES: Final = frozenset(
    (
        *MEDIA_TYPES.values(),
        _DOCKER_LAYER,
        f"{_DOCKER_LAYER}.gzip",
        f"{_DOCKER_LAYER}.zstd",
    )
)
_FOREIGN: Final = (".nondistributable.", ".foreign.")
"""In media types of layers that a registry doesn't have: manifests say where else they are."""


@dataclass(frozen=True)
class _IndexedImage:
    """An image manifest that an OCI layout holds, and what its index says of it.

    `reference` is the image's name and tag, or only a tag, or None.
    """

    reference: str | None
    entry: IndexEntry

    @property
    def digest(self) -> str:
        """The manifest's, in hexadecimal."""
        return self.entry.digest.removeprefix("sha256:")

    def __str__(self) -> str:
        platform = self.entry.platform
        parts = (platform.architecture, platform.variant) if platform else ()
        where = "/".join(part for part in parts if part)
        words = (self.reference, f"({where})" if where else None)
        return " ".join(filter(None, words)) or self.entry.digest


def choose_oci(
    archive: ImageArchive, choice: Choice, *, architecture: str | None, variant: str | None = None
) -> NamedImage:
    """Return the image that is meant, or else the one that there is.

    Where there are several, the one for Linux and `architecture` (as in GOARCH) is meant, of
    `variant` or of the next lower one.
    """
    all_found = _all_images(archive)
    held = _held(archive, all_found)
    found = held or all_found
    choice.check(archive.what, [str(image) for image in held])
    if choice.reference is not None:
        # skopeo and docker buildx may note the tag alone.
        wanted = (choice.reference, choice.tag)
        found = [
            image for image in found if image.reference and familiar(image.reference) in wanted
        ]
        if not found:
            raise choice.missing(archive.what, [str(image) for image in held])
    # One image may be listed twice, once for each of its names.
    if architecture is not None:
        found = _for_platform(archive, found, Platform(LINUX, architecture, variant))
    if len({image.digest for image in found}) > 1:
        several = len({image.reference for image in found}) > 1
        die(
            f"{archive.what} holds several images: {', '.join(map(str, found))}",
            hint="copy one into an archive of its own with 'skopeo copy'" + several * choice.advice,
        )
    chosen = found[0].digest
    # Under each of its names an image is listed once.
    others = dict.fromkeys(str(image) for image in held if image.digest != chosen)
    return replace(_oci_image(archive, chosen, _references(all_found)), others=tuple(others))


def is_for_several_platforms(archive: ImageArchive) -> bool:
    """Whether one name in the index stands for images of several platforms."""
    platforms: dict[str | None, set[Platform]] = {}
    for image in _held(archive, _all_images(archive)):
        if image.entry.platform and image.entry.platform.architecture:
            found = platforms.setdefault(image.reference, set())
            found.add(image.entry.platform)
    return any(len(found) > 1 for found in platforms.values())


def oci_images(archive: ImageArchive, *, architecture: str | None) -> list[NamedImage]:
    """Return all images of an OCI layout, of each name the one for `architecture`."""
    all_found = _all_images(archive)
    found = _held(archive, all_found) or all_found
    by_reference: dict[str | None, list[_IndexedImage]] = {}
    for image in found:
        by_reference.setdefault(image.reference, []).append(image)
    digests: dict[str, None] = {}
    for reference, images in by_reference.items():
        choice = {image.digest: image for image in images}
        if reference is not None and len(choice) > 1:
            if architecture is not None:
                fitting = _for_platform(archive, images, Platform(LINUX, architecture))
                choice = {image.digest: image for image in fitting}
            if len(choice) != 1:
                die(
                    f"{archive.what} holds several images: {', '.join(map(str, images))}",
                    hint="copy one into an archive of its own with 'skopeo copy'",
                )
        digests |= dict.fromkeys(choice)
    references = _references(all_found)
    return [_oci_image(archive, digest, references) for digest in digests]


def _references(images: Sequence[_IndexedImage]) -> dict[str, list[str]]:
    """Return the references of each digest."""
    found: dict[str, list[str]] = {}
    for image in images:
        found.setdefault(image.digest, []).extend([image.reference] if image.reference else [])
    return found


def _all_images(archive: ImageArchive) -> list[_IndexedImage]:
    """Return the images that the index of an OCI layout names; there is at least one."""
    document, _ = read_document(archive, INDEX, wanted=f"its {INDEX}")
    index = JsonValue(document, f"{archive.what}: {INDEX}", hint=RESAVE)
    found = list(_indexed_images(archive, index, None, depth=1, visited=[]))
    if not found:
        die(f"{archive.what}: {INDEX} names no image", hint=REMAKE)
    return found


def _held(archive: ImageArchive, found: Sequence[_IndexedImage]) -> list[_IndexedImage]:
    """Return those of `found` that the archive holds.

    containerd writes the index of all platforms also where it exports one of them.
    """
    return [image for image in found if f"blobs/sha256/{image.digest}" in archive.members]


def _oci_image(
    archive: ImageArchive, digest: str, references: Mapping[str, Sequence[str]]
) -> NamedImage:
    manifest = _oci_document(archive, digest)
    layers = manifest["layers"].elements()
    for layer in layers:
        _check_layer_type(layer)
    return NamedImage(
        source=f"blobs/sha256/{digest}",
        config=f"blobs/sha256/{manifest['config']['digest'].digest()}",
        layers=tuple(f"blobs/sha256/{layer['digest'].digest()}" for layer in layers),
        repo_tags=tuple(dict.fromkeys(references[digest])),
    )


def _check_layer_type(layer: JsonValue) -> None:
    """Raise `UserError` for a layer that is none of an image's, or that is kept elsewhere."""
    media_type = layer["mediaType"].string_or_none()
    if media_type is None or media_type in _LAYER_TYPES:
        return
    is_foreign = any(word in media_type for word in _FOREIGN)
    die(
        f"{layer.where} is of the type {media_type}, "
        + ("which is kept outside of registries" if is_foreign else "which is no layer of files"),
        hint="use an image that has all its layers itself, as one that is built anew"
        if is_foreign
        else "use an image of layers that are tars, plain or under gzip or zstd",
    )


def _indexed_images(
    archive: ImageArchive,
    index: JsonValue,
    reference: str | None,
    *,
    depth: int,
    visited: list[IndexEntry],
) -> Iterator[_IndexedImage]:
    """Yield the images of `index` and the indexes in it; `reference` is the index's own.

    Entries of all of them are added to `visited`.
    """
    if depth > _INDEX_DEPTH:
        die(f"{index.where}: more than {_INDEX_DEPTH} indexes within each other", hint=REMAKE)
    for entry in index_entries(index):
        visited.append(entry)
        if len(visited) > IMAGES_MAX:
            die(
                f"{archive.what}: its indexes, each as often as others name it, have more than "
                f"{IMAGES_MAX} entries",
                hint=REMAKE,
            )
        own = entry.reference or reference
        if entry.is_index:
            inner = _oci_document(archive, entry.digest.removeprefix("sha256:"))
            yield from _indexed_images(archive, inner, own, depth=depth + 1, visited=visited)
        else:
            yield _IndexedImage(reference=own, entry=entry)


def _for_platform(
    archive: ImageArchive, images: list[_IndexedImage], wanted: Platform
) -> list[_IndexedImage]:
    """Return those of several images that come the nearest to a platform, all where none will do.

    One image is for whatever platform it is for: that is checked elsewhere.
    """
    if len({image.digest for image in images}) < 2:
        return images
    platforms = [_platform(archive, image) for image in images]
    nearest = wanted.nearest(platforms)
    if nearest is None:
        return images
    pairs = zip(images, platforms, strict=True)
    return [image for image, platform in pairs if platform.explicit == nearest.explicit]


def _platform(archive: ImageArchive, image: _IndexedImage) -> Platform:
    if image.entry.platform and image.entry.platform.architecture:
        return image.entry.platform
    manifest = _oci_document(archive, image.digest)
    config = _oci_document(archive, manifest["config"]["digest"].digest())
    return read_platform(config.properties(), what=config.where)


def _oci_document(archive: ImageArchive, digest: str) -> JsonValue:
    name = f"blobs/sha256/{digest}"
    document, data = read_document(archive, name, wanted=f"{INDEX} needs {name}")
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        wrong_digest(archive, name, found)
    return JsonValue(document, f"{archive.what}: {name}", hint=RESAVE)
