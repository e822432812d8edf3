"""Which image: those that manifest.json names.

Source: Docker image specification v1.3.0, "Combined Image JSON + Filesystem Changeset Format".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from builders.console.errors import UserError, die
from builders.formats.archive_files import MANIFEST, RESAVE, Archive
from builders.formats.documents import Value, read_document


@dataclass(frozen=True)
class NamedImage:
    """An image as its manifest describes it, by names of members.

    `source` is the document that says so.
    """

    source: str
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...]


def docker_images(archive: Archive) -> list[NamedImage]:
    """Return the images that manifest.json names; there is at least one."""
    document, _ = read_document(archive, MANIFEST, wanted=f"its {MANIFEST}")
    entries = Value(document, f"{archive.what}: {MANIFEST}").elements()
    if not entries:
        die(f"{archive.what}: {MANIFEST} names no image", hint=RESAVE)
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
    archive: Archive, images: Sequence[NamedImage], *, name: str | None, tag: str | None
) -> NamedImage:
    """Return that of `images` which is called `name` and `tag`, or else the first."""
    held = [repo_tag for image in images for repo_tag in image.repo_tags]
    check_pair(archive, held, name=name, tag=tag)
    if name is None or tag is None:
        return images[0]
    wanted = wanted_reference(name, tag)
    for image in images:
        if wanted in map(familiar, image.repo_tags):
            return image
    raise no_such_image(archive, f"{name}:{tag}", held)


def check_pair(archive: Archive, held: Sequence[str], *, name: str | None, tag: str | None) -> None:
    """Raise `UserError` where of `name` and `tag` only one is given."""
    if (name is None) == (tag is None):
        return
    given, other = (
        ("fromImageName", "fromImageTag")
        if tag is None
        else (
            "fromImageTag",
            "fromImageName",
        )
    )
    die(
        f"{archive.what}: {given} is given without {other}; it holds "
        + (", ".join(held) or "images without a name"),
        hint="set both to choose one, or neither to take its first one",
    )


def no_such_image(archive: Archive, wanted: str, held: Sequence[str]) -> UserError:
    """Return the error of an archive that holds `held` and not `wanted`."""
    return UserError(
        f"{archive.what} holds no image {wanted}, only "
        + (", ".join(held) or "images without a name"),
        hint="set fromImageName and fromImageTag to one that it holds"
        if held
        else "leave fromImageName and fromImageTag out to take its first one",
    )


def wanted_reference(name: str, tag: str) -> str:
    """Return the familiar form of what fromImageName and fromImageTag ask for.

    Names are lower case in archives, whatever their makers were given.
    """
    return familiar(f"{name.lower()}:{tag}")


def familiar(reference: str) -> str:
    """Return an image's name as Docker's users know it: without its default registry."""
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/"):
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference
