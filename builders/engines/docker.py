"""Docker and podman, whose clients take the same words for most things.

Sources: `docker image --help`, and in moby daemon/internal/image/tarexport/load.go (how an archive
is read: a layer is looked up by its chain before its file is opened) and
distribution/xfer/download.go (a layer is known if it was pulled, and only over known ones).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from builders.blobs.source import Image
from builders.engines.client import ClientError
from builders.engines.engine import Engine, diff_ids
from builders.image.names import RemoteImage
from builders.registry.loopback_names import PATTERN

_NONE: Final = "<none>"
"""What stands in lists where an image has no tag."""


@dataclass(frozen=True)
class _DockerLike(Engine):
    """What both have in common."""

    def has(self, name: str, image: Image) -> bool:
        """Compare the ID: of the configuration, or in Docker's containerd store the manifest."""
        described = (image.config.descriptor, image.manifest.descriptor)
        found = {str(it.get("Id", "")).removeprefix("sha256:") for it in self._inspect([name])}
        return bool(found & {descriptor.hexadecimal for descriptor in described})

    def load(self, platform: str | None) -> Sequence[str]:
        """Read the archive; its platform is not looked at."""
        del platform
        return ("load",)

    def tag(self, reference: str, name: str) -> None:
        """Set the name."""
        self.client.run("tag", reference, name)

    def loopback_names(self) -> Sequence[str]:
        """List images of that name, with their tags or digests."""
        said = self.client.run(
            *("image", "ls", "--all", "--digests", "--no-trunc", f"--filter=reference={PATTERN}"),
            "--format={{.Repository}} {{.Tag}} {{.Digest}}",
        )
        found = []
        for line in said.splitlines():
            repository, tag, digest = (*line.split(), "", "", "")[:3]
            found.append(f"{repository}@{digest}" if tag == _NONE else f"{repository}:{tag}")
        return found

    def _inspect(self, references: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the engine knows of images; nothing where there is none."""
        try:
            found = json.loads(self.client.run("image", "inspect", *references))
        except ClientError as error:
            if not any(words in str(error).lower() for words in ("no such", "not known")):
                raise
            return []
        except ValueError as error:
            raise ClientError(f"what it says of {references[0]} is no JSON: {error}") from None
        return [it for it in found if isinstance(it, dict)]


def _layers(found: dict[str, Any]) -> list[str]:
    return list((found.get("RootFS") or {}).get("Layers") or [])


@dataclass(frozen=True)
class Docker(_DockerLike):
    """Docker, with either of its image stores."""

    title: ClassVar = "Docker"

    def full_name(self, name: str) -> str:
        """Return the name: Docker adds nothing that its users see."""
        return name

    def pull(self, reference: str, platform: str | None) -> Sequence[str]:
        """Pull; the daemon needs no permission to do without TLS on loopback."""
        return ("pull", "--quiet", *([f"--platform={platform}"] if platform else []), reference)

    def known_layers(self, image: Image, names: Sequence[str]) -> frozenset[str]:
        """Return the lowest layers that some image of the daemon begins with, too.

        containerd's store wants a manifest's own blobs, of which the API doesn't tell.
        """
        del names
        if not self.prefers_archives():
            return frozenset()
        wanted = diff_ids(image)
        ids = self.client.run("image", "ls", "--quiet", "--no-trunc").split()
        found = self._inspect(list(dict.fromkeys(ids))) if ids else []
        most = max((_common(_layers(it), wanted) for it in found), default=0)
        return frozenset(layer.descriptor.digest for layer in image.layers[:most])

    def prefers_archives(self) -> bool:
        """Whether images are kept by a graph driver.

        That pulls a layer again which was loaded and not pulled, but it never reads a known one out
        of an archive.
        """
        try:
            said = self.client.run("info", "--format", "{{json .DriverStatus}}")
        except ClientError:
            return False
        return "containerd.snapshotter" not in said

    def checks_archives(self) -> bool:
        """Whether images are kept by a graph driver.

        Since version 28 the other store logs that it can't unpack an image, and says it is loaded.
        """
        return self.prefers_archives()

    def drop(self, reference: str) -> None:
        """Remove the name; the image stays where it has others."""
        self.client.run("image", "rm", reference)


def _common(some: Sequence[str], others: Sequence[str]) -> int:
    """Return how many of the first elements are the same."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


@dataclass(frozen=True)
class Podman(_DockerLike):
    """podman, which is its own engine."""

    title: ClassVar = "podman"

    def full_name(self, name: str) -> str:
        """Return the name, with "localhost/" where it names no registry."""
        repository = name.rpartition(":")[0]
        image = RemoteImage(repository, "")
        return name if repository.startswith(f"{image.registry}/") else f"localhost/{name}"

    def pull(self, reference: str, platform: str | None) -> Sequence[str]:
        """Pull."""
        options = [f"--platform={platform}"] if platform else []
        return ("pull", "--quiet", "--tls-verify=false", *options, reference)

    def known_layers(self, image: Image, names: Sequence[str]) -> frozenset[str]:
        """Return those that are in the earlier version, at any place."""
        found = {layer for name in names for it in self._inspect([name]) for layer in _layers(it)}
        return frozenset(
            layer.descriptor.digest
            for layer, diff_id in zip(image.layers, diff_ids(image), strict=True)
            if diff_id in found
        )

    def prefers_archives(self) -> bool:
        """Whether they are better: they are not."""
        return False

    def drop(self, reference: str) -> None:
        """Remove the name; the image stays."""
        self.client.run("untag", reference, reference)
