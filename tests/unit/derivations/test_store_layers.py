"""maxLayers counts the base image's layers and the customisation layer, and what is added."""

import pytest

from builders.closure.graph import read_graph
from builders.console.errors import UserError
from builders.derivations.planned import PlannedBase
from builders.derivations.store_layers import Arguments, layer_paths
from builders.image.layer_kinds import BaseLayer, StoredBytes
from tests.unit.closure.test_pipeline import TREE, letters


@pytest.fixture
def assign(tmp_path):
    """Assigns the paths of a graph to layers, on a base image of so many layers."""

    def assign(
        graph,
        *,
        max_layers,
        base_layers=0,
        layering="popularity",
        pipeline=None,
        held=(),
        **more,
    ):
        base = None
        if base_layers:
            base = str(tmp_path / "base.json")
            PlannedBase(layers=(base_layer(),) * base_layers, config={}).write(base)
        given = Arguments(
            base_names=None,
            base_store=None,
            from_image=None,
            base=base,
            mtime="now",
            uid=0,
            gid=0,
            uname="root",
            gname="root",
            max_layers=max_layers,
            layering=layering,
            layering_pipeline=pipeline,
            debug=False,
            store_dir="/nix/store",
            customisation_layer="/layer",
            exclude=[],
            date="date",
            **more,
        )
        return layer_paths(given, graph, held=held, jobs=1)

    return assign


def base_layer():
    digest = f"sha256:{64 * '0'}"
    return BaseLayer(
        archive="/base.tar",
        compression="none",
        offset=0,
        stored=StoredBytes(digest, None, 1),
        diff_id=digest,
        size=1,
        entry={},
        name="layer.tar",
        mode=0,
        mtime=0,
        uid=0,
        gid=0,
        uname="",
        gname="",
    )


def chain(*paths):
    return read_graph(
        [
            {"path": path, "references": list(paths[number : number + 1]), "narSize": 1}
            | {"narHash": ""}
            for number, path in enumerate(paths, 1)
        ]
    )


def test_layers_of_the_base_image_count(assign):
    graph = chain("/nix/store/1-a", "/nix/store/2-b")
    assert len(assign(graph, max_layers=5, base_layers=3)) == 1
    for layering in ("popularity", "size"):
        with pytest.raises(UserError, match=r"maxLayers = 5 leaves no layer.*set maxLayers to 6"):
            assign(graph, max_layers=5, base_layers=4, layering=layering)


def test_an_image_without_store_paths_needs_no_layer_for_them(assign):
    assert assign({}, max_layers=5, base_layers=4) == []
    with pytest.raises(UserError):
        assign({}, max_layers=5, base_layers=5)


def test_max_layers_holds_for_a_pipeline_and_says_so(assign, capsys):
    layers = assign(TREE, max_layers=4, base_layers=1, pipeline=[["split_every", 2]])
    assert letters(layers) == ["AB", "CDERS"]
    assert "makes 4 layers, and maxLayers = 4 leaves 2" in capsys.readouterr().err
    assert assign({}, max_layers=2, pipeline=[["flatten"]]) == []


@pytest.mark.parametrize("layering", ["popularity", "popularity-pipeline", "size"])
def test_what_the_base_image_has_gets_no_layer_and_takes_no_part(assign, layering):
    held = {"/nix/store/3-c", "/nix/store/4-d"}
    graph = chain(*(f"/nix/store/{name}" for name in ("1-a", "2-b", "3-c", "4-d")))
    layers = assign(graph, max_layers=6, base_layers=3, held=held, layering=layering)
    assert sorted(layers) == [("/nix/store/1-a",), ("/nix/store/2-b",)]


def test_a_base_image_that_has_all_paths_needs_no_layer_for_them(assign):
    graph = chain("/nix/store/1-a", "/nix/store/2-b")
    for layering in ("popularity", "popularity-pipeline", "size"):
        assert assign(graph, max_layers=5, base_layers=4, held=set(graph), layering=layering) == []
    with pytest.raises(UserError, match="maxLayers = 5 leaves no layer"):
        assign(graph, max_layers=5, base_layers=4, held=["/nix/store/2-b"])


def test_a_pipeline_may_name_what_the_base_image_has(assign, capsys):
    (held, *others) = TREE
    steps = [["split_paths", [held]], ["over", "rest", ["split_every", 1]]]
    layers = assign(TREE, max_layers=100, base_layers=1, held=[held], pipeline=steps)
    assert sorted(path for layer in layers for path in layer) == sorted(others)
    assert capsys.readouterr().err == ""


def test_what_changes_with_every_build_is_in_the_image(assign):
    graph = chain("/nix/store/1-a", "/nix/store/2-b")
    layers = assign(graph, max_layers=5, layering="co-change", volatile=["/nix/store/2-b"])
    assert sorted(path for layer in layers for path in layer) == sorted(graph)
    message = "volatile names /nix/store/3-c, which is not in the closure of the image; name what"
    with pytest.raises(UserError, match=message):
        assign(graph, max_layers=5, layering="co-change", volatile=["/nix/store/3-c"])


def test_a_lock_keeps_layers_and_is_warned_of_where_it_is_of_another_image(
    assign, tmp_path, capsys
):
    graph = chain("/nix/store/1-a-1", "/nix/store/2-b-1")
    lock = tmp_path / "lock.json"
    lock.write_text('{"version": 1, "layers": [["b"], ["a"]]}')
    options = {"max_layers": 5, "layering": "co-change", "layering_lock": str(lock)}
    assert assign(graph, **options) == [("/nix/store/2-b-1",), ("/nix/store/1-a-1",)]
    assert capsys.readouterr().err == ""
    lock.write_text('{"version": 1, "layers": [["c"], ["d"]]}')
    assert assign(graph, **options) == assign(graph, max_layers=5, layering="co-change")
    warning = "warning: layeringLock: the closure has 0 of the 2 names in it; see whether it is of"
    assert warning in capsys.readouterr().err
    lock.write_text('{"version": 1, "layers": [["c"], ["c"]]}')
    with pytest.raises(UserError, match=r"layeringLock: .*lock\.json has c twice; leave it in one"):
        assign(graph, **options)
    lock.write_text('{"version": 1')
    with pytest.raises(UserError, match=r"can't be read as JSON: .*; write it anew with updateLay"):
        assign(graph, **options)
