"""Golden layers, made in the sandbox out of real store paths."""

import json
import pathlib
import subprocess
import sys

import pytest

from builders.layers.store_paths import hash_store_layer
from builders.tar.header import Attributes, Owner
from tests.nix.images import stream

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
LAYERS = json.loads((GOLDEN / "layers.json").read_text())
CUSTOMISATION = json.loads((GOLDEN / "customisation.json").read_text())["layers"]


@pytest.fixture(scope="session")
def store_paths(tmp_path_factory):
    """The golden trees in the Nix store, by name."""
    out = tmp_path_factory.mktemp("trees")
    subprocess.run(
        [sys.executable, GOLDEN / "make_tree.py", GOLDEN / "layers.json", out, "--add"], check=True
    )
    return {name: tree["storePath"] for name, tree in LAYERS["trees"].items()}


def contents(names, store_paths):
    return " ".join(f"(builtins.storePath {store_paths[name]})" for name in names)


@pytest.mark.parametrize("golden", CUSTOMISATION, ids=range(len(CUSTOMISATION)))
def test_customisation_layer(golden, store_paths):
    image = stream(
        f"""streamLayeredImage {{
          name = "golden"; contents = [ {contents(golden["contents"], store_paths)} ];
          extraCommands = ''{golden["extraCommands"]}'';
          fakeRootCommands = ''{golden["fakeRootCommands"]}'';
        }}"""
    )
    assert image.diff_ids[-1] == golden["sha256"]
    assert len(image.members[image.manifest["Layers"][-1]]) == golden["size"]


@pytest.mark.parametrize("golden", LAYERS["layers"], ids=range(len(LAYERS["layers"])))
def test_store_path_layer(golden, store_paths):
    owner = Owner(*(golden[key] for key in ("uid", "gid", "uname", "gname")))
    attributes = Attributes(owner, mtime=golden["mtime"])
    paths = [store_paths[name] for name in golden["trees"]]
    assert hash_store_layer(paths, attributes=attributes, store_dir="/nix/store") == (
        golden["sha256"],
        golden["size"],
    )


IN_IMAGES = [
    golden
    for golden in LAYERS["layers"]
    # A layer of several paths is in the order of their popularity, and only directories
    # can be contents.
    if len(golden["trees"]) == 1 and not golden["trees"][0].startswith("single")
]


@pytest.mark.parametrize("golden", IN_IMAGES, ids=range(len(IN_IMAGES)))
def test_store_path_layer_of_an_image(golden, store_paths):
    image = stream(
        f"""streamLayeredImage {{
          name = "golden"; contents = [ {contents(golden["trees"], store_paths)} ];
          mtime = "@{golden["mtime"]}"; uid = {golden["uid"]}; gid = {golden["gid"]};
          uname = "{golden["uname"]}"; gname = "{golden["gname"]}";
        }}"""
    )
    assert image.diff_ids[0] == golden["sha256"]
