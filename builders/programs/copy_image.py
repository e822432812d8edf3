"""`longshore copy`: copies an image with skopeo to wherever skopeo copies images to.

skopeo reads the image from a registry on loopback, so that no archive is written before.
"""

import argparse
import os
import subprocess
from typing import Final

from builders.blobs.open_images import closed
from builders.blobs.source import Index
from builders.console.errors import UserError, die
from builders.engines.client import interruptible
from builders.programs.diagnoses import StoreDiagnosis
from builders.programs.given_image import add_image
from builders.programs.load import read_plain
from builders.registry.loopback import LoopbackRegistry

DESCRIPTION: Final = "Copy an image with skopeo, to any transport that it knows."
EXAMPLES: Final = (
    ("longshore copy result oci:DIRECTORY:1.0", "Make an OCI layout of what was built."),
    (
        "longshore copy result docker-archive:app.tar:app:1.0 -- --quiet",
        "Make an archive of Docker's, with an option of skopeo.",
    ),
)

_KEEPING: Final = ("containers-storage:", "dir:", "oci:", "oci-archive:")
"""Transports that take a manifest as it is. A registry gets compressed layers, and archives of
Docker's have another format."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_image(parser)
    parser.add_argument(
        "destination",
        metavar="DESTINATION",
        help="with its transport, such as oci:DIRECTORY:TAG or containers-storage:app:1",
    )
    parser.add_argument("options", nargs="*", metavar="OPTION", help="of skopeo, behind --")


def run(given: argparse.Namespace) -> None:
    """Copy the image."""
    if ":" not in given.destination:
        die(
            f"{given.destination!r} is no destination of skopeo's",
            hint="begin with the transport, as in docker://registry.example/app:1 or oci:DIRECTORY",
        )
    image = closed(read_plain(given.image).source)
    diagnosis = StoreDiagnosis(given.image)
    with interruptible(), LoopbackRegistry(image, hint=diagnosis.hint) as registry:
        command = [
            # The policy of the machine is about where images may come from, and this is a copy.
            *(os.environ.get("LONGSHORE_SKOPEO", "skopeo"), "--insecure-policy", "copy"),
            "--src-tls-verify=false",
            *(["--preserve-digests"] if given.destination.startswith(_KEEPING) else []),
            *(["--all"] if isinstance(image, Index) else []),
            *given.options,
            *(f"docker://{registry.reference}", given.destination),
        ]
        status = _run_skopeo(command)
        failure = registry.failure
    if failure:
        raise failure
    if status:
        # Only we know what a layer is made of, whose digest is wrong.
        for one in image.images:
            diagnosis.check(one.layers, registry.traffic.whole)
        raise UserError(
            f"skopeo failed with exit code {status}" if status > 0 else "skopeo was killed",
            hint="see what it says above",
        )


def _run_skopeo(command: list[str]) -> int:
    """Run skopeo, which shows on the terminal what it does, and return its exit code."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        die(f"can't run {command[0]}: {error.strerror}", hint="install skopeo")
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
