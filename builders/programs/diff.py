"""Says what changed from one image to another, what that costs to send, and why.

    longshore diff OLD NEW [--json]

What is compared is read as `longshore explain` reads it.
"""

import argparse
import os
from typing import Final

from builders.accounts.account import account_of
from builders.accounts.comparison import compare_accounts
from builders.accounts.comparison_documents import comparison_document
from builders.accounts.comparison_text import comparison_lines
from builders.accounts.known import KnownImage
from builders.accounts.shared_layers import completed
from builders.accounts.store_files import content_without_hashes
from builders.compression.compress import COMPRESSOR_LEVELS
from builders.console.errors import writing
from builders.console.progress import announce
from builders.console.tables import terminal_width
from builders.processes import usable_cores
from builders.programs.explain import print_json, print_lines
from builders.programs.given_image import architecture as own_architecture
from builders.programs.known_images import IMAGE_HELP, add_reading, is_of_registry, open_given
from builders.remedies import CHECK_STORE

DESCRIPTION: Final = "Say what changed from one image to another, why, and what it costs to send."
EXAMPLES: Final = (
    ("longshore diff old.tar.gz result", "Packages, layers and bytes that an update changes."),
    (
        "longshore diff docker://registry.example/app:1.0 result",
        "The same, against what a registry has: what a push would change.",
    ),
    ("longshore diff result-old result --json", "The same for programs."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("old", metavar="OLD", help=IMAGE_HELP)
    parser.add_argument("new", metavar="NEW", help="the same, of the image that follows it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--all", action="store_true", help="show all rows of the tables")
    parser.add_argument(
        "--contents",
        action="store_true",
        help="read store paths of this machine, to see which differ in more than hashes",
    )
    parser.add_argument(
        "--compress",
        choices=sorted(COMPRESSOR_LEVELS),
        help="how a push compresses the layers of NEW, as its option of that name (gz)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="compress nothing: layers that change count before compression",
    )
    for side in ("old", "new"):
        parser.add_argument(
            f"--{side}-blobs",
            metavar="FILE",
            help=f"the JSON of the compressed layers of {side.upper()}, where that is a plan",
        )
        parser.add_argument(
            f"--{side}-graph", metavar="FILE", help=f"the graph of {side.upper()}, where it lies"
        )
        parser.add_argument(
            f"--{side}-name",
            metavar="NAME:TAG",
            help=f"of several images in {side.upper()}, the one of this name",
        )
    add_reading(parser)


def run(given: argparse.Namespace) -> None:
    """Print what changed."""
    old, new = _open(given)
    new = _to_be_sent(new, old, given)
    old, new = completed(old, new), completed(new, old)
    announce("Comparing", len(old.graph or ()) + len(new.graph or ()))
    comparison = compare_accounts(
        account_of(old),
        account_of(new),
        same_content=_same_content if given.contents else _unknown,
    )
    with writing("standard output"):
        if given.json:
            print_json(comparison_document(comparison))
        else:
            print_lines(comparison_lines(comparison, width=terminal_width(), every=given.all))


def _open(given: argparse.Namespace) -> tuple[KnownImage, KnownImage]:
    """Return both images; of an index in a registry the one that fits the other image."""
    names = {"old": given.old, "new": given.new}
    found: dict[str, KnownImage] = {}
    # A stable order: what is here comes first, since it may say for which platform it is.
    for side in sorted(names, key=lambda side: is_of_registry(names[side])):
        platform = next(iter(found.values())).platform if found else None
        found[side] = open_given(
            names[side],
            given,
            graph=getattr(given, f"{side}_graph"),
            blobs=getattr(given, f"{side}_blobs"),
            chosen=getattr(given, f"{side}_name"),
            architecture=platform.split("/")[1] if platform and "/" in platform else None,
        )
    return found["old"], found["new"]


def _to_be_sent(new: KnownImage, old: KnownImage, given: argparse.Namespace) -> KnownImage:
    # Not at the top: 'explain' needs none of it.
    from builders.accounts.sending import Sending, with_sent
    from builders.blobs.layer_compression import LayerCompression
    from builders.registry.digest_cache import DigestCache, cache_path

    sending = Sending(
        compression=LayerCompression(given.compress) if given.compress else None,
        threads=0 if given.quick else usable_cores(),
        architecture=given.architecture or own_architecture(),
        hint=CHECK_STORE,
        cache=DigestCache(cache_path(os.environ)),
    )
    return with_sent(new, old, given.new, sending)


def _same_content(old: str, new: str) -> bool | None:
    digests = [content_without_hashes(path) for path in (old, new)]
    return None if None in digests else digests[0] == digests[1]


def _unknown(old: str, new: str) -> bool | None:
    del old, new
    return None
