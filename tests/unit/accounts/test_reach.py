"""How far a path reaches."""

import random

from builders.accounts.reach import changed_layers, closure_sizes, shortest_ways, way_to
from builders.closure.graph import referrers_first
from tests.unit.accounts.images import DIAMOND, SIZES, graph, path


def test_a_closure_counts_each_path_once():
    nodes = graph(DIAMOND, SIZES)
    found = closure_sizes(nodes, referrers_first(nodes), {p: n.nar_size for p, n in nodes.items()})
    assert {name: found[path(name)] for name in DIAMOND} == {
        "app-1.0": 11111,
        "left-2.0": 11010,
        "right-2.0": 10100,
        "only-left-1.0": 1000,
        "base-3.0": 10000,
    }


def test_closures_of_many_paths_are_what_a_walk_finds():
    rng = random.Random(3)
    names = [f"p{number}" for number in range(300)]
    references = {
        n: sorted(set(rng.choices(names[:i], k=4))) if i else [] for i, n in enumerate(names)
    }
    nodes = graph(references, {name: rng.randrange(1 << 40) for name in names})
    sizes = {p: node.nar_size for p, node in nodes.items()}
    found = closure_sizes(nodes, referrers_first(nodes), sizes)
    for start in nodes:
        seen, pending = {start}, [start]
        while pending:
            more = set(nodes[pending.pop()].references) - seen
            seen |= more
            pending += more
        assert found[start] == sum(sizes[p] for p in seen)


def test_the_way_is_the_shortest_and_of_equal_ones_the_first_by_name():
    nodes = graph({**DIAMOND, "z-1": ["base-3.0"]})
    before = shortest_ways(nodes, [path("app-1.0")])
    assert way_to(path("base-3.0"), before) == tuple(
        path(name) for name in ("app-1.0", "left-2.0", "base-3.0")
    )
    before = shortest_ways(nodes, [path("z-1"), path("app-1.0")])
    assert way_to(path("base-3.0"), before) == (path("z-1"), path("base-3.0"))


def test_a_path_changes_its_layer_and_those_of_all_that_need_it():
    nodes = graph(DIAMOND)
    layers = {path(name): [number] for number, name in enumerate(DIAMOND)}
    found = changed_layers(
        nodes, referrers_first(nodes), layers, roots=[path("app-1.0")], of_roots=[7]
    )
    assert found[path("app-1.0")] == 1 << 0 | 1 << 7
    assert found[path("right-2.0")] == 1 << 0 | 1 << 2 | 1 << 7
    assert found[path("base-3.0")] == 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 7
