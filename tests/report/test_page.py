"""The report of an image in a browser: Chromium without a window."""

import pathlib
import re
import subprocess

import pytest

from builders.accounts.account import account_of
from builders.accounts.known import NAR, PLAN, STORE, KnownImage, KnownLayer, all_roots
from builders.closure.graph import StorePath
from builders.report.page import page


def sample():
    """The page of an image of 60 store paths in 12 layers."""
    nodes = {}
    paths: list[str] = []
    for number in range(60):
        path = f"/nix/store/{number:032}-package{number}-1.{number}"
        references = tuple(paths[-4:-1]) + tuple(paths[: number % 3])
        nodes[path] = StorePath(path, tuple(dict.fromkeys(references)), 1000 * (1 + number**2))
        paths.append(path)
    layers = []
    for start in range(0, 60, 5):
        own = {path: nodes[path].nar_size for path in paths[start : start + 5]}
        digest = f"sha256:{start:064x}"
        layers.append(KnownLayer(STORE, digest, sum(own.values()) + 9000, paths=own))
    image = KnownImage(
        PLAN, "app:1", "linux/amd64", {}, tuple(layers), nodes, all_roots(nodes, ()), NAR
    )
    return page(account_of(image))


def chromium(*options, page):
    """Run Chromium on a page; return what it prints."""
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        # Nothing answers: what the page asks for would be seen as an error.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent}/profile",
        *options,
        page.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def after(directory, script):
    """The document after `script` has used the page, which would not let it without a change."""
    text = sample()
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    file = directory / "page.html"
    file.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    return chromium("--dump-dom", page=file)


def rows(document):
    """The names in the table of store paths that are to be seen, in their order."""
    table = document[document.index('id="paths"') :]
    return re.findall(r'<tr id="p\d+"><td class="name">(package\d+)', table)


def test_the_script_is_allowed_by_the_page_itself(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(sample())
    document = chromium("--dump-dom", page=file)
    assert '<html lang="en" class="js">' in document
    assert rows(document)[:2] == ["package59", "package58"]


def test_a_click_on_a_heading_sorts(tmp_path):
    click = "document.querySelectorAll('#paths th button')[{}].click();"
    assert rows(after(tmp_path, click.format(1)))[:2] == ["package0", "package1"]
    assert rows(after(tmp_path, click.format(0)))[:2] == ["package0", "package1"]
    assert rows(after(tmp_path, click.format(1) * 2))[:2] == ["package59", "package58"]


def test_a_search_leaves_what_matches(tmp_path):
    document = after(
        tmp_path,
        "const s = document.getElementById('search'); s.value = 'PACKAGE31';"
        "s.dispatchEvent(new Event('input'));",
    )
    assert rows(document) == ["package31"]
    assert document.count('class="c6 out"') > 0
    assert not re.search(r'class="\w+ out"[^>]*>(?:(?!</a>).)*package31-', document)


def test_a_click_on_a_layer_comes_nearer_and_escape_goes_back(tmp_path):
    click = (
        "document.querySelector('svg.wide .group rect.g')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));"
    )
    escape = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}));"
    near = after(tmp_path, click)
    box = re.search(r'<svg class="map wide" viewBox="([^"]*)"', near)
    assert box
    assert box[1] != "0 0 1200 640"
    assert 'id="back">' in near
    back = after(tmp_path, click + escape)
    assert '<svg class="map wide" viewBox="0 0 1200 640"' in back
    assert 'id="back" hidden="">' in back


def test_maps_have_headings_where_there_is_no_choice_between_them(tmp_path):
    """On paper; on a screen a button says which one is to be seen."""
    shown = "document.title = [...document.querySelectorAll('.view h3')]"
    shown += ".map((h) => getComputedStyle(h).display).join();"
    assert "<title>none,none</title>" in after(tmp_path, shown)
    text = (tmp_path / "page.html").read_text().replace("@media print", "@media all")
    (tmp_path / "page.html").write_text(text)
    assert "<title>block,block</title>" in chromium("--dump-dom", page=tmp_path / "page.html")


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_the_screen(tmp_path, width):
    """In a frame, since a window of Chromium has at least 500 pixels."""
    after(tmp_path, "")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument;"
        "document.title = d.documentElement.scrollWidth + ' '"
        "+ [...d.querySelectorAll('svg.map')].filter((s) => s.getClientRects().length)"
        ".map((s) => s.classList[1]).join(); };</script>"
    )
    options = ("--allow-file-access-from-files", "--window-size=1400,1000")
    title = re.search(r"<title>(.*?)</title>", chromium("--dump-dom", *options, page=frame))
    assert title
    assert title[1] == f"{width} {'narrow' if width == 400 else 'wide'}"


def test_both_maps_are_printed(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(sample())
    chromium(f"--print-to-pdf={tmp_path}/page.pdf", page=file)
    assert pathlib.Path(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
