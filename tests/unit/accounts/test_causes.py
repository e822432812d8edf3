"""Why paths changed."""

import pytest

from builders.accounts.account import account_of
from builders.accounts.causes import find_causes
from builders.accounts.pairing import pair
from tests.unit.accounts.images import graph, image, path

OLD = {
    "app-1.0": ["tool-1.0", "libssl-3.0"],
    "tool-1.0": ["libssl-3.0", "libc-2.36"],
    "libssl-3.0": ["libc-2.36"],
    "libssl-3.0-dev": ["libssl-3.0"],
    "libc-2.36": [],
}


def account(references, sizes=None, digits=None):
    nodes = graph(references, sizes, digits)
    return account_of(image(nodes, [[node.path.partition("-")[2] for node in nodes.values()]]))


def causes(old, new, same=lambda old, new: None):
    return find_causes(old, new, pair(old, new), same_content=same)


def said(found):
    return [(one.package, one.reason) for one in found.causes]


ALL_B = dict.fromkeys(OLD, "b")
UPDATED = {
    "app-1.0": ["tool-1.0", "libssl-3.1"],
    "tool-1.0": ["libssl-3.1", "libc-2.36"],
    "libssl-3.1": ["libc-2.36"],
    "libssl-3.1-dev": ["libssl-3.1"],
    "libc-2.36": [],
}


def test_the_update_of_one_library_is_the_only_cause():
    new = account(UPDATED, digits={"app-1.0": "b", "tool-1.0": "b"})
    found = causes(account(OLD), new)
    assert said(found) == [("libssl", "version")]
    assert found.causes[0].old == (path("libssl-3.0"), path("libssl-3.0-dev"))
    assert found.causes[0].new == (path("libssl-3.1"), path("libssl-3.1-dev"))
    assert found.perhaps == ()
    assert found.way(path("app-1.0", "b")) == (path("app-1.0", "b"), path("libssl-3.1"))


def test_a_patched_library_of_the_same_version_is_the_only_cause():
    digits = {name: "b" for name in OLD if name not in ("libc-2.36",)}
    found = causes(account(OLD), account(OLD, digits=digits))
    assert said(found) == [("libssl", "content")]


def test_what_the_bottom_of_all_does_is_the_cause_of_all():
    assert said(causes(account(OLD), account(OLD, digits=ALL_B))) == [("libc", "content")]


def test_equal_content_at_another_path_is_only_built_again():
    old, new = account(OLD), account(OLD, digits=ALL_B)
    bottom = path("libc-2.36", "b")
    node = new.image.graph[bottom]
    same = old.image.graph[path("libc-2.36")].nar_hash
    new.image.graph[bottom] = node.__class__(bottom, (), node.nar_size, same)
    assert said(causes(old, new)) == [("libc", "rebuilt")]


def test_what_refers_to_something_else_is_a_cause():
    new = {**OLD, "tool-1.0": ["libssl-3.0", "libc-2.36", "zlib-1"], "zlib-1": []}
    found = causes(account(OLD), account(new, digits={"tool-1.0": "b", "app-1.0": "b"}))
    assert said(found) == [("tool", "references")]


def test_two_causes_are_two():
    new = {**UPDATED, "zsh-5": []}
    digits = {"app-1.0": "b", "tool-1.0": "b", "libc-2.36": "b"}
    found = causes(account(OLD), account(new, digits=digits))
    assert said(found) == [("libc", "content"), ("libssl", "version"), ("zsh", "added")]


def test_what_is_gone_or_new_counts_once_with_what_came_along():
    new = {**OLD, "zsh-5": ["ncurses-6"], "ncurses-6": []}
    assert said(causes(account(OLD), account(new))) == [("zsh", "added")]
    assert said(causes(account(new), account(OLD))) == [("zsh", "removed")]


def test_a_downstream_path_of_another_size_is_perhaps_a_cause_itself():
    digits = {"app-1.0": "b", "tool-1.0": "b"}
    new = account(UPDATED, sizes={"tool-1.0": 101}, digits=digits)
    found = causes(account(OLD), new)
    assert said(found) == [("libssl", "version")]
    assert found.perhaps == (path("tool-1.0", "b"),)


def test_where_names_have_another_length_size_proves_nothing():
    new = {
        name.replace("3.0", "3.0.10"): [other.replace("3.0", "3.0.10") for other in others]
        for name, others in OLD.items()
    }
    digits = {"app-1.0": "b", "tool-1.0": "b"}
    found = causes(account(OLD), account(new, sizes={"tool-1.0": 103}, digits=digits))
    assert found.perhaps == ()


@pytest.mark.parametrize(("answer", "expected"), [(True, ()), (False, ("app-1.0", "tool-1.0"))])
def test_content_that_was_looked_at_decides(answer, expected):
    new = account(UPDATED, sizes={"tool-1.0": 101}, digits={"app-1.0": "b", "tool-1.0": "b"})
    found = causes(account(OLD), new, lambda old, new: answer)
    assert found.perhaps == tuple(path(name, "b") for name in expected)


def test_nothing_changed():
    found = causes(account(OLD), account(OLD))
    assert (found.causes, found.perhaps, found.toward) == ((), (), {})
