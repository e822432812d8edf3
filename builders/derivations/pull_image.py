"""Builds the archive of an image in a registry: pullImage's fixed output."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die, warn
from builders.console.terminal import Shown
from builders.derivations import arguments
from builders.formats.image_index import describe_platforms, read_index
from builders.image.names import RemoteImage
from builders.registry.failures import Problem, RegistryError, describe
from builders.registry.hashes import hash_file
from builders.registry.skopeo import Skopeo

_PREFETCH: Final = "nix-prefetch-docker"

PULL_HINTS: Final = {
    Problem.NO_MANIFEST: f"imageDigest is wrong, or imageName is; {_PREFETCH} prints both",
    Problem.ACCESS: (
        "imageName is wrong, or the image is private: name a file with credentials in "
        "REGISTRY_AUTH_FILE and let the sandbox have it, or put the image into the store with "
        f"{_PREFETCH}"
    ),
    Problem.NO_PLATFORM: "set os and arch to those of the image",
    Problem.AUTH_FILE: "write the file that REGISTRY_AUTH_FILE names with 'skopeo login'",
    Problem.CERTIFICATE: (
        "name a file with its authority's certificate in NIX_SSL_CERT_FILE and let the sandbox "
        "have it, or set tlsVerify = false"
    ),
    Problem.PLAIN_HTTP: "set tlsVerify = false",
    Problem.NO_HOST: "check the registry in imageName, and this machine's name service",
    Problem.DISK: "free space where Nix builds and in the store",
    Problem.TRANSIENT: "try again later, or check the registry in imageName",
    Problem.OTHER: "check imageName, imageDigest, os and arch",
}


@dataclass(frozen=True)
class Arguments:
    """What pull_image takes.

    Names are those of pullImage's attributes. `output_hash` is the hash that Nix expects, in any
    spelling, `output_hash_algorithm` its algorithm where the spelling lacks it; `skopeo` is the
    program, `certificates` the file of authorities to trust.
    """

    image_name: str
    image_digest: str
    final_image_name: str
    final_image_tag: str
    os: str
    architecture: str
    tls_verify: bool
    output_hash: str
    output_hash_algorithm: str | None
    skopeo: str
    certificates: str


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    image = RemoteImage(given.image_name, given.image_digest)
    skopeo = Skopeo(
        program=given.skopeo,
        environment=sandbox_environment(os.environ, certificates=given.certificates),
        directory=build.top,
        tls_verify=given.tls_verify,
        # Nix gives builders a terminal, but shows and keeps their output as lines.
        output=Shown(),
    )
    try:
        skopeo.copy(
            image,
            build.out,
            name=f"{given.final_image_name}:{given.final_image_tag}",
            os_name=given.os,
            architecture=given.architecture,
        )
    except RegistryError as error:
        if error.problem == Problem.NO_PLATFORM:
            refuse_platform(skopeo, image, platform=f"{given.os}/{given.architecture}")
        die(describe(error, image), hint=PULL_HINTS[error.problem])
    compare(given, image, out=build.out)


def sandbox_environment(variables: Mapping[str, str], *, certificates: str) -> dict[str, str]:
    """Return skopeo's environment, made of what Nix lets through of the user's.

    Variables that the user has not set are empty; files that they name may be outside of the
    sandbox.
    """
    result = {name: value for name, value in variables.items() if value}
    named = result.pop("NIX_SSL_CERT_FILE", None)
    result["SSL_CERT_FILE"] = named if named and os.access(named, os.R_OK) else certificates
    file = result.get("REGISTRY_AUTH_FILE")
    if file and not os.access(file, os.R_OK):
        del result["REGISTRY_AUTH_FILE"]
        warn(
            f"REGISTRY_AUTH_FILE names {file}, which the build can't read; "
            "add it to the Nix setting extra-sandbox-paths and let the group nixbld read it"
        )
    return result


def refuse_platform(skopeo: Skopeo, image: RemoteImage, *, platform: str) -> None:
    """Say which platforms there are in place of `platform`."""
    try:
        entries = (
            read_index(
                skopeo.manifest(image),
                what=f"what the registry answers for {image}",
                hint="check imageName",
            )
            or []
        )
    except RegistryError as error:
        die(describe(error, image), hint=PULL_HINTS[error.problem])
    die(
        f"the registry {image.registry} has no image for {platform} under {image}",
        hint=f"set os and arch to one of those it has: {describe_platforms(entries)}",
    )


def compare(given: Arguments, image: RemoteImage, *, out: str) -> None:
    """Say of the two hashes which one is wrong; to fail for it is up to Nix."""
    expected = given.output_hash
    algorithm = given.output_hash_algorithm or re.split("[-:]", expected)[0]
    pulled = hash_file(out, algorithm)
    if not pulled.is_spelled(expected):
        warn(
            f"{image} is what its imageDigest says, so it is the hash that is wrong; for "
            f"{given.os}/{given.architecture} as {given.final_image_name}:{given.final_image_tag} "
            f'it is hash = "{pulled.sri}"'
        )
