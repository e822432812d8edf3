"""Explains an image: what each store path costs, which layer has it, and why it is there.

    longshore explain IMAGE [PACKAGE|PATH] [--json]

It reads plans and archives, and images of registries, and runs nothing of an image.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from builders.accounts.account import Account, account_of
from builders.accounts.choosing import chosen_paths
from builders.accounts.documents import account_document
from builders.accounts.known import EqualFiles, Evidence
from builders.accounts.text import image_lines, path_lines
from builders.console.errors import writing
from builders.console.progress import announce, size
from builders.console.tables import Column, table, terminal_width, wrapped
from builders.console.terminal import visible
from builders.processes import without_collector
from builders.programs.known_images import IMAGE_HELP, add_reading, open_given

DESCRIPTION: Final = "Say what an image consists of, what each part costs, and why it is there."

EXAMPLES: Final = (
    ("longshore explain result", "Layers and store paths of an image, the largest first."),
    ("longshore explain result openssl", "What brings openssl in, and what it costs."),
    ("longshore explain image.tar.gz --json", "The same for programs, of any image archive."),
    (
        "longshore explain docker://registry.example/app:1.0",
        "Tell what an image of a registry has, without its layers.",
    ),
)

_MEANINGS: Final = """\
columns:
  own      the bytes of a store path by itself
  closure  the bytes of all that it needs, itself included
  alone    the bytes that would go with it: nothing else needs them
  update   the bytes of the layers that change with it
  changes  the part of all updates of one store path that change a layer
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.epilog = f"{_MEANINGS}\n{parser.epilog or ''}"
    parser.add_argument("image", metavar="IMAGE", help=IMAGE_HELP)
    parser.add_argument(
        "path",
        metavar="PACKAGE|PATH",
        nargs="?",
        help="only this package, store path, or file in one, with the way that brings it in",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--all", action="store_true", help="show all store paths, not the largest")
    parser.add_argument(
        "--files", action="store_true", help="with PACKAGE|PATH: name file and offset of references"
    )
    parser.add_argument(
        "--equal-files", action="store_true", help="look for files that several store paths have"
    )
    parser.add_argument("--graph", metavar="FILE", help="the graph of a plan, where it lies")
    parser.add_argument(
        "--blobs", metavar="FILE", help="the JSON of the compressed layers of a plan"
    )
    parser.add_argument(
        "--name",
        metavar="NAME:TAG",
        help="of several images in an archive or a layout, the one of this name",
    )
    add_reading(parser)


@without_collector()
def run(given: argparse.Namespace) -> None:
    """Print the explanation."""
    # Nothing else tells of files, where an image is in a registry.
    given.layers = given.layers or given.files or given.equal_files
    image = open_given(
        given.image,
        given,
        graph=given.graph,
        blobs=given.blobs,
        chosen=given.name,
        with_files=given.equal_files,
    )
    announce("Adding up", len(image.graph or ()))
    account = account_of(image)
    paths = chosen_paths(account, given.path) if given.path is not None else None
    evidence = _evidence(account, paths or ()) if given.files else None
    equal = _look_for_equal(account) if given.equal_files else None
    with writing("standard output"):
        if given.json:
            document = account_document(
                account,
                paths,
                evidence=evidence,
                equal_files=[_equal_document(files) for files in equal]
                if equal is not None
                else None,
            )
            print_json(document)
            return
        width = terminal_width()
        lines: Iterable[str]
        if paths is None:
            lines = image_lines(account, width=width, every=given.all)
        else:
            lines = path_lines(account, paths, width=width, evidence=evidence)
        print_lines(lines)
        if equal is not None:
            print_lines(_equal_lines(equal, account, width=width))


def print_json(document: Any) -> None:
    """Print `document` for programs, with nothing but ASCII in it."""
    print(json.dumps(document, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """Print `lines`, all at once."""
    print("\n".join(lines))


def _evidence(account: Account, paths: Sequence[str]) -> dict[tuple[str, str], Evidence]:
    """Return where the references on the ways to `paths` stand: in layers, or in the store here."""
    found = dict(account.image.evidence)
    if not found:
        # Not at the top: few ask for it, and it takes a third of the start.
        from builders.accounts.store_files import evidence_on_way

        for path in paths:
            found.update(evidence_on_way(account.way(path)))
    return found


def _look_for_equal(account: Account) -> Sequence[EqualFiles]:
    """Return equal files in the layers, or in the store here where these were not looked into."""
    if account.image.equal_files is not None:
        return account.image.equal_files
    from builders.accounts.store_files import equal_files

    return equal_files(account.paths)


def _equal_lines(equal: Sequence[EqualFiles], account: Account, *, width: int) -> Iterator[str]:
    yield ""
    if not equal:
        here = " that are here" if account.image.equal_files is None else ""
        yield from wrapped(
            f"No file of 4 KiB or more is in several of the store paths{here}.", width
        )
        return
    rows = [
        (size(files.more), str(len(files.files)), visible(files.files[0])) for files in equal[:20]
    ]
    yield from table((Column("more"), Column("files"), Column("equal to")), rows, width=width)
    if len(equal) > len(rows):
        yield from wrapped(f"and {len(equal) - len(rows)} more; --json has all", width)


def _equal_document(files: EqualFiles) -> dict[str, Any]:
    return {"size": files.size, "files": list(files.files)}
