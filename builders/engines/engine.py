"""What there is to ask of an engine that images are loaded into."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from builders.blobs.source import Bytes, Image
from builders.engines.client import EngineClient


@dataclass(frozen=True)
class Engine(ABC):
    """An engine, by its `client`.

    A `reference` is a name and tag, or a name and digest, that the engine has. All methods raise
    `UserError` where the engine can't be reached, and `ClientError` where it refuses.
    """

    title: ClassVar[str]
    """What people call it."""

    client: EngineClient

    @abstractmethod
    def full_name(self, name: str) -> str:
        """Return how the engine calls what a user calls `name`, a name and tag."""

    @abstractmethod
    def has(self, name: str, image: Image) -> bool:
        """Whether the reference `name` is `image`, and whole."""

    @abstractmethod
    def pull(self, reference: str, platform: str | None) -> Sequence[str]:
        """Return the client's arguments that pull `reference` from a registry without TLS.

        `platform` ("os/architecture/variant") is named where it isn't that of this machine.
        """

    @abstractmethod
    def load(self, platform: str | None) -> Sequence[str]:
        """Return the client's arguments that read an archive from stdin."""

    @abstractmethod
    def known_layers(self, image: Image, names: Sequence[str]) -> frozenset[str]:
        """Return the digests of layers of `image` that an archive may lack.

        `names` are references that may stand for an earlier version of the image.
        """

    @abstractmethod
    def prefers_archives(self) -> bool:
        """Whether an archive without the `known_layers` is the better way where there are any."""

    def checks_archives(self) -> bool:
        """Whether it refuses an archive in which a layer has other bytes than it should have."""
        return True

    @abstractmethod
    def tag(self, reference: str, name: str) -> None:
        """Let `name` be the image that `reference` is, whatever it was before."""

    @abstractmethod
    def loopback_names(self) -> Sequence[str]:
        """Return the references that begin as those of registries on loopback do (PATTERN)."""

    @abstractmethod
    def drop(self, reference: str) -> None:
        """Remove the name `reference`, and no other."""


def diff_ids(image: Image) -> list[str]:
    """Return the digests of the uncompressed layers, as the configuration lists them."""
    if not isinstance(image.config.content, Bytes):
        raise ValueError("the configuration is not in memory")
    return list(json.loads(image.config.content.data)["rootfs"]["diff_ids"])
