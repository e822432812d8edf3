"""Says what changed from one image to another, what that costs to send, and why.

    longshore diff OLD NEW [--json]

What is compared is read as `longshore explain` reads it.
"""

import argparse
from typing import Final

from builders.accounts.account import account_of
from builders.accounts.comparison import compare_accounts
from builders.accounts.comparison_documents import comparison_document
from builders.accounts.comparison_text import comparison_lines
from builders.accounts.opening import open_image
from builders.accounts.store_files import content_without_hashes
from builders.console.errors import writing
from builders.console.tables import terminal_width
from builders.processes import usable_cores
from builders.programs.explain import IMAGE_HELP, print_json, print_lines

DESCRIPTION: Final = "Say what changed from one image to another, why, and what it costs to send."
EXAMPLES: Final = (
    ("longshore diff old.tar.gz result", "Packages, layers and bytes that an update changes."),
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
        "--architecture", metavar="NAME", help="of several images in a layout, the ones for this"
    )


def run(given: argparse.Namespace) -> None:
    """Print what changed."""
    old, new = (
        account_of(
            open_image(
                path,
                graph=graph,
                blobs=blobs,
                architecture=given.architecture,
                jobs=usable_cores(),
            )
        )
        for path, graph, blobs in (
            (given.old, given.old_graph, given.old_blobs),
            (given.new, given.new_graph, given.new_blobs),
        )
    )
    comparison = compare_accounts(
        old, new, same_content=_same_content if given.contents else _unknown
    )
    with writing("standard output"):
        if given.json:
            print_json(comparison_document(comparison))
        else:
            print_lines(comparison_lines(comparison, width=terminal_width(), every=given.all))


def _same_content(old: str, new: str) -> bool | None:
    digests = [content_without_hashes(path) for path in (old, new)]
    return None if None in digests else digests[0] == digests[1]


def _unknown(old: str, new: str) -> bool | None:
    del old, new
    return None
