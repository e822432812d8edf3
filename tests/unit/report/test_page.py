"""The report of an image as a page."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from builders.accounts import account as accounts
from builders.accounts.account import account_of
from builders.accounts.opening import open_image
from builders.accounts.reach import shortest_ways
from builders.closure.graph import StorePath
from builders.report.page import SHOWN, page
from tests.unit.accounts.images import DIAMOND, Counting, chain, diamond, graph, image, path

VOID = {"meta", "input"}


class Parsed(HTMLParser):
    """The elements of a page; fails where they are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.open = []
        self.texts = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def many(count):
    names = [f"package-{number}-1.{number}" for number in range(count)]
    return account_of(image(graph({name: [] for name in names}), [names]))


def test_a_page_is_well_formed_and_has_all_that_an_image_has():
    parsed = Parsed(page(account_of(diamond())))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"layer1", "layer3", "p0", "p4"} <= set(ids)
    links = {attributes["href"][1:] for _, attributes in parsed.elements if "href" in attributes}
    assert links <= set(ids)
    cells = "".join(parsed.texts["td"])
    assert all(name in cells for name in DIAMOND)
    assert "through app-1.0 → left-2.0" in parsed.texts["small"]
    values = [attributes["data-v"] for _, attributes in parsed.elements if "data-v" in attributes]
    assert "11111" in values


def test_a_page_loads_nothing_and_runs_nothing_but_its_own():
    text = page(account_of(diamond()))
    parsed = Parsed(text)
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form")
        assert not {"src", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#")[0] == "#"
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [
        attributes["content"]
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for element in ("style", "script"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;\x1b\u202e"


def test_names_with_markup_are_text():
    nodes = {
        f"/nix/store/{'a' * 32}-{EVIL}-1": StorePath(f"/nix/store/{'a' * 32}-{EVIL}-1", (), 5000),
        f"/nix/store/{'b' * 32}-{EVIL}-2": StorePath(f"/nix/store/{'b' * 32}-{EVIL}-2", (), 50),
    }
    evil = image(nodes, [[f"{EVIL}-1", f"{EVIL}-2"]], name=EVIL, platform=EVIL, unknown=(EVIL,))
    text = page(account_of(evil))
    parsed = Parsed(text)
    assert [tag for tag, _ in parsed.elements].count("script") == 1
    assert "img" not in [tag for tag, _ in parsed.elements]
    assert not [attributes for _, attributes in parsed.elements if "onerror" in attributes]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_large_image_is_cut_off_with_a_word():
    text = page(many(SHOWN + 50))
    assert f"The 1,000 largest of {SHOWN + 50:,} store paths are shown one by one" in text
    assert "50 smaller store paths, 5.0 kB in all, have no row" in text
    assert text.count('<tr id="p') == SHOWN
    assert "have no row" not in page(many(SHOWN))


def test_a_page_of_618_paths_is_below_a_megabyte():
    names = [f"a-package-of-an-average-name-{number}-1.2.{number}" for number in range(618)]
    references = {name: names[number + 1 : number + 9] for number, name in enumerate(names)}
    layers = [names[start : start + 7] for start in range(0, 618, 7)]
    sizes = {name: 1000 + number**3 for number, name in enumerate(names)}
    assert len(page(account_of(image(graph(references, sizes), layers)))) < 1_000_000


@pytest.mark.parametrize("count", [0, 1])
def test_an_image_of_little_has_a_page(count):
    parsed = Parsed(page(many(count)))
    assert [tag for tag, _ in parsed.elements].count("h2") == 2 if count else 1


def test_a_page_of_a_closure_without_layers(tmp_path):
    nodes = [{"path": path("a-1"), "references": [], "narSize": 7}]
    (tmp_path / "graph.json").write_text(json.dumps(nodes))
    text = page(account_of(open_image(str(tmp_path / "graph.json"))))
    assert "By package" in text
    assert "By layer" not in text


def test_the_work_on_a_deep_closure_grows_with_its_paths_alone(monkeypatch):
    ways = []

    def counted(graph, roots, find=shortest_ways):
        ways.append(Counting(find(graph, roots)))
        return ways[-1]

    monkeypatch.setattr(accounts, "shortest_ways", counted)
    count = 2000
    text = page(account_of(image(chain(count), [])))
    assert "through p0-1 → p1-1 → … → p1098-1 → p1099-1<" in text
    assert ways[0].looked_up <= 10 * count
