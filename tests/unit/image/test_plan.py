"""An image is a list of layers, and its plan is JSON that says all of it."""

import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from builders.closure.graph import read_graph
from builders.image.configuration import image_config
from builders.image.dates import NOW
from builders.image.layer_kinds import BaseLayer, StoredBytes, StoreLayer, TarLayer, TarWithClosure
from builders.image.layering import hash_layers, join_last
from builders.image.plan import Plan, graph_to_json, plan_from_json
from builders.image.platform import Platform
from builders.layers.tar_with_closure import Closure

DIGESTS = [f"sha256:{digit * 64}" for digit in "0123456789"]
OWNER: dict[str, Any] = {"uid": 0, "gid": 5, "uname": "root", "gname": "wheel"}

BASE = BaseLayer(
    archive="/images/base.tar",
    compression="gz",
    offset=512,
    stored=StoredBytes(DIGESTS[0], "application/vnd.oci.image.layer.v1.tar+zstd", 77),
    diff_id=DIGESTS[1],
    size=10240,
    entry={"created": "2020-01-01T00:00:00Z", "created_by": "sh"},
    name="blobs/sha256/0",
    mode=0o640,
    mtime=-5,
    **OWNER,
)
STORE = StoreLayer(
    paths=("/nix/store/a-b", "/nix/store/c-d"),
    mtime=1,
    store_dir="/nix/store",
    diff_id=DIGESTS[2],
    size=20480,
    **OWNER,
)
TAR = TarLayer(path="/images/layer.tar", diff_id=DIGESTS[3], size=30720)
TAR_WITH_CLOSURE = TarWithClosure(
    path="/images/tree.tar",
    diff_id=DIGESTS[4],
    size=40960,
    closure=Closure(
        paths=("/nix/store/e-f",),
        parents=("nix", "nix/store"),
        present=frozenset({"b", "a", "\udcff"}),
        offset=1024,
        mtime=3,
    ),
)
KINDS = {layer.kind: layer for layer in (BASE, STORE, TAR, TAR_WITH_CLOSURE)}


def plan_of(*layers, **options):
    given = {
        "name": "app",
        "tag": "1",
        "platform": Platform("linux", "amd64"),
        "created": "1970-01-01T00:00:01+00:00",
        "mtime": 1,
        "config": {"Env": ["A=1"]},
        **options,
    }
    return Plan(layers=layers, **given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_of_each_kind_of_layer_survives_json(kind):
    plan = plan_of(KINDS[kind])
    assert plan_from_json(plan.to_json()) == plan


def test_a_plan_of_all_kinds_survives_json():
    plan = plan_of(*KINDS.values(), tag=None, config=None, graph="/graph", created=NOW, mtime=NOW)
    assert plan_from_json(plan.to_json()) == plan
    assert plan_from_json(plan.to_json()).to_json() == plan.to_json()


def test_a_layer_that_is_not_hashed_survives_json():
    plan = plan_of(replace(STORE, mtime=NOW, diff_id=None, size=None))
    assert plan_from_json(plan.to_json()) == plan


def test_a_plan_of_another_version_is_refused():
    data = json.loads(plan_of(TAR).to_json()) | {"version": 1}
    with pytest.raises(ValueError, match="version 1"):
        plan_from_json(json.dumps(data))


def test_the_configuration_lists_the_layers_in_order():
    document = json.loads(image_config(plan_of(BASE, STORE, TAR)))
    assert document["rootfs"]["diff_ids"] == [BASE.diff_id, STORE.diff_id, TAR.diff_id]
    assert document["history"] == [
        BASE.entry,
        {
            "created": "1970-01-01T00:00:01+00:00",
            "comment": "store paths: ['/nix/store/a-b', '/nix/store/c-d']",
        },
        {"created": "1970-01-01T00:00:01+00:00", "comment": "customisation layer"},
    ]


def test_a_variant_stands_in_the_configuration_where_there_is_one():
    arm = plan_of(TAR, platform=Platform("linux", "arm", "v7"))
    assert json.loads(image_config(arm))["variant"] == "v7"
    assert "variant" not in json.loads(image_config(plan_of(TAR)))


def test_layers_say_which_paths_they_need():
    assert BASE.needs == ("/images/base.tar",)
    assert STORE.needs == STORE.paths
    assert TAR.needs == ("/images/layer.tar",)
    assert TAR_WITH_CLOSURE.needs == ("/images/tree.tar", "/nix/store/e-f")


def test_own_layers_are_blobs_under_their_diff_id():
    for layer in (STORE, TAR, TAR_WITH_CLOSURE):
        media_type = "application/vnd.oci.image.layer.v1.tar"
        assert layer.blob == StoredBytes(layer.diff_id, media_type, layer.size)
    assert BASE.blob == BASE.stored


def test_the_graph_beside_the_plan_says_which_layer_holds_a_path():
    nodes = [
        {"path": path, "references": references, "narSize": size, "narHash": f"sha256:{size}"}
        for path, references, size in (
            ("/nix/store/a-b", ["/nix/store/a-b", "/nix/store/c-d"], 1),
            ("/nix/store/c-d", [], 2),
            ("/nix/store/e-f", ["/nix/store/c-d"], 3),
            ("/nix/store/config", ["/nix/store/a-b"], 4),
            ("/nix/store/tree", ["/nix/store/config", "/nix/store/e-f"], 5),
        )
    ]
    exclude = ["/nix/store/config", "/nix/store/tree"]
    graph = json.loads(
        graph_to_json(read_graph(nodes), (BASE, STORE, TAR_WITH_CLOSURE), exclude=exclude)
    )
    assert graph["roots"] == ["/nix/store/a-b", "/nix/store/e-f"]
    assert [(node["path"], node["layer"]) for node in graph["paths"]] == [
        ("/nix/store/a-b", 1),
        ("/nix/store/c-d", 1),
        ("/nix/store/e-f", 2),
    ]
    assert graph["paths"][0] == {
        "path": "/nix/store/a-b",
        "narSize": 1,
        "narHash": "sha256:1",
        "references": ["/nix/store/a-b", "/nix/store/c-d"],
        "layer": 1,
    }


def test_the_graph_beside_the_plan_says_which_layer_of_the_base_image_holds_a_path():
    paths = ("/nix/store/a-b", "/nix/store/c-d", "/nix/store/e-f", "/nix/store/g-h")
    nodes = [{"path": path, "references": [], "narSize": 1, "narHash": ""} for path in paths]
    held = {"/nix/store/c-d": 0, "/nix/store/g-h": None}
    layers = (BASE, replace(STORE, paths=paths[:1]))
    graph = json.loads(graph_to_json(read_graph(nodes), layers, exclude=[], held=held))
    # Of several layers, and of none.
    assert [node["layer"] for node in graph["paths"]] == [1, 0, None, None]


def test_only_what_lacks_a_digest_is_hashed(tmp_path):
    path = tmp_path / "store/a"
    path.mkdir(parents=True)
    (path / "file").write_text("content")
    new = replace(STORE, paths=(str(path),), store_dir=str(path.parent), diff_id=None, size=None)
    known = replace(STORE, paths=("/nix/store/is-not-there",))
    later = replace(known, mtime=NOW, diff_id=None, size=None)
    hashed = hash_layers((BASE, known, new, later, TAR), graph={}, jobs=2)
    assert (*hashed[:2], *hashed[3:]) == (BASE, known, later, TAR)
    assert hashed[2].size == tarfile.RECORDSIZE
    assert len(hashed[2].diff_id) == len(DIGESTS[0])


def test_layers_that_are_too_many_become_one_with_the_last():
    layers = [("a",), ("b", "c"), ("d",)]
    assert join_last(layers, 3) == layers
    assert join_last(layers, 2) == [("a",), ("b", "c", "d")]
    assert join_last(layers, 1) == [("a", "b", "c", "d")]
