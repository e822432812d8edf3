"""Where images go to: repositories of registries, and the tags that they get there."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die
from builders.image.names import RemoteImage, is_name, is_tag
from builders.registry.addresses import is_host, is_port

DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_HOST: Final = "registry-1.docker.io"
_TRANSPORT: Final = "docker://"
_LIKE: Final = "write it like registry.example/app:1.0"
_TAG_LENGTH: Final = 128
"""Of the distribution specification, "Pulling manifests"."""


@dataclass(frozen=True)
class Repository:
    """The repository `path` of `registry`, a host and its port where that is named."""

    registry: str
    path: str

    @property
    def host(self) -> str:
        """The host, with its port, that answers for the registry."""
        return _DOCKER_HUB_HOST if self.registry == DOCKER_HUB else self.registry

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True)
class TagReference:
    """A tag of a repository."""

    repository: Repository
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def read_destination(text: str, *, tag: str | None) -> TagReference:
    """Return what `text` names, with `tag` where it names none.

    `docker://` may stand before it, as skopeo has it. Raises `UserError` for what names no tag of a
    registry.
    """
    reference = text.removeprefix(_TRANSPORT)
    if "@" in reference:
        die(f"{text!r} is a digest, which only the registry can give", hint="name a tag")
    name, colon, own_tag = reference.rpartition(":")
    if not colon or "/" in own_tag:
        name, own_tag = reference, ""
    elif not own_tag:
        # A script whose variable is empty means none of the others.
        die(f"{text!r} ends where its tag should begin", hint=_LIKE)
    used = own_tag or tag
    if used is None:
        die(f"{text!r} has no tag, and the image has none", hint=_LIKE)
    return TagReference(read_repository(name, what=text), checked_tag(used))


def read_repository(name: str, *, what: str) -> Repository:
    """Return the repository `name`; raises `UserError`, which calls it `what`, if it is none."""
    name = name.removeprefix(_TRANSPORT)
    scheme, separator, _ = name.partition("://")
    if separator:
        die(f"{what!r} is an address, and no name of an image", hint=f"leave out {scheme}://")
    if not is_name(name):
        if is_name(name.lower()):
            die(
                f"{what!r} has letters in upper case, which names of images can't have",
                hint=f"write {name.lower()}",
            )
        die(f"{what!r} is no name of an image", hint=_LIKE)
    image = RemoteImage(name, "")
    if image.registry == DOCKER_HUB and "/" not in image.repository:
        die(
            f"{what!r} names no registry, and on Docker Hub no user either",
            hint=f"write it like registry.example/{image.repository}, or USER/{image.repository} "
            "on Docker Hub",
        )
    _check_host(image.registry, what)
    return Repository(image.registry, image.repository)


def _check_host(host: str, what: str) -> None:
    if not is_host(without_port(host)):
        die(f"{what!r} names a registry that can't be one", hint="check the name of its host")
    port = re.search(r":([0-9]+)$", host)
    if port and not is_port(port[1]):
        die(f"{what!r} names port {port[1]}", hint="ports are 1 to 65535")


def checked_tag(tag: str) -> str:
    """Return `tag`; raises `UserError` if it can be none."""
    if is_tag(tag):
        return tag
    if len(tag) > _TAG_LENGTH and is_tag(tag[:_TAG_LENGTH]):
        die(
            f"the tag {tag[:20]}… has {len(tag)} characters, and tags have at most {_TAG_LENGTH}",
            hint="shorten it",
        )
    die(
        f"{tag!r} is no tag of an image",
        hint="use letters, digits, '_', '.' and '-', the last two not at the start",
    )


def is_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, is this machine, to which nobody listens in."""
    name = without_port(host).lower()
    return name in ("localhost", "::1") or bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", name))


def is_private(host: str) -> bool:
    """Whether `host`, without a port and brackets, is an address that not all of us can reach."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return not address.is_global


def is_address(host: str) -> bool:
    """Whether `host`, with or without a port, is an IP address and no name."""
    try:
        ipaddress.ip_address(without_port(host))
    except ValueError:
        return False
    return True


def without_port(host: str) -> str:
    """Return `host` without its port, and an IPv6 address without its brackets."""
    return re.sub(r":[0-9]+$", "", host).strip("[]")
