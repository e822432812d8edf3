"""The popularity contest orders store paths as the reference does."""

import json
import pathlib
import random

import pytest

from builders.closure import popularity
from builders.closure.graph import StorePath, read_graph, referrers_first
from builders.closure.popularity import by_popularity, contest, limit_layers
from builders.image.layering import assign_layers

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "popularity.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES)
def test_golden_order(case):
    assert by_popularity(read_graph(CASES[case]["graph"])) == CASES[case]["order"]


def graph_of(references):
    """A graph out of `{name: names}`; a path's hash is made of its name."""
    path = {name: f"/nix/store/{name * 32:.32}-{name}" for name in references}
    return {
        path[name]: StorePath(path[name], tuple(path[to] for to in names))
        for name, names in references.items()
    }


def recursive_contest(graph):
    """The contest as the reference defines it: over the tree that the graph unfolds to."""

    def popularity(paths):
        points = {}
        for path in paths:
            points[path] = points.get(path, 0) + 1
            for below, count in popularity(graph[path].references).items():
                points[below] = points.get(below, 0) + count + 1
        return points

    referred = {reference for node in graph.values() for reference in node.references}
    return popularity([path for path in graph if path not in referred])


@pytest.mark.parametrize("seed", range(30))
def test_contest_equals_the_recursive_definition(seed):
    chance = random.Random(seed)
    names = [chr(ord("a") + number) for number in range(10)]
    graph = graph_of(
        {
            name: [other for other in names[number + 1 :] if chance.random() < 0.4]
            for number, name in enumerate(names)
        }
    )
    assert contest(graph) == recursive_contest(graph)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("worth_tables", [0, 1000])
def test_blocks_tables_and_processes_change_nothing(monkeypatch, jobs, worth_tables):
    graph = read_graph(CASES["six-hundred"]["graph"])
    expected = contest(graph)
    monkeypatch.setattr(popularity, "_BLOCK", 70)
    monkeypatch.setattr(popularity, "_WORTH_TABLES", worth_tables)
    assert contest(graph, jobs=jobs) == expected


def test_names_are_compared_together_with_what_follows_them():
    # As nixpkgs compares them: "a++-/nix/store/…" and "a-/nix/store/…".
    graph = {path: StorePath(path, ()) for path in ("/nix/store/ccc-a", "/nix/store/ddd-a++")}
    assert by_popularity(graph) == ["/nix/store/ddd-a++", "/nix/store/ccc-a"]


def test_ties_go_by_package_name_and_then_by_hash():
    paths = ["/nix/store/bbb-a", "/nix/store/aaa-b", "/nix/store/aaa-a"]
    graph = {path: StorePath(path, ()) for path in paths}
    assert by_popularity(graph) == ["/nix/store/aaa-a", "/nix/store/bbb-a", "/nix/store/aaa-b"]


def test_a_reference_to_itself_does_not_count():
    nodes = [{"path": "/nix/store/aaa-a", "references": ["/nix/store/aaa-a"]}]
    graph = read_graph([{**node, "narSize": 1, "narHash": "sha256:x"} for node in nodes])
    assert contest(graph) == {"/nix/store/aaa-a": 1}
    assert graph["/nix/store/aaa-a"].all_references == ("/nix/store/aaa-a",)


def test_referrers_come_before_what_they_refer_to():
    graph = graph_of({"a": ["b", "c"], "b": ["c"], "c": []})
    assert [path[-1] for path in referrers_first(graph)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(1, [("a", "b", "c")]), (2, [("a",), ("b", "c")]), (3, [("a",), ("b",), ("c",)])],
)
def test_all_that_is_too_much_goes_into_the_last_layer(layers, expected):
    assert limit_layers(["a", "b", "c"], layers) == expected
    assert limit_layers([], layers) == []


def test_excluded_paths_take_part_in_the_contest_and_take_no_layer():
    graph = graph_of({"x": ["a"], "a": ["b"], "b": []})
    excluded = next(iter(graph))
    layers = assign_layers(graph, exclude={excluded}, limit=2)
    assert [[path[-1] for path in layer] for layer in layers] == [["b"], ["a"]]
