"""Layers of store paths that change together, and the lock that keeps them."""

import json
import subprocess

import pytest

from tests.nix.images import NixError, build, build_log, evaluate, failure, stream

BEGIN = "error: in docker image app"
IMAGE = """streamLayeredImage {
  name = "app"; contents = [ pkgs.git hello ]; maxLayers = 8; layering = "co-change"; %s
}"""


def test_layers_hold_what_changes_together_and_a_lock_keeps_them(tmp_path):
    plain = stream(IMAGE % "")
    assert len(plain.diff_ids) <= 8
    update = f"({IMAGE % ''}).updateLayers"
    program = build(update) / "bin/update-layers"
    file = tmp_path / "app.layers.json"

    said = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=True)
    lock = json.loads(file.read_text())
    assert lock["version"] == 1
    names = [name for layer in lock["layers"] for name in layer]
    assert {"git", "hello"} <= {name.partition("-")[0] for name in names}
    # One of seven layers is left for packages to come.
    assert len(lock["layers"]) <= 6
    assert said.stdout.startswith(f"wrote app.layers.json: {len(names)} packages in ")

    locked = stream(IMAGE % f"layeringLock = {file};")
    assert [len(layer) for layer in locked.store_paths] == [len(layer) for layer in lock["layers"]]
    more = IMAGE.replace("hello ]", "hello pkgs.jq ]") % f"layeringLock = {file};"
    with_jq = stream(more)
    assert len(with_jq.diff_ids) <= 8
    # Only what jq brings is in other layers.
    assert set(map(tuple, locked.store_paths)) <= set(map(tuple, with_jq.store_paths))
    # The lock of another place is taken as well, and stays as it is.
    other = tmp_path / "other.json"
    subprocess.run([build(f"({more}).updateLayers") / "bin/update-layers", other], check=True)
    kept = json.loads(other.read_text())["layers"]
    assert all(layer in kept for layer in lock["layers"])
    assert json.loads(file.read_text()) == lock
    archive = f"(buildLayeredImage ({IMAGE.partition(' ')[2] % ''})).updateLayers"
    assert build(archive) == build(update)


def test_what_changes_with_every_build_shares_no_layer_with_the_rest():
    image = IMAGE % "volatile = [ hello ];"
    hello = str(build("hello"))
    (layer,) = [layer for layer in stream(image).store_paths if hello in layer]
    assert layer == [hello]


def test_a_lock_of_another_image_is_warned_of_and_damage_is_an_error(tmp_path):
    file = tmp_path / "image.layers.json"
    file.write_text('{"version": 1, "layers": [["a", "b"]]}')
    image = IMAGE % f"layeringLock = {file};"
    assert stream(image).store_paths == stream(IMAGE % "").store_paths
    assert "layeringLock: the closure has 0 of the 2 names" in build_log(f"({image}).layers")
    file.write_text('{"version": 1, "layers": [["a"], ["a"]]}')
    error = failure(IMAGE % f"layeringLock = {file};")
    assert f"{BEGIN}: layeringLock: " in error
    assert "has a twice; leave it in one layer" in error
    file.write_text('{"version": 1, "lay')
    error = failure(IMAGE % f"layeringLock = {file};")
    assert "can't be read as JSON" in error
    assert "write it anew with updateLayers" in error


def test_volatile_names_what_is_in_the_image():
    error = failure(IMAGE % "volatile = [ pkgs.jq ];")
    assert error.startswith(f"{BEGIN}: volatile names {build('pkgs.jq')}, which is not in the")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('layering = "co-change"; volatile = [ 5 ];', "volatile must be paths or derivations"),
        ('layering = "co-change"; minLayerSize = "1M";', "minLayerSize must be a number of bytes"),
        ('layering = "co-change"; minLayerSize = -1;', "minLayerSize must be a number of bytes"),
        ('layering = "co-change"; layeringLock = { };', "layeringLock must be a file that update"),
        ('layering = "co-change"; layeringLock = /nowhere/l.json;', "which is not there; write it"),
        ("volatile = [ hello ];", 'volatile is for layering = "co-change"; set that as well'),
        ('layering = "size"; minLayerSize = 1;', 'minLayerSize is for layering = "co-change"'),
        ("layeringPipeline = [ ]; layeringLock = ./x;", "layeringLock is for layering ="),
    ],
)
def test_bad_arguments_fail_at_evaluation(arguments, expected):
    with pytest.raises(NixError) as failed:
        evaluate(f'(streamLayeredImage {{ name = "app"; {arguments} }}).drvPath')
    assert failed.value.error.startswith(BEGIN)
    assert expected in failed.value.error
