"""Size cohorts: the layers that nixpkgs makes of the same graphs."""

import json
import pathlib
import random

import pytest

from builders.closure.graph import StorePath, read_graph
from builders.closure.size_cohorts import size_cohorts
from builders.image.layering import SIZE, assign_layers

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
GRAPHS = json.loads((GOLDEN / "popularity.json").read_text())["cases"]
LAYERINGS = json.loads((GOLDEN / "size-cohorts.json").read_text())["layerings"]


@pytest.mark.parametrize("layering", LAYERINGS, ids=lambda item: f"{item['case']}-{item['limit']}")
def test_golden_layers(layering):
    graph = read_graph(GRAPHS[layering["case"]]["graph"])
    layers = size_cohorts(graph, layering["limit"])
    assert {frozenset(layer) for layer in layers} == set(map(frozenset, layering["layers"]))
    assert len(layers) == len(layering["layers"])


@pytest.mark.parametrize("case", GRAPHS)
def test_the_order_of_the_graph_matters_only_for_equal_sizes(case):
    nodes = [dict(node, narSize=number + 1) for number, node in enumerate(GRAPHS[case]["graph"])]
    expected = size_cohorts(read_graph(nodes), 20)
    random.Random(1).shuffle(nodes)
    assert size_cohorts(read_graph(nodes), 20) == expected


def test_dependencies_come_first_and_paths_are_sorted():
    graph = read_graph(GRAPHS["six-hundred"]["graph"])
    layers = size_cohorts(graph, 50)
    for layer in layers:
        assert list(layer) == sorted(layer, key=lambda path: graph[path].name_and_hash)
    assert sorted(path for layer in layers for path in layer) == sorted(graph)


def test_excluded_paths_take_no_layer():
    graph = {
        "/nix/store/1-a": StorePath("/nix/store/1-a", ("/nix/store/2-b",), nar_size=5),
        "/nix/store/2-b": StorePath("/nix/store/2-b", (), nar_size=50),
    }
    layers = assign_layers(graph, exclude={"/nix/store/1-a"}, limit=1, layering=SIZE)
    assert layers == [("/nix/store/2-b",)]


def test_nothing_has_no_layers():
    assert size_cohorts({}, 5) == []
