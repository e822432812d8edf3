"""Which store path of one image is which of another."""

from builders.accounts.account import account_of
from builders.accounts.pairing import pair
from tests.unit.accounts.images import graph, image, path


def account(references, **more):
    nodes = graph(references, **more)
    return account_of(image(nodes, [[node.path.partition("-")[2] for node in nodes.values()]]))


def test_paths_are_paired_by_name_and_then_by_package_and_output():
    old = account({"a-1": [], "ssl-3.0": [], "ssl-3.0-dev": [], "same-1": [], "gone-1": []})
    new = account(
        {"a-1": [], "ssl-3.1": [], "ssl-3.1-dev": [], "same-1": [], "new-1": []},
        digits={"a-1": "b"},
    )
    found = pair(old, new)
    assert found.same == {path("same-1")}
    assert found.pairs == {
        path("a-1"): path("a-1", "b"),
        path("ssl-3.0"): path("ssl-3.1"),
        path("ssl-3.0-dev"): path("ssl-3.1-dev"),
    }
    assert found.removed == (path("gone-1"),)
    assert found.added == (path("new-1"),)


def test_of_two_with_one_name_those_that_refer_to_the_same_belong_together():
    one, other = path("source", "b"), path("source", "c")
    changed = path("source", "d"), path("source", "f")

    def with_sources(first, second):
        nodes = graph({"x-1": [], "y-1": []})
        kind = nodes[path("x-1")].__class__
        nodes[first] = kind(first, (path("x-1"),), 5)
        nodes[second] = kind(second, (path("y-1"),), 5)
        return account_of(image(nodes, []))

    found = pair(with_sources(one, other), with_sources(changed[1], changed[0]))
    assert found.pairs == {one: changed[1], other: changed[0]}


def test_a_version_that_is_left_over_is_added():
    old, new = account({"z-1": []}), account({"z-2": [], "z-3": []})
    found = pair(old, new)
    assert found.pairs == {path("z-1"): path("z-2")}
    assert found.added == (path("z-3"),)
