"""Streams a planned layered image to standard output: what a stream script runs.

    stream PLAN [-t NAME:TAG]

Nothing but the image goes to stdout; it hashes nothing that the plan knows.
"""

import argparse
import os

from builders.console.errors import die
from builders.console.terminal import takes_output
from builders.formats.image_stream import stream_image
from builders.image.names import check_repo_tag
from builders.image.plan import plan_from_json
from builders.processes import usable_cores
from builders.remedies import CHECK_STORE


def main(arguments: list[str]) -> None:
    """Stream the image that the plan named on the command line describes."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("LONGSHORE_PROGRAM", "stream"),
        description="Write the image to standard output, as an archive that 'docker load' reads.",
    )
    parser.add_argument("plan", help=argparse.SUPPRESS)
    parser.add_argument(
        "-t", "--repo_tag", metavar="NAME:TAG", help="name and tag of the image, instead of its own"
    )
    given = parser.parse_args(arguments)
    if given.repo_tag is not None:
        check_repo_tag(given.repo_tag)
    hint = "pipe it into 'docker load', or redirect it to a file"
    if not takes_output(1):
        die("standard output is closed", hint=hint)
    if os.isatty(1):
        die("an image is not written to a terminal", hint=hint)
    try:
        with open(given.plan, encoding="utf-8") as file:
            plan = plan_from_json(file.read())
    except OSError as error:
        die(
            f"can't read the image plan {given.plan}: {error.strerror}",
            hint="build the image again",
        )
    stream_image(
        plan,
        1,
        repo_tag=given.repo_tag,
        # A build may run this script, too: mergeImages and exportImage do.
        jobs=usable_cores(os.environ.get("NIX_BUILD_CORES")),
        hint=CHECK_STORE,
        missing_hint="run 'nix-store --realise' on this script, or build the image again",
    )
