"""Makes `passthru.report`: a page about the image, as builders.report.page makes it."""

from dataclasses import dataclass, replace

from builders.accounts.account import account_of
from builders.accounts.opening import open_image
from builders.console.errors import writing
from builders.derivations import arguments
from builders.derivations.image_plan import output_hash
from builders.report.page import page


@dataclass(frozen=True)
class Arguments:
    """What image_report takes: the image's `plan`."""

    plan: str


def main(_: list[str]) -> None:
    """Write the page to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    image = open_image(given.plan)
    repository, _colon, tag = image.name.rpartition(":")
    if tag == output_hash(given.plan):
        # Nix would take the tag for a reference, and the page would bring the whole image along.
        image = replace(image, name=repository)
    account = account_of(image)
    with writing(build.out), open(build.out, "w", encoding="utf-8") as file:
        file.write(page(account))
