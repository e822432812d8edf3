"""The images that OCI outputs are made of, as their builders are told of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.open_images import compress_open
from builders.blobs.planned_images import PlannedImage
from builders.blobs.source import Image, Index, image_blobs, index_blobs
from builders.console.errors import die
from builders.formats.image_sources import ArchivedImage, open_archived
from builders.remedies import CHECK_STORE


def given_image(fields: Mapping[str, Any]) -> PlannedImage | ArchivedImage:
    """Return the image that a derivation tells of."""
    return ArchivedImage(**fields) if "archive" in fields else PlannedImage(**fields)


def described(image: PlannedImage | ArchivedImage, *, jobs: int, directory: str) -> Image:
    """Return the blobs of `image`, whose `blobs` say what its layers are.

    Of an archived one it has to be found out: its compressed layers become files in `directory`.
    """
    if isinstance(image, ArchivedImage):
        return compressed(image, jobs=jobs, directory=directory)
    known = image.known()
    if known is None:
        raise ValueError(f"the compressed layers of {image.name} are not known")
    plan = image.resolved(jobs=jobs, hint=CHECK_STORE)
    return image_blobs(plan, known.blobs(plan), annotations=image.annotations)


def compressed(image: PlannedImage | ArchivedImage, *, jobs: int, directory: str) -> Image:
    """Return the blobs of `image`, its compressed layers as files in `directory`."""
    if isinstance(image, ArchivedImage):
        return _from_archive(image, jobs=jobs, directory=directory)
    plan = image.resolved(jobs=jobs, hint=CHECK_STORE)
    layers = compress_layers(
        plan, image.compression, jobs=jobs, directory=directory, hint=CHECK_STORE
    )
    return image_blobs(plan, layers, annotations=image.annotations)


def _from_archive(image: ArchivedImage, *, jobs: int, directory: str) -> Image:
    source = open_archived(image, jobs=jobs, hint=CHECK_STORE)
    return compress_open(source, jobs=jobs, directory=directory, hint=CHECK_STORE)


def together(
    given: Sequence[PlannedImage | ArchivedImage],
    blobs_of: Callable[[PlannedImage | ArchivedImage], Image],
    index_annotations: Mapping[str, str] | None,
) -> Image | Index:
    """Return the one image of `given`, or with `index_annotations` the index of all of them.

    Raises `UserError` where two images of an index are for the same platform.
    """
    images = [blobs_of(image) for image in given]
    if index_annotations is None:
        (image,) = images
        return image
    names: dict[str, str] = {}
    for planned, image in zip(given, images, strict=True):
        platform = str(image.platform.plain)
        if platform in names:
            die(
                f"{names[platform]} and {planned.name} are both for {platform}",
                hint="leave one of them out, or give each its architecture and variant",
            )
        names[platform] = planned.name
    return index_blobs(images, annotations=index_annotations)
