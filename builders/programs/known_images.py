"""Images that are explained and compared, of files and of registries."""

import argparse
import os
from typing import Final

from builders.accounts.known import KnownImage
from builders.accounts.opening import open_image
from builders.console.errors import die
from builders.console.terminal import tell
from builders.processes import usable_cores
from builders.programs.given_image import architecture as own_architecture

REGISTRY_PREFIX: Final = "docker://"

IMAGE_HELP: Final = (
    "the plan of an image, a stream script, an archive (of ours or of others), "
    "an OCI layout, or the graph of a closure; or a link to one; or docker://NAME[:TAG|@DIGEST] "
    "for an image of a registry"
)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how images are read."""
    parser.add_argument(
        "--architecture",
        metavar="NAME",
        help="of images for several platforms, the one for this, such as arm64; by default that "
        "of this machine",
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="read the layers of an image of a registry, too, and not what its history says",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="take any certificate of a registry, or no TLS at all",
    )


def is_of_registry(name: str) -> bool:
    """Whether `name` is of an image of a registry."""
    return name.startswith(REGISTRY_PREFIX)


def open_given(
    name: str,
    given: argparse.Namespace,
    *,
    graph: str | None,
    blobs: str | None,
    chosen: str | None,
    architecture: str | None = None,
    with_files: bool = False,
) -> KnownImage:
    """Return the image `name`, read as `given` says; raises `UserError`.

    `graph` and `blobs` are as in `open_image`, `chosen` is its `name`, and `architecture` is that
    of the image where `given` says none.
    """
    architecture = given.architecture or architecture or own_architecture()
    if not is_of_registry(name):
        return open_image(
            name,
            graph=graph,
            blobs=blobs,
            name=chosen,
            architecture=architecture,
            jobs=usable_cores(),
            with_files=with_files,
        )
    if graph or blobs:
        die(
            f"{name} is an image of a registry, and graph and blobs are those of a plan",
            hint="leave them out, or give the plan",
        )
    if chosen is not None:
        die(f"{name} has the name of an image itself", hint="leave the other one out")
    return _from_registry(
        name,
        architecture=architecture,
        insecure=given.insecure,
        layers=given.layers,
        with_files=with_files,
    )


def _from_registry(
    name: str, *, architecture: str, insecure: bool, layers: bool, with_files: bool
) -> KnownImage:
    # Not at the top: to speak to registries takes most of the start, and plans need none of it.
    from builders.accounts.registry_images import known_stored, look_into
    from builders.programs.registry_access import client_of, transport_of
    from builders.registry.remote_images import RemoteReader, read_version_reference

    reference = read_version_reference(name)
    transport = transport_of(os.environ, insecure=insecure, connections=1)
    client = client_of(reference.repository, transport, os.environ, insecure=insecure)
    reader = RemoteReader(client, reference.repository)
    image = reader.image(reference, architecture=architecture)
    if layers:
        return look_into(image, reader, with_files=with_files, tell=tell)
    return known_stored(image)
