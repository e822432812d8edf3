"""Which image: those that an OCI image layout holds.

Source: OCI image specification v1.1, "Image Layout" (index.json), "Image Index", "Image Manifest".
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.formats.archive_files import INDEX, Archive
from builders.formats.docker_archive import (
    NamedImage,
    check_pair,
    familiar,
    no_such_image,
    wanted_reference,
)
from builders.formats.documents import Value, read_document, wrong_digest
from builders.tar.reader import REMAKE

_INDEX_DEPTH: Final = 4


@dataclass(frozen=True)
class _Descriptor:
    """An image manifest that an OCI layout holds, and what its index says of it.

    `reference` is the image's name and tag, or only a tag, or None;
    `architecture` and its `variant` are None where no index knows them.
    """

    digest: str
    reference: str | None
    architecture: str | None
    variant: str | None

    def __str__(self) -> str:
        platform = "/".join(filter(None, (self.architecture, self.variant)))
        words = (self.reference, f"({platform})" if platform else None)
        return " ".join(filter(None, words)) or f"sha256:{self.digest}"


def choose_oci(
    archive: Archive, *, name: str | None, tag: str | None, architecture: str | None
) -> NamedImage:
    """Return the image called `name` and `tag`, or else the one that there is.

    Where there are several, `architecture` (as in GOARCH) decides.
    """
    all_found = _oci_descriptors(archive)
    held = _held(archive, all_found)
    found = held or all_found
    check_pair(archive, [str(image) for image in held], name=name, tag=tag)
    if name is not None and tag is not None:
        # skopeo and docker buildx may note the tag alone.
        wanted = (wanted_reference(name, tag), tag)
        found = [
            image for image in found if image.reference and familiar(image.reference) in wanted
        ]
        if not found:
            raise no_such_image(archive, f"{name}:{tag}", [str(image) for image in held])
    # One image may be listed twice, once for each of its names.
    if len({image.digest for image in found}) > 1 and architecture is not None:
        found = [image for image in found if _architecture(archive, image) == architecture] or found
    if len({image.digest for image in found}) > 1:
        several = len({image.reference for image in found}) > 1
        die(
            f"{archive.what} holds several images: {', '.join(map(str, found))}",
            hint="copy one into an archive of its own with 'skopeo copy'"
            + several * ", or choose one with fromImageName and fromImageTag, where they are taken",
        )
    return _oci_image(archive, found[0].digest, all_found)


def oci_images(archive: Archive, *, architecture: str | None) -> list[NamedImage]:
    """Return all images of an OCI layout, of each name the one for `architecture`."""
    all_found = _oci_descriptors(archive)
    found = _held(archive, all_found) or all_found
    by_reference: dict[str | None, list[_Descriptor]] = {}
    for image in found:
        by_reference.setdefault(image.reference, []).append(image)
    digests: dict[str, None] = {}
    for reference, images in by_reference.items():
        choice = {image.digest: image for image in images}
        if reference is not None and len(choice) > 1:
            choice = {
                digest: image
                for digest, image in choice.items()
                if _architecture(archive, image) == architecture
            }
            if len(choice) != 1:
                die(
                    f"{archive.what} holds several images: {', '.join(map(str, images))}",
                    hint="copy one into an archive of its own with 'skopeo copy'",
                )
        digests |= dict.fromkeys(choice)
    return [_oci_image(archive, digest, all_found) for digest in digests]


def _oci_descriptors(archive: Archive) -> list[_Descriptor]:
    """Return the images that the index of an OCI layout names; there is at least one."""
    document, _ = read_document(archive, INDEX, wanted=f"its {INDEX}")
    index = Value(document, f"{archive.what}: {INDEX}")
    found = list(_descriptors(archive, index, None, depth=1))
    if not found:
        die(f"{archive.what}: {INDEX} names no image", hint=REMAKE)
    return found


def _held(archive: Archive, found: Sequence[_Descriptor]) -> list[_Descriptor]:
    """Return those of `found` that the archive holds.

    containerd writes the index of all platforms also where it exports one of them.
    """
    return [image for image in found if f"blobs/sha256/{image.digest}" in archive.members]


def _oci_image(archive: Archive, digest: str, found: Sequence[_Descriptor]) -> NamedImage:
    manifest = _oci_document(archive, digest)
    references = (image.reference for image in found if image.digest == digest)
    return NamedImage(
        source=f"blobs/sha256/{digest}",
        config=f"blobs/sha256/{manifest['config']['digest'].digest()}",
        layers=tuple(
            f"blobs/sha256/{layer['digest'].digest()}" for layer in manifest["layers"].elements()
        ),
        repo_tags=tuple(dict.fromkeys(reference for reference in references if reference)),
    )


def _descriptors(
    archive: Archive, index: Value, reference: str | None, *, depth: int
) -> Iterator[_Descriptor]:
    """Yield the images of `index` and the indices in it; `reference` is the index's own."""
    if depth > _INDEX_DEPTH:
        die(f"{index.where}: more than {_INDEX_DEPTH} indices within each other", hint=REMAKE)
    for entry in index["manifests"].elements():
        digest = entry["digest"].digest()
        annotations = entry["annotations"].or_else({})
        if annotations["vnd.docker.reference.type"].value is not None:
            # Not an image, but an attestation of one (docker buildx).
            continue
        own = (
            annotations["io.containerd.image.name"].string_or_none()
            or annotations["org.opencontainers.image.ref.name"].string_or_none()
            or reference
        )
        if (entry["mediaType"].string_or_none() or "").endswith(
            ("image.index.v1+json", "manifest.list.v2+json")
        ):
            inner = _oci_document(archive, digest)
            yield from _descriptors(archive, inner, own, depth=depth + 1)
            continue
        platform = entry["platform"].or_else({})
        yield _Descriptor(
            digest=digest,
            reference=own,
            architecture=platform["architecture"].string_or_none(),
            variant=platform["variant"].string_or_none(),
        )


def _architecture(archive: Archive, image: _Descriptor) -> str | None:
    if image.architecture:
        return image.architecture
    manifest = _oci_document(archive, image.digest)
    return _oci_document(archive, manifest["config"]["digest"].digest())[
        "architecture"
    ].string_or_none()


def _oci_document(archive: Archive, digest: str) -> Value:
    name = f"blobs/sha256/{digest}"
    document, data = read_document(archive, name, wanted=f"{INDEX} needs {name}")
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        wrong_digest(archive, name, found)
    return Value(document, f"{archive.what}: {name}")
