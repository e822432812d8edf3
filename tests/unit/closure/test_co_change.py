"""Layers of what changes together: what updates send, and that nothing but the graph counts."""

import json
import os
import random
import subprocess
import sys

import pytest
from updates import read_cases, sent, weighted

from builders.closure.changes import find_changes
from builders.closure.co_change import co_change, layers_of
from builders.closure.graph import StorePath
from tests.unit.support import BUILDERS

CASES = {case.name: case for case in read_cases()}
MIB = 1 << 20


def path(name):
    return f"/nix/store/{name[0] * 32}-{name}"


def graph_of(edges, sizes):
    """A graph of `{name: names}`, and the size of each in MiB."""
    return {
        path(name): StorePath(
            path(name), tuple(map(path, edges.get(name, "").split())), int(size * MIB)
        )
        for name, size in sizes.items()
    }


def names(layers):
    return [" ".join(path.partition("-")[2] for path in layer) for layer in layers]


# An app on a large library, with data beside it that has nothing to do with it.
APP = graph_of(
    {"app": "lib data", "lib": "base"}, {"app": 2, "lib": 40, "base": 3, "data": 30, "zoo": 5}
)


def test_what_changes_most_is_on_top():
    assert names(co_change(APP, 3)) == ["base lib", "data", "app zoo"]
    assert names(co_change(APP, 10)) == ["base", "lib", "data", "zoo", "app"]


@pytest.mark.parametrize("name", CASES)
def test_updates_send_at_most_what_they_did_in_the_experiment(name):
    case = CASES[name]
    before = find_changes(case.closure.graph)
    after = [(kind, graph, find_changes(graph)) for kind, graph in case.updates]
    for limit in (20, 60, 100):
        old = layers_of(before, range(len(before.order)), limit)
        assert len(old) <= limit
        mean = weighted(
            (kind, sent(old, layers_of(changes, range(len(changes.order)), limit), graph))
            for kind, graph, changes in after
        )
        known = case.reference[str(limit)]
        assert mean <= known["together"]["weighted"] + 1
        assert mean <= known["size"]["weighted"]


def test_the_least_is_what_the_experiment_says():
    for case in CASES.values():
        found = weighted(
            (kind, sum(graph[path].nar_size for path in graph if path not in case.closure.graph))
            for kind, graph in case.updates
        )
        assert found == pytest.approx(case.reference["20"]["least"]["weighted"], abs=1)


def test_every_path_has_one_layer_and_needs_none_in_a_later_one():
    for case in CASES.values():
        graph = case.closure.graph
        layers = co_change(graph, 20)
        place = {path: number for number, layer in enumerate(layers) for path in layer}
        assert sorted(place) == sorted(graph)
        assert sum(map(len, layers)) == len(graph)
        for node in graph.values():
            assert all(place[to] <= place[node.path] for to in node.references)
        assert all(
            list(layer) == sorted(layer, key=lambda path: graph[path].name_and_hash)
            for layer in layers
        )


def random_graph(seed, count=120):
    dice = random.Random(seed)
    paths = [f"/nix/store/{dice.getrandbits(128):032x}-p{dice.randrange(40)}" for _ in range(count)]
    return [
        {
            "path": own,
            "references": dice.sample(paths[:number], min(number, dice.randrange(5))),
            # Many of the same size: ties.
            "narSize": dice.choice([0, 1, 4096, 4096, MIB, 9 * MIB, dice.randrange(1 << 26)]),
        }
        for number, own in enumerate(paths)
    ]


def read(nodes):
    return {
        node["path"]: StorePath(node["path"], tuple(node["references"]), node["narSize"])
        for node in nodes
    }


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limit", [1, 2, 7, 30, 119])
def test_the_order_of_the_graph_makes_no_difference(seed, limit):
    nodes = random_graph(seed)
    volatile = {nodes[60]["path"]} if seed % 2 else set()
    expected = co_change(read(nodes), limit, volatile=volatile)
    assert len(expected) <= limit
    assert sorted(path for layer in expected for path in layer) == sorted(read(nodes))
    for _ in range(3):
        random.Random(seed).shuffle(nodes)
        for node in nodes:
            random.Random(seed).shuffle(node["references"])
        assert co_change(read(nodes), limit, volatile=volatile) == expected


def test_hash_seeds_make_no_difference(tmp_path):
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(random_graph(5)))
    command = [sys.executable, BUILDERS, "layers", graph, "--layering", "co-change"]
    said = {
        subprocess.run(
            [*command, "--store-layers", "9"],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(said) == 1


def test_few_paths_are_no_layers_of_a_few_bytes_each():
    # Worth less than 64 KiB with each update: one layer, though ten are left.
    graph = graph_of({"app": "lib"}, {"app": 0.01, "lib": 0.01})
    assert names(co_change(graph, 10)) == ["app lib"]
    assert co_change({}, 10) == []
    assert co_change(APP, 10, exclude=set(APP)) == []


def test_excluded_paths_pass_on_what_they_need():
    graph = graph_of({"app": "mid", "mid": "lib"}, {"app": 3, "mid": 9, "lib": 30, "data": 30})
    layers = co_change(graph, 2, exclude={path("mid")})
    assert sorted(path for layer in layers for path in layer) == sorted(
        path(name) for name in ("app", "lib", "data")
    )


@pytest.mark.parametrize("name", ["pyweb", "desktop"])
def test_a_layer_below_the_least_size_makes_room_for_large_ones(name):
    graph = CASES[name].closure.graph

    def below(limit, least):
        layers = co_change(graph, limit, min_layer_size=least)
        assert len(layers) <= limit
        return sum(sum(graph[path].nar_size for path in layer) < MIB for layer in layers)

    assert below(20, 0) == 1
    assert below(20, MIB) == 0
    # Where layers are left, small ones stay.
    assert below(600, MIB) == below(600, 0) > 0


def test_what_is_said_to_change_is_apart_from_what_does_not():
    edges = {"app": "lib base", "lib": "base", "tool": "base"}
    graph = graph_of(edges, {"app": 2, "lib": 30, "base": 40, "tool": 50})
    assert names(co_change(graph, 3)) == ["base", "tool", "app lib"]
    assert names(co_change(graph, 2)) == ["base tool", "app lib"]
    said = co_change(graph, 2, volatile={path("tool")})
    assert names(said) == ["app base lib", "tool"]
