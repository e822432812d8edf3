"""The treemaps of a report."""

from dataclasses import replace
from xml.etree import ElementTree

from builders.accounts.account import account_of
from builders.accounts.known import KnownLayer
from builders.report.maps import Canvas, Tile, TileGroup, draw, layer_groups, package_groups
from tests.unit.accounts.images import diamond, path

CANVAS = Canvas("wide", 1200, 640, 1000)


def drawn(groups, canvas=CANVAS):
    return ElementTree.fromstring(draw(groups, canvas, label="a map", titles=True))


def test_an_image_is_drawn_layer_by_layer_to_the_last_byte():
    account = account_of(diamond())
    groups = layer_groups(account, {path("base-3.0"): "p0"}, 1000)
    assert [group.size for group in groups] == [layer.size for layer in account.layers]
    assert sum(group.size for group in groups) == account.size
    (base, headers) = groups[0].tiles
    assert (base.name, base.target, base.told) == ("base-3.0", "p0", "base-3.0: 10.0 kB")
    assert (headers.name, headers.size) == ("headers", 50)


def test_what_is_too_much_is_one_tile():
    groups = layer_groups(account_of(diamond()), {}, 1)
    assert [tile.name for tile in groups[1].tiles] == ["2 smaller", "headers"]
    packages = package_groups(account_of(diamond()), {}, 1)
    assert [(group.name, group.size) for group in packages] == [
        ("base", 10000),
        ("4 smaller", 1111),
    ]


def test_directories_outside_of_the_store_have_tiles():
    files = KnownLayer("files", None, 3000, directories={"/usr/lib": 2000, "/etc": 500})
    account = account_of(replace(diamond(graph=None, roots=()), layers=(files,)))
    (group,) = layer_groups(account, {}, 10)
    assert [(tile.name, tile.size) for tile in group.tiles] == [
        ("/usr/lib", 2000),
        ("/etc", 500),
        ("files", 500),
    ]


def test_packages_are_the_darker_the_more_an_update_sends():
    groups = package_groups(account_of(diamond()), {}, 1000)
    assert {group.name: group.style for group in groups} == {
        "base": "s4",
        "only-left": "s0",
        "right": "s0",
        "left": "s0",
        "app": "s0",
    }
    assert sum(group.size for group in groups) == 11111


def test_an_svg_is_well_formed_and_tells_each_tile():
    svg = drawn(layer_groups(account_of(diamond()), {path("base-3.0"): "p0"}, 1000))
    space = "{http://www.w3.org/1999/xhtml}"
    assert space not in svg.tag
    titles = [title.text for title in svg.iter("title")]
    assert "base-3.0: 10.0 kB" in titles
    assert any(title.startswith("layer 1: 10.1 kB, 20% of updates change it") for title in titles)
    assert [link.get("href") for link in svg.iter("a")][:2] == ["#layer1", "#p0"]


def test_where_a_layer_has_little_room_its_number_is_left():
    tile = Tile(1, "a", "a", "", "c0")
    layer = TileGroup("layer 17", "told", "layer17", "c0", (tile,), "17")
    rest = TileGroup("rest", "told", "", "c0", (replace(tile, size=29),))

    def texts(width):
        svg = drawn([layer, rest], Canvas("wide", width, 600, 10))
        return [text.text for text in svg.iter("text")]

    assert "17" in texts(1000)
    assert "layer 17" not in texts(1000)
    assert "layer 17" in texts(2500)


def test_frames_of_small_groups_are_thin():
    tile = Tile(1, "a", "a", "", "c0")
    groups = [TileGroup("a", "a", "", "c0", (replace(tile, size=size),)) for size in (1, 9999)]
    frames = [rect.get("class") for rect in drawn(groups).iter("rect") if rect.get("class")]
    assert frames == ["g", "g t"]


def test_an_image_of_nothing_is_an_empty_map():
    assert list(drawn([])) == []
