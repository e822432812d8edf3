"""The images that OCI outputs are made of, as their builders are told of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import Image, Index, image_blobs, index_blobs
from builders.console.errors import die
from builders.image.plan import Plan, plan_from_json
from builders.remedies import CHECK_STORE


@dataclass(frozen=True)
class PlannedImage:
    """An image of the `plan`, called `name` in messages.

    Its own layers are compressed with `compressor` at `compression_level`, and its manifest has
    `annotations`. `blobs` is the output of compressed_layers, or None.
    """

    name: str
    plan: str
    compressor: str
    compression_level: int | None
    annotations: Mapping[str, str]
    blobs: str | None = None

    @property
    def compression(self) -> LayerCompression:
        """How layers are compressed."""
        return LayerCompression(self.compressor, self.compression_level)

    def known(self) -> CompressedLayers | None:
        """Return what is known of the compressed layers."""
        if self.blobs is None:
            return None
        with open(self.blobs, encoding="utf-8") as file:
            return CompressedLayers.from_json(file.read())

    def resolved(self, *, jobs: int) -> Plan:
        """Return the plan; where the time of the build is in it, that of `blobs`."""
        with open(self.plan, encoding="utf-8") as file:
            plan = plan_from_json(file.read())
        known = self.known()
        return plan.resolve(jobs=jobs, hint=CHECK_STORE, now=known.time if known else None)


def described(image: PlannedImage, *, jobs: int) -> Image:
    """Return the blobs of `image`, whose `blobs` say what its layers are."""
    known = image.known()
    if known is None:
        raise ValueError(f"the compressed layers of {image.name} are not known")
    plan = image.resolved(jobs=jobs)
    return image_blobs(plan, known.blobs(plan), annotations=image.annotations)


def compressed(image: PlannedImage, directory: str, *, jobs: int) -> Image:
    """Return the blobs of `image`, its compressed layers as files in `directory`."""
    plan = image.resolved(jobs=jobs)
    layers = compress_layers(
        plan, image.compression, jobs=jobs, directory=directory, hint=CHECK_STORE
    )
    return image_blobs(plan, layers, annotations=image.annotations)


def together(
    given: Sequence[PlannedImage],
    blobs_of: Callable[[PlannedImage], Image],
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
