"""The two treemaps of a report as SVG: an image by its layers, and by its packages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from builders.accounts.account import Account, LayerAccount
from builders.accounts.text import layer_contents
from builders.console.progress import size
from builders.console.terminal import visible
from builders.report.treemap import Rectangle, squarify

COLOURS: Final = 8
"""Classes c0 to c7 of the style, which take turns."""
STEPS: Final = 5
"""Classes s0 to s4: the more an update of a package sends, the darker it is."""

_TITLE: Final = 15.0
"""The height of a group's title."""
_SMALL_GROUP: Final = 12.0
_LETTER: Final = 0.58
"""The width of a letter, as a part of the size of the type."""
_LARGEST_TYPE: Final = 13.0
_SMALLEST_TYPE: Final = 0.8
"""Below it nothing is to be seen, however near one comes."""


@dataclass(frozen=True)
class Tile:
    """A rectangle to be: its size in bytes, its name, what is told of it, and the row about it."""

    size: int
    name: str
    told: str
    target: str
    style: str


@dataclass(frozen=True)
class TileGroup:
    """Tiles that are together; `short` is what is left of the name where there is little room."""

    name: str
    told: str
    target: str
    style: str
    tiles: tuple[Tile, ...]
    short: str = ""

    @property
    def size(self) -> int:
        """The bytes of all tiles."""
        return sum(tile.size for tile in self.tiles)


@dataclass(frozen=True)
class Canvas:
    """What is drawn on: its name and measures, and how many tiles it has room for."""

    name: str
    width: int
    height: int
    tiles: int


def layer_groups(account: Account, rows: Mapping[str, str], most: int) -> list[TileGroup]:
    """Return a group for each layer, with a tile for each of the `most` largest paths of all.

    `rows` has the anchor of the row about a path, where there is one.
    """
    shown = set(list(account.paths)[:most])
    by_size = sorted(account.layers, key=lambda layer: (-layer.size, layer.number))
    # In the order in which they are drawn, so that neighbours differ.
    styles = {layer.number: f"c{rank % COLOURS}" for rank, layer in enumerate(by_size)}
    groups = []
    for layer in account.layers:
        style = styles[layer.number]
        chance = "" if layer.chance is None else f", {layer.chance:.0%} of updates change it"
        told = f"layer {layer.number}: {size(layer.size)}{chance}: {layer_contents(layer)}"
        tiles = [*_path_tiles(layer, account, rows, shown, style), *_other_tiles(layer, style)]
        tiles.sort(key=lambda tile: -tile.size)
        groups.append(
            TileGroup(
                name=f"layer {layer.number}",
                told=told,
                target=f"layer{layer.number}",
                style=style,
                tiles=tuple(tiles),
                short=str(layer.number),
            )
        )
    return groups


def _path_tiles(
    layer: LayerAccount, account: Account, rows: Mapping[str, str], shown: set[str], style: str
) -> Iterator[Tile]:
    left = 0
    count = 0
    for path, bytes_ in layer.known.paths.items():
        if not bytes_:
            continue
        if path not in shown:
            left += bytes_
            count += 1
            continue
        one = account.paths[path]
        yield Tile(bytes_, one.name, f"{one.name}: {size(bytes_)}", rows.get(path, ""), style)
    if left:
        yield Tile(left, f"{count} smaller", f"{count} smaller store paths: {size(left)}", "", "r")


def _other_tiles(layer: LayerAccount, style: str) -> Iterator[Tile]:
    left = layer.other
    for name, bytes_ in layer.known.directories.items():
        if 0 < bytes_ <= left:
            left -= bytes_
            yield Tile(bytes_, name, f"{name}: {size(bytes_)}", "", style)
    if left > 0:
        name = "headers" if layer.known.paths else layer.known.kind
        yield Tile(left, name, f"{name}: {size(left)}", "", "r")


def package_groups(account: Account, rows: Mapping[str, str], most: int) -> list[TileGroup]:
    """Return a group for each package, with a tile for each of its paths that are shown."""
    groups: dict[str, list[Tile]] = {}
    left: list[int] = []
    largest = max((one.update or 0 for one in account.paths.values()), default=0)
    for number, one in enumerate(account.paths.values()):
        if not one.own:
            continue
        if number >= most:
            left.append(one.own)
            continue
        step = min(STEPS - 1, STEPS * (one.update or 0) // (largest + 1))
        update = "" if one.update is None else f"; an update sends {size(one.update)}"
        told = f"{one.name}: {size(one.own)}{update}"
        tile = Tile(one.own, one.name, told, rows.get(one.path, ""), f"s{step}")
        groups.setdefault(one.package, []).append(tile)
    found = [
        TileGroup(package, tiles[0].told, "", tiles[0].style, tuple(tiles))
        for package, tiles in groups.items()
    ]
    if left:
        name = f"{len(left)} smaller"
        tile = Tile(sum(left), name, f"{name} store paths: {size(sum(left))}", "", "r")
        found.append(TileGroup(name, tile.told, "", "r", (tile,)))
    return found


def draw(groups: Sequence[TileGroup], canvas: Canvas, *, label: str, titles: bool) -> str:
    """Return the SVG of `groups`; `titles` says whether a group has a line for its name."""
    there = sorted((group for group in groups if group.size > 0), key=lambda group: -group.size)
    whole = Rectangle(0, 0, canvas.width, canvas.height)
    parts = [
        f'<svg class="map {canvas.name}" viewBox="0 0 {canvas.width} {canvas.height}" '
        f'role="img" aria-label="{_text(label)}">'
    ]
    places = squarify([group.size for group in there], whole)
    for group, place in zip(there, places, strict=True):
        parts.append(_group(group, place, titles=titles))
    parts.append("</svg>")
    return "\n".join(parts)


def _group(group: TileGroup, place: Rectangle, *, titles: bool) -> str:
    has_title = titles and place.height > 3 * _TITLE and place.width > 30
    inner = place.inset(1, _TITLE if has_title else 1)
    rectangles = squarify([tile.size for tile in group.tiles], inner)
    tiles = "".join(
        _tile(tile, rectangle)
        for tile, rectangle in zip(group.tiles, rectangles, strict=True)
        if rectangle.width > 0.05 and rectangle.height > 0.05
    )
    title = ""
    if has_title:
        name = _fitting(group.name, place.width - 6, 11, short=group.short)
        title = f'<text x="{place.x + 4:.1f}" y="{place.y + 11.5:.1f}" font-size="11">{name}</text>'
    told = f"<title>{_text(group.told)}</title>"
    # Of many small ones side by side, the frames would be all that is to be seen.
    frame_style = "g t" if min(place.width, place.height) < _SMALL_GROUP else "g"
    frame = f'<rect class="{frame_style}" {_attributes(place)}>{told}</rect>'
    if group.target:
        frame = f'<a href="#{group.target}">{frame}{title}</a>'
    else:
        frame += title
    return f'<g class="group {group.style}">{frame}{tiles}</g>'


def _tile(tile: Tile, place: Rectangle) -> str:
    shown = (
        f"<rect {_attributes(place)}/>{_label(tile.name, place)}<title>{_text(tile.told)}</title>"
    )
    if tile.target:
        return f'<a class="{tile.style}" href="#{tile.target}">{shown}</a>'
    return f'<g class="{tile.style}">{shown}</g>'


def _attributes(place: Rectangle) -> str:
    return (
        f'x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}"'
    )


def _label(name: str, place: Rectangle) -> str:
    """Return the name in type that fits: small type is to be read where one comes nearer."""
    length = max(len(name), 1)
    type_size = min(_LARGEST_TYPE, (place.width - 2) / (length * _LETTER), (place.height - 1) * 0.8)
    if type_size < _SMALLEST_TYPE:
        return ""
    x, y = place.x + place.width / 2, place.y + place.height / 2 + type_size * 0.35
    return (
        f'<text class="m" x="{x:.1f}" y="{y:.1f}" font-size="{type_size:.1f}">{_text(name)}</text>'
    )


def _fitting(name: str, width: float, type_size: float, *, short: str) -> str:
    """Return what of `name` there is room for: all, or else `short`, or else its beginning."""
    letters = int(width / (type_size * _LETTER))
    if len(name) > letters and short:
        name = short
    shown = name if len(name) <= letters else f"{name[: max(letters - 1, 0)]}…"
    return _text(shown)


def _text(text: str) -> str:
    return escape(visible(text))
