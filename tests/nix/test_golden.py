"""Golden layers, made in the sandbox out of real store paths."""

import json
import pathlib
import subprocess
import sys

import pytest

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


DIRECTORIES = [
    layer
    for layer in LAYERS["layers"]
    if len(layer["trees"]) == 1 and not layer["trees"][0].startswith("single") and layer["uid"] == 0
]


@pytest.mark.parametrize("golden", DIRECTORIES, ids=lambda layer: layer["trees"][0])
def test_store_path_layer(golden, store_paths):
    image = stream(
        f"""streamLayeredImage {{
          name = "golden"; contents = [ {contents(golden["trees"], store_paths)} ];
          mtime = "@{golden["mtime"]}";
        }}"""
    )
    assert image.diff_ids[0] == golden["sha256"]
