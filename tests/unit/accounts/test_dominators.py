"""Dominators: what would vanish with a path."""

import random

import networkx
import pytest

from builders.accounts.dominators import dominators, vanishing_bytes
from builders.closure.graph import referrers_first
from tests.unit.accounts.images import DIAMOND, SIZES, graph, path


def found_in(references, roots):
    nodes = graph(references)
    return dominators(nodes, referrers_first(nodes), [path(root) for root in roots])


def test_what_comes_in_by_two_ways_belongs_to_where_they_part():
    found = found_in(DIAMOND, ["app-1.0"])
    assert found[path("base-3.0")] == path("app-1.0")
    assert found[path("only-left-1.0")] == path("left-2.0")
    assert found[path("app-1.0")] is None


def test_a_root_that_others_refer_to_belongs_to_none_of_them():
    found = found_in(DIAMOND, ["app-1.0", "left-2.0"])
    assert found[path("left-2.0")] is None
    assert found[path("base-3.0")] is None


def test_what_would_vanish_is_all_that_is_there_through_a_path_alone():
    nodes = graph(DIAMOND, SIZES)
    order = referrers_first(nodes)
    sizes = {node.path: node.nar_size for node in nodes.values()}
    found = vanishing_bytes(order, dominators(nodes, order, [path("app-1.0")]), sizes)
    assert {name: found[path(name)] for name in DIAMOND} == {
        "app-1.0": 11111,
        "left-2.0": 1010,
        "right-2.0": 100,
        "only-left-1.0": 1000,
        "base-3.0": 10000,
    }


def random_references(count, seed):
    rng = random.Random(seed)
    names = [f"p{number}" for number in range(count)]
    return {
        name: sorted(set(rng.choices(names[:number], k=rng.randrange(5)))) if number else []
        for number, name in reversed(list(enumerate(names)))
    }


@pytest.mark.parametrize("seed", range(20))
def test_dominators_are_those_of_networkx(seed):
    references = random_references(60 + seed, seed)
    referred = {name for names in references.values() for name in names}
    roots = [name for name in references if name not in referred] + ["p7"]
    whole = networkx.DiGraph()
    whole.add_edges_from(("", root) for root in roots)
    whole.add_edges_from((name, other) for name, names in references.items() for other in names)
    expected = networkx.immediate_dominators(whole, "")
    found = found_in(references, roots)
    assert {name: found[path(name)] for name in references} == {
        name: path(expected[name]) if expected[name] else None for name in references
    }


def test_a_ladder_as_deep_as_it_is_long_is_no_work():
    # Each path meets the whole depth of the first chain: a walk up would take 10^8 steps.
    count = 10_000
    references = {f"a{n}": [f"a{n + 1}"] for n in range(count)}
    references |= {f"b{n}": [f"b{n + 1}", f"a{n}"] for n in range(count)}
    references |= {f"a{count}": [], f"b{count}": []}
    found = found_in(references, ["b0"])
    assert found[path(f"a{count}")] == path(f"a{count - 1}")
    assert found[path(f"a{count - 1}")] == path("b0")
    assert found[path("b5")] == path("b4")
