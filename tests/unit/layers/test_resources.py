"""Paths of layers that lie elsewhere than their names say."""

import os
import pathlib
from dataclasses import replace

import pytest

from builders.image.layer_kinds import TarWithClosure
from builders.image.layering import hash_layers
from builders.layers.resources import Resources
from builders.layers.tar_with_closure import Closure
from tests.unit.plans import make_plan
from tests.unit.support import Collected


def written(layer, **options):
    sink = Collected()
    with Resources(helpers=0, **options) as resources:
        layer.write(sink, resources)
    return sink.data


@pytest.fixture
def plan(tmp_path):
    """A plan one of whose store paths is a tree."""
    plan = make_plan(tmp_path, {"aaa-tree": b"content", "bbb-other": b"other"})
    tree = pathlib.Path(plan.layers[0].paths[0])
    (tree / "below/deeper").mkdir(parents=True)
    (tree / "below/deeper/program").write_bytes(b"x" * 300_000)
    (tree / "below/link").symlink_to("deeper/program")
    (tree / ("long" * 40)).touch()
    first = replace(plan.layers[0], diff_id=None, size=None)
    return replace(plan, layers=hash_layers((first, *plan.layers[1:]), graph={}, jobs=1))


def test_a_layer_is_the_same_wherever_its_paths_lie(plan, tmp_path):
    before = [written(layer) for layer in plan.layers]
    places = {}
    for number, layer in enumerate(plan.layers):
        for path in layer.needs:
            (tmp_path / f"elsewhere-{number}").mkdir()
            places[path] = str(tmp_path / f"elsewhere-{number}" / os.path.basename(path))
            os.rename(path, places[path])
    assert [written(layer, places=places) for layer in plan.layers] == before


def test_so_is_a_tar_with_store_paths_behind_it(plan, tmp_path):
    tree = plan.layers[0].paths[0]
    closure = Closure(paths=(tree,), parents=("nix",), present=frozenset(), offset=512, mtime=1)
    layer = TarWithClosure(plan.layers[-1].path, "sha256:", 0, closure)
    before = written(layer)
    assert b"deeper/program" in before
    place = str(tmp_path / "elsewhere")
    os.rename(tree, place)
    assert written(layer, places={tree: place}) == before


def test_what_lies_in_a_store_path_lies_in_its_place():
    resources = Resources(helpers=0, places={"/store/a": "/tmp/b"})
    assert resources.place("/store/a") == "/tmp/b"
    assert resources.place("/store/a/layer.tar") == "/tmp/b/layer.tar"
    assert resources.place("/store/ab") == "/store/ab"
