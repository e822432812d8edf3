"""What somebody names as an image."""

import json
import os

import pytest

from builders.accounts.account import account_of
from builders.accounts.opening import open_image
from builders.console.errors import UserError
from builders.image.layer_kinds import StoreLayer, TarLayer
from builders.image.plan import Plan
from builders.image.platform import Platform
from tests.unit.accounts.images import DIAMOND, SIZES, archive, graph_file, path, two_paths


def plan_file(directory, *, graph, layers=None):
    store = StoreLayer(
        paths=tuple(path(name) for name in DIAMOND),
        mtime=1,
        uid=0,
        gid=0,
        uname="root",
        gname="root",
        store_dir="/nix/store",
        diff_id=f"sha256:{'1' * 64}",
        size=20000,
    )
    plan = Plan(
        name="app",
        tag="1",
        platform=Platform("linux", "arm", "v7"),
        created="1970-01-01T00:00:01Z",
        mtime=1,
        config={"Cmd": ["/bin/app"]},
        layers=(store, TarLayer(path="/x/layer.tar", diff_id=f"sha256:{'2' * 64}", size=10240)),
        graph=graph,
    )
    (directory / "conf.json").write_text(plan.to_json())
    return str(directory / "conf.json")


def test_a_plan_is_read_with_the_graph_that_it_names(tmp_path):
    plan = plan_file(tmp_path, graph=graph_file(tmp_path, DIAMOND, sizes=SIZES))
    found = open_image(plan)
    assert (found.source, found.name, found.platform) == ("plan", "app:1", "linux/arm/v7")
    assert found.roots == (path("app-1.0"),)
    assert [layer.kind for layer in found.layers] == ["store paths", "customisation"]
    assert [layer.size for layer in found.layers] == [20000, 10240]
    assert found.layers[0].paths[path("right-2.0")] == 100
    assert found.unknown == ()


def test_a_path_of_the_base_image_counts_in_its_layer(tmp_path):
    graph = graph_file(tmp_path, DIAMOND, sizes=SIZES, layers={"base-3.0": 0, "app-1.0": None})
    plan_file(tmp_path, graph=graph)
    plan = json.loads((tmp_path / "conf.json").read_text())
    store = plan["layers"][0]
    store["paths"] = [path("left-2.0")]
    known = {"diff_id": f"sha256:{'3' * 64}", "size": 11000}
    stored = {"digest": f"sha256:{'4' * 64}", "media_type": None, "size": 7}
    place = {"archive": "/b.tar", "compression": "none", "offset": 512, "name": "l", "mode": 420}
    owner = {"uid": 0, "gid": 0, "uname": "root", "gname": "root"}
    base = {"kind": "base", **place, **owner, **known, "mtime": 1, "stored": stored, "entry": {}}
    plan["layers"] = [base, store]
    (tmp_path / "conf.json").write_text(json.dumps(plan))
    found = open_image(str(tmp_path / "conf.json"))
    assert found.layers[0].paths[path("base-3.0")] == 10000
    assert (found.layers[0].blob, found.layers[0].blob_size) == (f"sha256:{'4' * 64}", 7)
    account = account_of(found)
    own = sum(one.own for one in account.paths.values())
    assert own + sum(layer.other for layer in account.layers) == account.size
    assert account.paths[path("app-1.0")].own == 0
    assert any("in several of the base image" in sentence for sentence in found.unknown)


def test_a_link_to_a_plan_will_do_and_another_place_of_the_graph(tmp_path):
    plan = plan_file(tmp_path, graph="/nowhere/graph.json")
    (tmp_path / "result").symlink_to(plan)
    graph = graph_file(tmp_path, DIAMOND)
    assert open_image(str(tmp_path / "result"), graph=graph).graph
    with pytest.raises(UserError, match=r"graph /nowhere/graph.json of the plan .*--graph"):
        open_image(plan)


def test_the_graph_of_another_image_is_refused(tmp_path):
    plan = plan_file(tmp_path, graph=None)
    other = graph_file(tmp_path, {"other-1.0": []}, name="other.json")
    with pytest.raises(UserError, match=r"graph .*other.json is not that of .*conf.json: it lacks"):
        open_image(plan, graph=other)
    high = graph_file(tmp_path, DIAMOND, layers={"base-3.0": 2}, name="high.json")
    with pytest.raises(UserError, match=r"has paths in layer 3, and the image has 2 layers; give"):
        open_image(plan, graph=high)


def test_what_needs_no_graph_takes_none(tmp_path):
    (tmp_path / "image").write_bytes(archive(two_paths()))
    graph = graph_file(tmp_path, DIAMOND)
    for image in (str(tmp_path / "image"), graph):
        with pytest.raises(UserError, match=r"is no plan, and needs no graph"):
            open_image(image, graph=graph)


def test_a_pipe_is_refused_whatever_is_in_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe is no regular file; write it to a file"):
        open_image(str(tmp_path / "pipe"))


def test_a_stream_script_leads_to_its_plan_and_is_not_run(tmp_path):
    plan = plan_file(tmp_path, graph=graph_file(tmp_path, DIAMOND))
    script = tmp_path / "stream"
    # As builders.derivations.stream_script writes it, but that running it would leave a trace.
    script.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/run\n"
        f'LONGSHORE_PROGRAM=x exec /python -I /builders stream {plan} "$@"\n'
    )
    assert open_image(str(script)).name == "app:1"
    assert not (tmp_path / "run").exists()


def test_a_graph_by_itself_tells_of_paths_and_layers(tmp_path):
    found = open_image(graph_file(tmp_path, DIAMOND, layers={"base-3.0": 2}))
    assert [len(layer.paths) for layer in found.layers] == [4, 0, 1]
    assert found.source == "graph"


def test_the_graph_that_a_build_gets_is_a_closure_without_layers(tmp_path):
    (tmp_path / "graph.json").write_text(
        json.dumps([{"path": path("a-1"), "references": [path("a-1")], "narSize": 7}])
    )
    found = open_image(str(tmp_path / "graph.json"))
    assert found.layers == ()
    assert found.roots == (path("a-1"),)


def test_an_archive_is_recognised(tmp_path):
    (tmp_path / "image").write_bytes(archive(two_paths()))
    assert open_image(str(tmp_path / "image")).source == "archive"


def test_compressed_layers_are_taken_from_their_json(tmp_path):
    plan = plan_file(tmp_path, graph=graph_file(tmp_path, DIAMOND))
    layers = [
        {"mediaType": "x", "digest": f"sha256:{digit * 64}", "size": size}
        for digit, size in (("3", 30), ("4", 40))
    ]
    blobs = tmp_path / "blobs.json"
    document = {"version": 1, "compressor": "gz", "level": 5, "time": None, "layers": layers}
    blobs.write_text(json.dumps(document))
    found = open_image(plan, blobs=str(blobs))
    assert [(layer.blob, layer.blob_size) for layer in found.layers] == [
        (f"sha256:{'3' * 64}", 30),
        (f"sha256:{'4' * 64}", 40),
    ]
    blobs.write_text(json.dumps({**document, "layers": layers[:1]}))
    with pytest.raises(UserError, match="are 1, and the image has 2 layers"):
        open_image(plan, blobs=str(blobs))
    blobs.write_text("{}")
    with pytest.raises(UserError, match=r"blobs\.json are none"):
        open_image(plan, blobs=str(blobs))


NODE = {"path": path("a-1"), "references": [], "narSize": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is an empty file"),
        ("{", "is no JSON"),
        ("[1]", r"\[0\] should be an object"),
        ("{}", "is JSON, but neither an image plan nor the graph of a closure"),
        ('{"layers": []}', "is no whole image plan"),
        ('{"version": 1, "layers": []}', "an image plan of version 1"),
        ('{"version": 2, "layers": 7}', "name should be a string and is missing"),
        ('{"paths": 7}', "paths should be a list"),
        (json.dumps([NODE, NODE]), "is there twice"),
        (json.dumps([{**NODE, "references": [path("b-1")]}]), "b-1, which is missing"),
        (json.dumps([{**NODE, "narSize": -1}]), "narSize should be a number of 0 or more"),
        (json.dumps({"paths": [{**NODE, "layer": 10**9}]}), "no image has so many layers"),
        (json.dumps({"paths": [NODE], "roots": ["/x"]}), "the root /x is not among its paths"),
        ("#!/bin/sh\necho \"'\n", "is a script, but no stream script of Longshore"),
        ("#!/bin/sh\nexec stream relative", "no stream script of Longshore"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, text, said):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=said):
        open_image(str(tmp_path / "file"))


def test_a_circle_is_no_closure(tmp_path):
    nodes = [
        {**NODE, "references": [path("b-1")]},
        {**NODE, "path": path("b-1"), "references": [path("a-1")]},
    ]
    (tmp_path / "file").write_text(json.dumps(nodes))
    with pytest.raises(UserError, match="has a cycle"):
        open_image(str(tmp_path / "file"))


def test_what_is_not_there_is_said():
    with pytest.raises(UserError, match="/nowhere does not exist"):
        open_image("/nowhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": 7}, "layers should be a list"),
        ({"layers": [{"kind": "new"}]}, "is no whole image plan"),
        ({"platform": {"os": 7}}, "os should be a string"),
        ({"config": []}, "config should be an object"),
        ({"extra": 1}, "is no whole image plan"),
    ],
)
def test_a_plan_of_another_shape_is_refused(tmp_path, change, said):
    plan_file(tmp_path, graph=None)
    plan = json.loads((tmp_path / "conf.json").read_text())
    (tmp_path / "conf.json").write_text(json.dumps({**plan, **change}))
    with pytest.raises(UserError, match=said):
        open_image(str(tmp_path / "conf.json"))


def test_without_a_graph_that_is_said(tmp_path):
    found = open_image(plan_file(tmp_path, graph=None))
    assert found.graph is None
    assert found.unknown == ("the plan names no graph: why a path is in the image is not known",)
