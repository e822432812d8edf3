"""The pages for people: what they link to is there."""

import pathlib
import re

import pytest

REPOSITORY = pathlib.Path(__file__).parents[2]

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])


def prose(page):
    """The page without blocks of code."""
    return re.sub(r"^```.*?^```|^    .*?$", "", page.read_text(), flags=re.M | re.S)


def anchors(page):
    """What GitHub makes of headings: lower case, no punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def links(page):
    targets = re.findall(r"\]\(([^)]+)\)", re.sub(r"`[^`]*`", "", prose(page)))
    return [target for target in targets if not target.startswith("https://")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_the_readme_leads_to_every_page():
    linked = {(REPOSITORY / target).resolve() for target in links(REPOSITORY / "README.md")}
    assert not {page for page in PAGES if page.name != "README.md"} - linked


def test_the_two_commands_are_on_the_first_screen():
    screen = (REPOSITORY / "README.md").read_text().splitlines()[:25]
    assert [line.split()[0] for line in screen if line.startswith("    ")] == [
        "examples/run",
        "tests/run",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    rooms = "builders|nix|tests|examples|benchmarks|docs"
    for name in re.findall(rf"`((?:{rooms})/[\w./-]+)`", prose(page)):
        if not re.search("NAME|ROOM|KIND", name):
            assert (REPOSITORY / name).exists(), name
