"""What changed from one image to another."""

import json
from dataclasses import replace

import jsonschema

from builders.accounts import causes
from builders.accounts.account import account_of
from builders.accounts.comparison import FieldChange, compare_accounts
from builders.accounts.comparison_documents import comparison_document
from builders.accounts.comparison_text import comparison_lines
from builders.accounts.known import CUSTOMISATION, GRAPH, KnownLayer
from builders.console.tables import display_width
from tests.unit.accounts.images import Counting, chain, graph, image, path
from tests.unit.support import BUILDERS

SCHEMA = json.loads((BUILDERS.parent / "docs/schemas/diff.json").read_text())

OLD = {"app-1.0": ["ssl-3.0"], "ssl-3.0": ["libc-2"], "libc-2": [], "data-1": []}
NEW = {"app-1.0": ["ssl-3.1"], "ssl-3.1": ["libc-2"], "libc-2": [], "data-1": []}


def sides(**more):
    old = image(graph(OLD), [["libc-2"], ["ssl-3.0"], ["data-1"], ["app-1.0"]])
    nodes = graph(NEW, digits={"app-1.0": "b"})
    new = image(nodes, [["libc-2"], ["ssl-3.1"], ["data-1"], ["app-1.0"]], **more)
    return old, new


def compared(old, new):
    return compare_accounts(account_of(old), account_of(new), same_content=lambda old, new: None)


def compressed(known, sizes):
    layers = (
        replace(layer, blob_size=size) for layer, size in zip(known.layers, sizes, strict=True)
    )
    return replace(known, layers=tuple(layers))


def test_layers_to_send_are_those_that_the_old_image_lacks():
    found = compared(*sides())
    assert [change.layer.number for change in found.layers] == [2, 4]
    assert (found.push.layers, found.push.size, found.push.compressed) == (2, 300, None)
    # What lies above the first change is fetched again by engines that go by chains.
    assert (found.pull_by_chain.layers, found.pull_by_chain.size) == (3, 450)


def test_where_one_side_has_no_digests_layers_are_known_by_their_paths():
    old, new = sides()
    bare = tuple(replace(layer, diff_id=None) for layer in old.layers)
    found = compared(replace(old, layers=bare, source=GRAPH), new)
    assert [change.layer.number for change in found.layers] == [2, 4]
    assert found.pull_by_chain.layers == 3


def test_compressed_bytes_are_told_where_they_are_known():
    old, new = sides()
    found = compared(old, compressed(new, [1000, 10, 100, 1]))
    assert found.push.compressed == 11
    assert found.pull_by_chain.compressed == 111
    assert compared(old, compressed(new, [None, 10, 100, 1])).push.compressed == 11
    assert compared(old, compressed(new, [1000, None, 100, 1])).push.compressed is None


def test_a_layer_tells_through_which_path_it_changed():
    found = compared(*sides())
    assert [change.way for change in found.layers] == [
        (path("ssl-3.1"),),
        (path("app-1.0", "b"), path("ssl-3.1")),
    ]


def test_a_layer_of_other_neighbours_has_moved_paths():
    old, _ = sides()
    nodes = graph(OLD)
    new = image(nodes, [["libc-2", "data-1"], ["ssl-3.0"], ["app-1.0"]])
    (change,) = compared(old, new).layers
    assert change.changed == ()
    assert set(change.moved) == {path("libc-2"), path("data-1")}


def test_packages_are_told_with_their_versions_and_bytes():
    app, ssl = compared(*sides()).packages
    assert (ssl.package, ssl.old, ssl.new) == ("ssl", ("3.0",), ("3.1",))
    assert (ssl.old_bytes, ssl.new_bytes, ssl.paths) == (100, 100, (path("ssl-3.1"),))
    assert (app.package, app.is_only_rebuilt, ssl.is_only_rebuilt) == ("app", True, False)


def test_configurations_are_compared_field_by_field():
    old, new = sides()
    old = replace(
        old,
        config={
            "Env": ["PATH=/bin", "A=1"],
            "Cmd": [path("app-1.0")],
            "Labels": {"x": "1"},
            "User": "me",
            "Volumes": None,
        },
    )
    new = replace(
        new,
        config={
            "Env": ["A=2", "PATH=/bin"],
            "Cmd": [path("app-1.0", "b")],
            "Labels": {"x": "1", "y": "2"},
        },
        platform="linux/arm64",
    )
    assert compared(old, new).config == (
        FieldChange("Cmd", [path("app-1.0")], [path("app-1.0", "b")], follows=True),
        FieldChange("Env.A", "1", "2", follows=False),
        FieldChange("Labels.y", None, "2", follows=False),
        FieldChange("User", "me", None, follows=False),
        FieldChange("platform", "linux/amd64", "linux/arm64", follows=False),
    )


TEXT = """\
app:1 → app:1
size: 600 B → 600 B (+0 B)
push: 2 layers, 300 B before compression
pull: the same; by engines that know a layer by those below it: 3 layers, 450 B before compression

Causes (what else changed only refers to these):
  ssl 3.0 → 3.1: another version

bytes  package
 +0 B  ssl: 3.0 → 3.1
1 package of the same versions, built again: app

layer   size  blob  changed through
    2  150 B     ?  ssl-3.1
    4  150 B     ?  app-1.0 → ssl-3.1

Configuration:
  User: ∅ → "me\""""


def test_a_comparison_is_told_in_words_that_fit():
    old, new = sides()
    found = compared(old, replace(new, config={"User": "me"}))
    assert "\n".join(comparison_lines(found, width=100)) == TEXT
    assert all(display_width(line) <= 30 for line in comparison_lines(found, width=30))


def test_no_change_is_said():
    old, _ = sides()
    assert "\n".join(comparison_lines(compared(old, old), width=80)) == (
        "app:1 → app:1\nsize: 600 B → 600 B (+0 B)\n"
        "push: nothing: the layers are the same\npull: the same"
    )


def test_a_closure_without_layers_is_not_said_to_be_the_same():
    old, new = sides()
    found = compared(old, replace(new, layers=()))
    assert (found.push, found.pull_by_chain, found.layers) == (None, None, ())
    assert "push: not known: a closure has no layers yet\npull: the same" in "\n".join(
        comparison_lines(found, width=80)
    )
    document = comparison_document(found)
    jsonschema.validate(document, SCHEMA)
    assert document["push"] is document["pull"]["byDigest"] is document["pull"]["byChain"] is None


def test_layers_of_which_nothing_is_known_are_not_the_same():
    old, new = sides()
    old, new = (
        replace(side, layers=(*side.layers, KnownLayer(CUSTOMISATION, diff_id=None, size=10)))
        for side in (old, new)
    )
    assert [change.layer.number for change in compared(old, new).layers] == [2, 4, 5]
    account = account_of(new)
    itself = compare_accounts(account, account, same_content=lambda old, new: None)
    assert itself.layers == ()


def test_a_cause_without_a_version_has_no_arrow():
    old, new = image(graph({"text": []}), [["text"]]), image(graph({"other-1": []}), [["other-1"]])
    lines = list(comparison_lines(compared(old, new), width=100))
    assert "  other ∅ → 1: new in the image" in lines
    assert "  text: no longer in the image" in lines


def test_layers_that_take_the_time_when_they_are_written_are_sent_each_time():
    old, new = sides()
    old, new = (
        replace(side, layers=tuple(replace(layer, diff_id=None) for layer in side.layers))
        for side in (old, new)
    )
    found = compared(old, new)
    assert found.push.layers == 4
    assert "takes the time when it is written" in "\n".join(comparison_lines(found, width=100))


def test_the_work_on_a_deep_closure_grows_with_its_paths_alone(monkeypatch):
    found = []

    def counted(graph, changed, sources, find=causes._toward):
        found.append(Counting(find(graph, changed, sources)))
        return found[-1]

    monkeypatch.setattr(causes, "_toward", counted)
    count = 2000
    names = [f"p{number}-1" for number in range(count)]
    old, new = (image(chain(count, digit), [names]) for digit in "ab")
    (layer,) = compared(old, new).layers
    assert layer.way == (path("p1999-1", "b"),)
    assert found[0].looked_up <= 10 * count
