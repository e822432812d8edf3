"""containerd, by its client `ctr`.

Source: containerd's core/images/archive/importer.go: an OCI archive may lack blobs that the content
store has.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from builders.blobs.source import Image
from builders.engines.client import ClientError
from builders.engines.engine import Engine
from builders.image.names import canonical_name
from builders.registry.loopback_names import ADDRESS


@dataclass(frozen=True)
class Containerd(Engine):
    """containerd, in one of its namespaces, which the client's words name."""

    title: ClassVar = "containerd"

    def full_name(self, name: str) -> str:
        """Return the name with its registry: "docker.io/library/" where there is none."""
        return canonical_name(name)

    def has(self, name: str, image: Image) -> bool:
        """Compare the manifest, and see whether all blobs are there and unpacked."""
        said = self.client.run("images", "check", f"name=={name}")
        digest = image.manifest.descriptor.digest
        return any(
            digest in line and " complete " in line and line.split()[-1] == "true"
            for line in said.splitlines()
        )

    def pull(self, reference: str, platform: str | None) -> Sequence[str]:
        """Pull and unpack."""
        return ("images", "pull", "--plain-http", *_platform(platform), reference)

    def load(self, platform: str | None) -> Sequence[str]:
        """Read and unpack the archive."""
        return ("images", "import", *_platform(platform), "-")

    def known_layers(self, image: Image, names: Sequence[str]) -> frozenset[str]:
        """Return those that the content store has."""
        del names
        there = set(self.client.run("content", "ls", "--quiet").split())
        return frozenset(layer.descriptor.digest for layer in image.layers) & there

    def prefers_archives(self) -> bool:
        """Whether they are better: they are not."""
        return False

    def tag(self, reference: str, name: str) -> None:
        """Set the name."""
        self.client.run("images", "tag", "--force", reference, name)

    def loopback_names(self) -> Sequence[str]:
        """List the names that have such a beginning."""
        return self.client.run("images", "ls", "--quiet", f"name~=^{ADDRESS}:.*/longshore-").split()

    def drop(self, reference: str) -> None:
        """Remove the name."""
        with suppress(ClientError):
            self.client.run("images", "rm", reference)


def _platform(platform: str | None) -> list[str]:
    return ["--platform", platform] if platform else []
