"""The program that writes the layering lock of an image."""

import json
import subprocess
import sys

import pytest

from tests.unit.support import BUILDERS

MIB = 1 << 20


def nodes(*packages):
    """Packages of 30 MiB; the first needs all others."""
    paths = [f"/nix/store/{name[0] * 32}-{name}" for name in packages]
    return [
        {"path": path, "references": paths[1:] if path == paths[0] else [], "narSize": 30 * MIB}
        for path in paths
    ]


@pytest.fixture
def run(tmp_path):
    def run(packages, *arguments):
        (tmp_path / "graph.json").write_text(json.dumps(nodes(*packages)))
        return subprocess.run(
            [sys.executable, BUILDERS, "update_layers", "graph.json", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_lock_is_written_into_the_current_directory_and_kept_from_then_on(run, tmp_path):
    first = run(["app-1", "lib-1", "data-1"], "--store-layers=5", "--name=web.layers.json")
    assert first.stdout == "wrote web.layers.json: 3 packages in 3 layers, 2 in reserve\n"
    file = tmp_path / "web.layers.json"
    lock = json.loads(file.read_text())
    assert lock == {"version": 1, "layers": [["data"], ["lib"], ["app"]]}

    again = run(["app-2", "lib-2", "data-1"], "--store-layers=5", "--name=web.layers.json")
    assert again.stdout.endswith("2 in reserve\nthe packages are those that it had\n")
    assert json.loads(file.read_text()) == lock

    more = run(["app-2", "lib-2", "new-0.1"], "--store-layers=5", "--name=web.layers.json")
    assert more.stdout.splitlines()[1:] == ["new: new", "gone: data"]
    assert json.loads(file.read_text())["layers"] == [["lib"], ["new"], ["app"]]


def test_what_takes_seconds_says_so(run):
    few = run(["app-1", "lib-1"], "--store-layers=5")
    assert few.stderr == ""
    many = run(["app-1", *(f"lib{number}-1" for number in range(5_000))], "--store-layers=5")
    assert many.stderr == "Dividing 5,001 store paths …\n"


def test_another_place_begins_with_the_lock_of_the_image(run, tmp_path):
    old = tmp_path / "old.json"
    old.write_text('{"version": 1, "layers": [["app", "lib"], ["data"]]}')
    packages = ["app-1", "lib-1", "data-1"]
    said = run(packages, "--store-layers=9", "--lock=old.json", "new.json")
    assert said.stdout.startswith("wrote new.json: 3 packages in 2 layers, 7 in reserve\n")
    assert json.loads((tmp_path / "new.json").read_text()) == json.loads(old.read_text())
    anew = run(packages, "--store-layers=9", "--lock=old.json", "--anew", "new.json")
    assert "3 packages in 3 layers" in anew.stdout


def test_where_no_layer_is_left_a_warning_says_how_to_have_some(run, tmp_path):
    (tmp_path / "image.layers.json").write_text('{"version": 1, "layers": [["lib"], ["app"]]}')
    said = run(["app-1", "lib-1", "data-1"], "--store-layers=2")
    assert said.stdout.startswith("wrote image.layers.json: 3 packages in 2 layers, 0 in reserve\n")
    (warning,) = said.stderr.splitlines()
    assert warning.startswith("warning: no layer is left for new packages")
    assert "--anew" in warning


def test_a_lock_of_another_image_is_replaced_with_a_warning(run, tmp_path):
    (tmp_path / "image.layers.json").write_text('{"version": 1, "layers": [["x"], ["y", "z"]]}')
    said = run(["app-1", "lib-1"], "--store-layers=5")
    assert "the closure has 0 of the 3 names in it" in said.stderr
    assert "2 packages in 2 layers" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["image.layers.json"], "error: the old lock: image.layers.json has a twice; leave it in"),
        (["nowhere/lock.json"], "error: can't write "),
        (["--exclude=/nix/store/x"], "error: --exclude /nix/store/x is not in graph.json"),
        (["--volatile=/nix/store/x"], "error: --volatile /nix/store/x is not in graph.json"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(run, tmp_path, arguments, expected):
    file = tmp_path / "image.layers.json"
    file.write_text('{"version": 1, "layers": [["a"], ["a"]]}')
    said = run(["app-1", "lib-1"], "--store-layers=5", *arguments)
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith(expected)
    assert json.loads(file.read_text())["layers"] == [["a"], ["a"]]


def test_names_in_an_old_lock_control_no_terminal(run, tmp_path):
    (tmp_path / "image.layers.json").write_text(
        '{"version": 1, "layers": [["app"], ["\\u001b[31mred"]]}'
    )
    said = run(["app-1", "lib-1"], "--store-layers=5")
    assert said.stdout.splitlines()[1:] == ["new: lib", "gone: \\x1b[31mred"]
