"""Graphs of closures as JSON."""

import pytest

from builders.console.errors import UserError
from builders.formats.closure_graphs import read_closure_graph

NODE = {"path": "/s/a", "references": [], "narSize": 1, "narHash": "sha256:x"}


@pytest.mark.parametrize(
    "node",
    [
        NODE,
        # What older ones leave out is looked at value by value, and gives the same.
        {"path": "/s/a", "references": None, "narSize": 1},
        {**NODE, "valid": True, "closureSize": 1},
        {**NODE, "deriver": "/s/x.drv"},
    ],
)
def test_a_list_is_a_graph_without_roots_and_layers(node):
    found = read_closure_graph([node], what="it")
    assert list(found.graph) == ["/s/a"]
    assert found.graph["/s/a"].nar_size == 1
    assert (found.roots, found.layers) == ((), {"/s/a": None})


def test_what_lies_beside_a_plan_has_roots_and_layers():
    document = {"version": 2, "roots": ["/s/a"], "paths": [{**NODE, "layer": 7}]}
    found = read_closure_graph(document, what="it")
    assert (found.roots, found.layers) == (("/s/a",), {"/s/a": 7})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Path": "/s/b"}, 'has the key "Path"'),
        ({"path": 7}, "path should be a string"),
        ({"references": [7]}, "references should be a list of strings"),
        ({"narSize": True}, "narSize should be a number of 0 or more"),
        ({"layer": -1}, "layer should be a number of 0 or more"),
        ({"layer": 1000}, "no image has so many layers"),
        ({"narHash": 7}, "narHash should be a string"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(change, said):
    with pytest.raises(UserError, match=said):
        read_closure_graph([{**NODE, **change}], what="it")
