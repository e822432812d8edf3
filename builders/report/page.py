"""The report of an image as one HTML page, which loads nothing and runs without its script."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from builders.accounts.account import Account, LayerAccount, PathAccount, store_name
from builders.accounts.known import MEASURES, NAR
from builders.accounts.text import layer_contents
from builders.console.progress import size
from builders.console.terminal import visible
from builders.report.maps import STEPS, Canvas, draw, layer_groups, package_groups
from builders.report.style import SCRIPT, STYLE

SHOWN: Final = 1000
"""Store paths with a tile and a row of their own; more would fill a browser's memory."""

_WAY_MAX: Final = 4
"""Steps that are shown of a way."""
_CANVASES: Final = (Canvas("wide", 1200, 640, SHOWN), Canvas("narrow", 400, 560, 150))
_UNKNOWN: Final = "?"


def page(account: Account) -> str:
    """Return the page."""
    title = f"{account.image.name or 'Image without a name'}"
    shown = list(account.paths.values())[:SHOWN]
    rows = {one.path: f"p{number}" for number, one in enumerate(shown)}
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{_text(title)}</h1>",
            *_facts(account),
            *_maps(account, rows),
            *_layer_table(account),
            *_path_table(account, shown, rows),
            *_versions(account),
            *_notes(account),
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _policy() -> str:
    """Return what the page may do: nothing but what is in it here, were a name to break out."""
    return f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}"


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _facts(account: Account) -> Iterator[str]:
    facts = [("size", size(account.size))]
    if account.compressed is not None:
        facts.append(("compressed", size(account.compressed)))
    facts.append(("layers", f"{len(account.layers):,}"))
    facts.append(("store paths", f"{len(account.paths):,}"))
    updates = [one.update for one in account.paths.values() if one.update is not None]
    if updates:
        facts.append(("an update sends, on average", size(sum(updates) / len(updates))))
    if account.image.platform:
        yield f'<p class="dim">{_text(account.image.platform)}</p>'
    yield '<dl class="facts">'
    for name, value in facts:
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
    yield "</dl>"


def _maps(account: Account, rows: Mapping[str, str]) -> Iterator[str]:
    views = []
    if account.layers:
        views.append(("layers", "By layer", layer_groups, True))
    if account.paths:
        views.append(("packages", "By package", package_groups, False))
    yield '<div class="tools"><input id="search" type="search" placeholder="Search store paths" '
    yield 'aria-label="Search store paths"><button id="back" hidden>Back to all</button></div>'
    yield '<div class="views">'
    for number, (name, words, _, _) in enumerate(views):
        checked = " checked" if not number else ""
        yield f'<input type="radio" name="view" id="v-{name}"{checked}>'
        yield f'<label for="v-{name}">{words}</label>'
    for name, words, groups, titles in views:
        yield f'<div class="view {name}"><h3>{words}</h3>'
        for canvas in _CANVASES:
            label = f"The image {words.lower()}; the tables below say the same"
            yield draw(groups(account, rows, canvas.tiles), canvas, label=label, titles=titles)
        if name == "packages" and account.image.graph is not None:
            steps = "".join(f'<i class="s{step}"></i>' for step in range(STEPS))
            yield f'<p class="dim legend">An update sends little {steps} much.</p>'
        yield "</div>"
    yield "</div>"
    if len(account.paths) > SHOWN:
        count = f"The {SHOWN:,} largest of {len(account.paths):,} store paths"
        yield f'<p class="dim">{count} are shown one by one; the others are drawn together.</p>'


def _layer_table(account: Account) -> Iterator[str]:
    if not account.layers:
        return
    has_blobs = any(layer.known.blob_size is not None for layer in account.layers)
    yield "<h2>Layers</h2>"
    yield '<div class="scroll"><table class="sorts" id="layers"><thead><tr>'
    yield "<th>layer</th><th>size</th>"
    yield '<th class="less">compressed</th>' if has_blobs else ""
    yield '<th class="less">store paths</th><th>updates that change it</th>'
    yield '<th class="name">holds</th></tr></thead><tbody>'
    for layer in account.layers:
        yield _layer_row(layer, has_blobs=has_blobs)
    yield "</tbody></table></div>"


def _layer_row(layer: LayerAccount, *, has_blobs: bool) -> str:
    chance = _UNKNOWN if layer.chance is None else f"{layer.chance:.1%}"
    cells = [
        _cell(str(layer.number), layer.number),
        _cell(size(layer.size), layer.size),
        _bytes(layer.known.blob_size, style="less") if has_blobs else "",
        _cell(str(len(layer.known.paths)), len(layer.known.paths), style="less"),
        _cell(chance, -1 if layer.chance is None else round(layer.chance, 6)),
        f'<td class="name">{_text(layer_contents(layer))}</td>',
    ]
    return f'<tr id="layer{layer.number}">{"".join(cells)}</tr>'


def _path_table(
    account: Account, shown: Sequence[PathAccount], rows: Mapping[str, str]
) -> Iterator[str]:
    if not shown:
        return
    yield "<h2>Store paths</h2>"
    yield (
        '<p class="dim">Sizes are those '
        f"{_text(MEASURES[account.image.measure or NAR])}. “Alone” is what would go with a path, "
        "since nothing else needs it. “Update” are the layers that change with it.</p>"
    )
    yield '<div class="scroll"><table class="sorts" id="paths"><thead><tr>'
    yield '<th class="name">store path</th><th aria-sort="descending">own</th>'
    yield '<th class="less">closure</th><th>alone</th><th>update</th><th class="less">layer</th>'
    yield "</tr></thead><tbody>"
    for one in shown:
        yield _path_row(one, account, rows[one.path])
    yield "</tbody></table></div>"
    left = len(account.paths) - len(shown)
    if left:
        own = sum(one.own for one in list(account.paths.values())[len(shown) :])
        yield f'<p class="dim">{left:,} smaller store paths, {size(own)} in all, have no row: '
        yield "“longshore explain --all” lists them.</p>"


def _path_row(one: PathAccount, account: Account, anchor: str) -> str:
    # The last step is the path itself.
    ends = account.ends_of_way(one.path, _WAY_MAX + 1)[:-1]
    way = ["…" if path is None else store_name(path) for path in ends]
    through = f"<small>through {_text(' → '.join(way))}</small>" if way else ""
    layers = ", ".join(map(str, one.layers))
    cells = [
        f'<td class="name">{_text(one.name)}{through}</td>',
        _bytes(one.own),
        _bytes(one.closure, style="less"),
        _bytes(one.vanishing),
        _bytes(one.update),
        _cell(layers, min(one.layers, default=-1), style="less"),
    ]
    return f'<tr id="{anchor}">{"".join(cells)}</tr>'


def _versions(account: Account) -> Iterator[str]:
    if not account.versions:
        return
    yield "<h2>Packages in several versions</h2><ul>"
    for package, paths in list(account.versions.items())[:SHOWN]:
        versions = ", ".join(sorted({account.paths[path].version for path in paths}))
        yield f"<li>{_text(package)}: {_text(versions)}</li>"
    yield "</ul>"


def _notes(account: Account) -> Iterator[str]:
    if account.image.unknown:
        yield "<h2>What is not known</h2><ul>"
        for sentence in account.image.unknown:
            yield f"<li>{_text(sentence)}</li>"
        yield "</ul>"


def _bytes(count: int | None, *, style: str = "") -> str:
    return _cell(_UNKNOWN if count is None else size(count), -1 if count is None else count, style)


def _cell(shown: str, value: float, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<td{kind} data-v="{value}">{_text(shown)}</td>'


def _text(text: str) -> str:
    """Return text for the page: names are of whoever made the image."""
    return escape(visible(text))
