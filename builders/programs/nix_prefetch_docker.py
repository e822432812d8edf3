"""nix-prefetch-docker: puts an image of a registry into the store and prints pullImage's arguments.

    nix_prefetch_docker SKOPEO CERTIFICATES NIX-STORE [OPTION…] [NAME [TAG|DIGEST]]

The first three are paths that the package sets: the program skopeo, the file of
authorities to trust where the user names none, and the nix-store to use where the
user has none. Nothing but the arguments of pullImage goes to stdout.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from builders.console.errors import die, remedy
from builders.console.terminal import tell, visible
from builders.formats.image_index import choose_platform, describe_platforms, read_index
from builders.image.names import RemoteImage, is_digest, is_name, is_tag
from builders.image.platform import (
    ARCHITECTURES,
    SYSTEMS,
    Platform,
    go_architecture,
    go_system,
)
from builders.processes import end_as_by_ctrl_c
from builders.registry.failures import Problem, RegistryError, describe
from builders.registry.hashes import ALGORITHMS, FileHash, hash_file
from builders.registry.skopeo import Skopeo

_PROGRAM: Final = "nix-prefetch-docker"

PREFETCH_HINTS: Final = {
    Problem.NO_MANIFEST: "check the name of the image and its tag or digest",
    Problem.ACCESS: "check the name of the image; if it is private, log in with 'skopeo login'",
    Problem.AUTH_FILE: "log in with 'skopeo login', or mend REGISTRY_AUTH_FILE",
    Problem.CERTIFICATE: (
        "name a file with its authority's certificate in NIX_SSL_CERT_FILE, or add --no-tls-verify"
    ),
    Problem.PLAIN_HTTP: "add --no-tls-verify",
    Problem.NO_HOST: "check the registry in the name, and this machine's name service",
    Problem.DISK: "free space in TMPDIR",
    Problem.TRANSIENT: "try again later, or check the registry in the name",
    Problem.OTHER: "check the name of the image, its tag or digest, --os and --arch",
    Problem.NO_PLATFORM: "name another platform with --os and --arch",
}


@dataclass(frozen=True)
class Request:
    """What the user asks for: an image, the platform, and the name that it shall get."""

    image: RemoteImage
    os: str
    architecture: str
    final_name: str
    final_tag: str
    tls_verify: bool
    json: bool
    sri: bool
    quiet: bool


def main(arguments: list[str]) -> None:
    """Fetch the image that the command line names."""
    skopeo, certificates, nix_store, *words = arguments
    end_as_by_ctrl_c()
    request = read_request(words)
    with temporary_directory() as directory:
        fetcher = Skopeo(
            program=skopeo,
            environment=user_environment(os.environ, certificates=certificates),
            directory=directory,
            tls_verify=request.tls_verify,
            output=None,
            quiet=request.quiet,
        )
        try:
            image = find_image(fetcher, request)
            archive = os.path.join(directory, archive_name(request.final_name, request.final_tag))
            fetcher.copy(
                image,
                archive,
                name=f"{request.final_name}:{request.final_tag}",
                os_name=request.os,
                architecture=request.architecture,
            )
        except RegistryError as error:
            die(describe(error, request.image), hint=PREFETCH_HINTS[error.problem])
        hashed = hash_file(archive, hash_algorithm(os.environ))
        path = add_to_store(archive, hashed, nix_store=shutil.which("nix-store") or nix_store)
    found = pull_arguments(request, image, hashed)
    if not request.quiet:
        report(found, hashed=hashed.sri if request.sri else hashed.base32, path=path)
    print(json.dumps(found, indent=2) if request.json else as_nix(found))


def temporary_directory() -> "tempfile.TemporaryDirectory[str]":
    """Make a directory that is gone in the end; raises `UserError` where none can be made."""
    try:
        return tempfile.TemporaryDirectory(prefix=f"{_PROGRAM}-")
    except OSError as error:
        die(
            f"can't make a directory for temporary files: {error.strerror}",
            hint=remedy(error, otherwise="set TMPDIR to a directory that you may write to"),
        )


class _Parser(argparse.ArgumentParser):
    """Fails as the rest of Longshore does."""

    def error(self, message: str) -> NoReturn:
        die(message, hint=f"'{_PROGRAM} --help' lists what it takes")


def read_request(words: list[str]) -> Request:
    """Return what the command line `words` ask for; raises `UserError`."""
    parser = _Parser(
        prog=_PROGRAM,
        allow_abbrev=False,
        description="Fetch an image from a registry into the Nix store and print the arguments "
        "with which dockerTools.pullImage makes the same of it.",
        epilog="Of a name with images for several platforms the one for --os and --arch is taken, "
        "and its own digest printed. Credentials are those of skopeo: REGISTRY_AUTH_FILE, "
        "'skopeo login', or ~/.docker/config.json.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the same as --image-name")
    parser.add_argument(
        "version",
        nargs="?",
        metavar="TAG|DIGEST",
        help="the same as --image-tag, or --image-digest where it begins with 'sha256:'",
    )
    parser.add_argument("--image-name", metavar="NAME", help="image to fetch, with its registry")
    parser.add_argument("--image-tag", metavar="TAG", help="its tag (default: latest)")
    parser.add_argument("--image-digest", metavar="DIGEST", help="its digest, in place of a tag")
    parser.add_argument("--os", default="linux", help="operating system (default: %(default)s)")
    parser.add_argument("--arch", default="amd64", help="architecture (default: %(default)s)")
    parser.add_argument(
        "--final-image-name", metavar="NAME", help="name that it gets (default: the image's)"
    )
    parser.add_argument(
        "--final-image-tag",
        metavar="TAG",
        default="latest",
        help="tag that it gets (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of Nix")
    parser.add_argument(
        "--sri", action="store_true", help='print the hash as hash = "sha256-…", not as sha256'
    )
    parser.add_argument(
        "--no-tls-verify",
        action="store_true",
        help="let the registry have any certificate, or speak plain HTTP",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing but the result, warnings and errors"
    )
    given = parser.parse_args(words)
    return check_request(given)


def check_request(given: argparse.Namespace) -> Request:
    """Return the request that parsed options make; raises `UserError`."""
    tag, digest = given.image_tag, given.image_digest
    if given.name and given.image_name:
        die(f"the image is named twice, {given.name} and {given.image_name}", hint="name it once")
    if given.version and (tag or digest):
        die(
            f"'{given.version}' says once more which version of the image is meant",
            hint="give a tag or a digest once",
        )
    if given.version:
        tag, digest = (None, given.version) if ":" in given.version else (given.version, None)
    name = given.name or given.image_name
    if not name:
        die("no image is named", hint=f"try '{_PROGRAM} --image-name NAME --image-tag TAG'")
    final_name = given.final_image_name or name
    for what, value in (("the image", name), ("the final name of the image", final_name)):
        if not is_name(value):
            die(
                f"{what} can't be '{value}'",
                hint='a name is such as "nixos/nix" or "registry.example/group/app"; '
                "tag and digest have options of their own",
            )
    for what, value in (("the tag", tag), ("the final tag", given.final_image_tag)):
        if value is not None and not is_tag(value):
            die(f"{what} can't be '{value}'", hint="tags have letters, digits, '_', '.' and '-'")
    if digest and not is_digest(digest):
        die(
            f"the digest can't be '{digest}'",
            hint="it must be 'sha256:' and 64 hexadecimal digits",
        )
    check_platform(given.os, given.arch)
    return Request(
        image=RemoteImage(name, digest or tag or "latest"),
        os=given.os,
        architecture=given.arch,
        final_name=final_name,
        final_tag=given.final_image_tag,
        tls_verify=not given.no_tls_verify,
        json=given.json,
        sri=given.sri or hash_algorithm(os.environ) != "sha256",
        quiet=given.quiet,
    )


def check_platform(os_name: str, architecture: str) -> None:
    """Raise `UserError` where a word is none of Go's, in which images name their platforms."""
    if os_name not in SYSTEMS:
        found = go_system(os_name)
        die(
            f"the operating system can't be '{os_name}'",
            hint=f"in Go's words, it is --os {found}"
            if found
            else "it must be one of Go's words, such as linux",
        )
    if architecture not in ARCHITECTURES:
        found = (go_architecture(architecture) or "").partition("/")[0]
        die(
            f"the architecture can't be '{architecture}'",
            hint=f"in Go's words, it is --arch {found}"
            if found
            else "it must be one of Go's words, such as amd64, arm64, arm or 386",
        )


def user_environment(variables: Mapping[str, str], *, certificates: str) -> dict[str, str]:
    """Return skopeo's environment: the user's, with authorities to trust in any case.

    SSL_CERT_FILE is in addition to the directories where systems have certificates.
    """
    # In this order as Nix itself, and the skopeo of nixpkgs.
    named = (variables.get(name) for name in ("NIX_SSL_CERT_FILE", "SSL_CERT_FILE"))
    return {**variables, "SSL_CERT_FILE": next(filter(None, named), certificates)}


def find_image(skopeo: Skopeo, request: Request) -> RemoteImage:
    """Return the one image that is meant, under the digest of its own manifest.

    An index's digest would do for pullImage, too, but means another image wherever the default
    of `arch` is another, and the index is gone as soon as one of its images is replaced.
    Raises `RegistryError` and `UserError`.
    """
    image = request.image
    manifest = skopeo.manifest(image)
    entries = read_index(
        manifest,
        what=f"what the registry answers for {image}",
        hint="check the name of the image and of the registry",
    )
    if entries is None:
        return RemoteImage(image.name, skopeo.manifest_digest(manifest, image))
    entry = choose_platform(entries, Platform(request.os, request.architecture))
    if not entry:
        die(
            f"the registry {image.registry} has no image for {request.os}/{request.architecture} "
            f"under {image}",
            hint=f"set --os and --arch to one of those it has: {describe_platforms(entries)}",
        )
    return RemoteImage(image.name, entry.digest)


def hash_algorithm(variables: Mapping[str, str]) -> str:
    """Return the algorithm that NIX_HASH_ALGO names, as other nix-prefetch programs take it."""
    algorithm = variables.get("NIX_HASH_ALGO") or "sha256"
    if algorithm not in ALGORITHMS:
        die(
            f"NIX_HASH_ALGO can't be '{algorithm}'",
            hint=f"set it to one of {', '.join(ALGORITHMS)}",
        )
    return algorithm


def add_to_store(archive: str, hashed: FileHash, *, nix_store: str) -> str:
    """Put `archive` where pullImage's output would be, and return the store path."""
    command = [nix_store, "--add-fixed", hashed.algorithm, archive]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        said = " ".join(result.stderr.decode(errors="replace").split()).removeprefix("error: ")
        die(f"the image can't be added to the Nix store ({said})", hint="check 'nix-store' itself")
    return os.fsdecode(result.stdout.strip())


def archive_name(name: str, tag: str) -> str:
    """Return the file name of an image in the store, where pullImage is not told another."""
    return f"docker-image-{name}-{tag}.tar".replace("/", "-").replace(":", "-")


def pull_arguments(request: Request, image: RemoteImage, hashed: FileHash) -> dict[str, str | bool]:
    """Return the attributes for pullImage."""
    return {
        "imageName": image.name,
        "imageDigest": image.version,
        **({"hash": hashed.sri} if request.sri else {"sha256": hashed.base32}),
        "finalImageName": request.final_name,
        "finalImageTag": request.final_tag,
        **({} if request.tls_verify else {"tlsVerify": False}),
    }


def report(found: dict[str, str | bool], *, hashed: str, path: str) -> None:
    """Tell a person what was found."""
    lines = {
        "ImageName": found["imageName"],
        "ImageDigest": found["imageDigest"],
        "FinalImageName": found["finalImageName"],
        "FinalImageTag": found["finalImageTag"],
        "ImagePath": path,
        "ImageHash": hashed,
    }
    for name, value in lines.items():
        tell(visible(f"-> {name}: {value}"))


def as_nix(attributes: dict[str, str | bool]) -> str:
    """Return an attribute set in Nix; JSON's strings and truth values are Nix's, too."""
    lines = [f"  {name} = {json.dumps(value)};" for name, value in attributes.items()]
    return "\n".join(["{", *lines, "}"])
