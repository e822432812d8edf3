"""The account of an image."""

from dataclasses import replace

import pytest

from builders.accounts.account import CLOSURES_MAX, account_of
from builders.accounts.known import CUSTOMISATION, GRAPH, KnownLayer
from builders.closure.graph import StorePath
from tests.unit.accounts.images import DIAMOND, SIZES, chain, diamond, graph, image, path


def test_own_and_other_bytes_add_up_to_the_image():
    account = account_of(diamond())
    assert account.size == 11111 + 3 * 50
    own = sum(found.own for found in account.paths.values())
    assert own + sum(layer.other for layer in account.layers) == account.size
    assert [layer.other for layer in account.layers] == [50, 50, 50]


def test_a_path_has_its_costs():
    found = account_of(diamond()).paths[path("left-2.0")]
    assert (found.package, found.version, found.name) == ("left", "2.0", "left-2.0")
    assert (found.own, found.closure, found.vanishing) == (10, 11010, 1010)
    assert (found.layers, found.references, found.referrers) == ((3,), 2, 1)


def test_an_update_sends_the_layers_of_all_that_need_the_path():
    paths = account_of(diamond()).paths
    assert paths[path("app-1.0")].update == 11 + 50
    assert paths[path("right-2.0")].update == 1100 + 50 + 11 + 50
    assert paths[path("base-3.0")].update == 11111 + 3 * 50


def test_the_chance_of_a_layer_is_the_part_of_updates_that_change_it():
    # Of five paths one is in or below the first layer, three the second, and all the third.
    assert [layer.chance for layer in account_of(diamond()).layers] == [0.2, 0.6, 1.0]


def test_a_customisation_layer_changes_with_all_that_roots_need():
    nodes = graph({"a-1": ["b-1"], "b-1": []})
    made = image(nodes, [["a-1"], ["b-1"]])
    links = KnownLayer(kind=CUSTOMISATION, diff_id=None, size=1024)
    found = account_of(replace(made, layers=(*made.layers, links)))
    assert [layer.chance for layer in found.layers] == [1.0, 0.5, 1.0]
    assert found.paths[path("a-1")].update == 150 + 1024
    assert found.paths[path("b-1")].update == 150 + 150 + 1024


def test_a_package_in_two_versions_is_named_with_its_paths():
    nodes = graph({"z-1.2": [], "z-1.3": [], "z-1.3-dev": [], "y-1": [], "y-1-bin": []})
    account = account_of(image(nodes, [[node.split("-", 1)[1] for node in nodes]], roots=["z-1.2"]))
    assert account.versions == {"z": (path("z-1.2"), path("z-1.3"), path("z-1.3-dev"))}


def test_one_path_in_two_layers_counts_in_both():
    nodes = graph({"a-1": []})
    account = account_of(image(nodes, [["a-1"], ["a-1"]], roots=["a-1"]))
    assert account.paths[path("a-1")].own == 200
    assert account.paths[path("a-1")].layers == (1, 2)
    assert account.size == 200 + 100


def test_without_a_graph_sizes_and_layers_are_known_and_nothing_else():
    account = account_of(diamond(graph=None, roots=()))
    found = account.paths[path("left-2.0")]
    assert (found.own, found.layers) == (10, (3,))
    assert (found.closure, found.vanishing, found.update, found.referrers) == (None,) * 4
    assert account.layers[0].chance is None
    assert account.way(path("left-2.0")) == ()


def test_the_way_leads_from_a_root():
    way = account_of(diamond()).way(path("only-left-1.0"))
    assert way == (path("app-1.0"), path("left-2.0"), path("only-left-1.0"))


def test_of_a_long_way_there_are_both_ends():
    account = account_of(image(chain(9), []))
    names = [path(f"p{number}-1") for number in range(9)]
    assert account.ends_of_way(names[4], 5) == tuple(names[:5])
    assert account.ends_of_way(names[5], 5) == (*names[:2], None, *names[3:6])
    assert account.ends_of_way(names[8], 8) == (*names[:4], None, *names[5:])
    assert account.ends_of_way(names[0], 2) == (names[0],)
    assert account.ends_of_way(names[8], 2) == (names[0], None, names[8])
    assert account.ends_of_way("/nix/store/none", 5) == ()


def test_closures_of_fifty_thousand_paths_are_summed_up():
    account = account_of(image(chain(50_000), [], source=GRAPH))
    assert account.paths[path("p0-1")].closure == 5_000_000
    assert account.paths[path("p49990-1")].closure == 1_000


def test_in_large_images_a_closure_is_summed_up_where_it_is_asked_for():
    count = CLOSURES_MAX + 1
    names = [f"/nix/store/{number:032}-p-1" for number in range(count)]
    nodes = {
        name: StorePath(name, tuple(names[number + 1 : number + 2]), 1)
        for number, name in enumerate(names)
    }
    account = account_of(image(nodes, [], source=GRAPH))
    assert account.paths[names[1]].closure is None
    assert account.closure(names[1]) == count - 1


@pytest.mark.parametrize("order", [list(DIAMOND), list(reversed(DIAMOND))])
def test_the_largest_come_first(order):
    nodes = graph({name: DIAMOND[name] for name in order}, SIZES)
    account = account_of(image(nodes, [order]))
    assert [found.name for found in account.paths.values()] == [
        "base-3.0",
        "only-left-1.0",
        "right-2.0",
        "left-2.0",
        "app-1.0",
    ]
