"""`longshore explain`, as it is run."""

import argparse
import json

import jsonschema
import pytest

from builders.console.errors import UserError
from builders.programs import explain
from tests.unit.accounts.images import (
    DIAMOND,
    LEFT,
    RIGHT,
    SIZES,
    archive,
    graph_file,
    layer_tar,
    path,
    two_paths,
)
from tests.unit.archives import oci_image, oci_members, tar
from tests.unit.support import BUILDERS

SCHEMA = json.loads((BUILDERS.parent / "docs/schemas/explain.json").read_text())


def explained(capsys, *words):
    parser = argparse.ArgumentParser()
    explain.configure(parser)
    explain.run(parser.parse_args(words))
    return capsys.readouterr().out


def document(capsys, *words):
    found = json.loads(explained(capsys, *words, "--json"))
    jsonschema.validate(found, SCHEMA)
    return found


@pytest.fixture
def graph(tmp_path):
    return graph_file(tmp_path, DIAMOND, sizes=SIZES)


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image.tar").write_bytes(archive(two_paths()))
    return str(tmp_path / "image.tar")


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_takes_seconds_says_so(capsys, tmp_path, graph):
    parser = argparse.ArgumentParser()
    explain.configure(parser)
    explain.run(parser.parse_args([graph]))
    assert capsys.readouterr().err == ""
    many = [f"lib{number}-1" for number in range(5_000)]
    star = {"app-1": many, **{name: [] for name in many}}
    explain.run(parser.parse_args([graph_file(tmp_path, star, name="star")]))
    assert capsys.readouterr().err == "Adding up 5,001 store paths …\n"


def test_json_of_a_graph_is_as_its_schema_says(capsys, graph):
    found = document(capsys, graph)
    assert {one["path"]: one["vanishing"] for one in found["paths"]}[path("left-2.0")] == 1010
    assert "way" not in found["paths"][0]
    assert found["roots"] == [path("app-1.0")]


def test_json_of_an_archive_is_as_its_schema_says_and_adds_up(capsys, image):
    found = document(capsys, image)
    own = sum(one["own"] for one in found["paths"])
    assert (found["own"], found["own"] + found["other"]) == (own, found["size"])
    assert own + sum(layer["other"] for layer in found["layers"]) == found["size"]


def test_json_of_a_package_has_its_way_and_where_references_stand(capsys, image):
    found = document(capsys, image, "right", "--files", "--equal-files")
    (only,) = found["paths"]
    assert only["way"] == [LEFT, RIGHT]
    assert only["evidence"] == [{"file": f"{LEFT}/bin/left", "offset": 111}]
    assert found["equalFiles"] == []


def test_a_whole_image_and_a_package_are_explained_in_words(capsys, graph, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = explained(capsys, graph)
    assert text.count("\n") > 10
    assert max(map(len, text.splitlines())) <= 60
    assert "→ left-2.0 (10 B)" in explained(capsys, graph, "only-left")
    assert "No file of 4 KiB or more" in explained(capsys, graph, "--equal-files")


def test_a_package_that_is_not_there_is_an_error(graph, capsys):
    with pytest.raises(UserError, match="is called 'perl'"):
        explained(capsys, graph, "perl")


def test_an_empty_name_is_not_the_whole_image(capsys, graph):
    with pytest.raises(UserError, match="no store path of the image is called ''"):
        explained(capsys, graph, "")


def several(directory, *, as_layout=False):
    """An OCI image layout of an image for two architectures, and another image."""
    images = [("app:1", "amd64", b"a"), ("app:1", "arm64", b"b"), ("other:2", "amd64", b"c")]
    members = oci_members(
        [
            (
                oci_image([layer_tar({"file": content})], architecture=architecture),
                {
                    "annotations": {"io.containerd.image.name": name},
                    "platform": {"os": "linux", "architecture": architecture},
                },
            )
            for name, architecture, content in images
        ]
    )
    if not as_layout:
        (directory / "several.tar").write_bytes(tar(members))
        return str(directory / "several.tar")
    for name, data in members:
        (directory / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "layout" / name).write_bytes(data)
    return str(directory / "layout")


@pytest.mark.parametrize("as_layout", [False, True])
def test_one_of_several_images_is_chosen_and_the_others_are_named(
    capsys, tmp_path, as_layout, monkeypatch
):
    file = several(tmp_path, as_layout=as_layout)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    # Of what is for this machine there is one.
    found = document(capsys, file)
    assert (found["name"], found["platform"]) == ("app:1", "linux/arm64")
    assert found["unknown"][0] == (
        "this is one of 3 images; there are app:1 (amd64), other:2 (amd64), too, and --name or "
        "--architecture chooses another"
    )
    found = document(capsys, file, "--name", "app:1", "--architecture", "amd64")
    assert (found["name"], found["platform"]) == ("app:1", "linux/amd64")
    assert document(capsys, file, "--name", "other:2")["name"] == "other:2"
    with pytest.raises(UserError, match=r"holds several images: .*one with --name and its tag"):
        explained(capsys, file, "--architecture", "amd64")
    said = "holds no image third:latest, only .*; set --name and its tag to one that it holds"
    with pytest.raises(UserError, match=said):
        explained(capsys, file, "--name", "third")


def test_a_name_chooses_nothing_where_there_is_one_image(capsys, graph):
    with pytest.raises(UserError, match="is of one image, and none of it can be chosen"):
        explained(capsys, graph, "--name", "app:1")


def test_equal_files_in_an_archive_are_found_in_its_layers(capsys, tmp_path):
    same, one, other = b"s" * 5000, path("one-1"), path("other-1")
    layers = [
        layer_tar({f"{one}/a": same, f"{one}/b": same, f"{one}/c": b"c" * 5000}),
        layer_tar({f"{other}/a": same, f"{other}/small": b"x" * 4000, "etc/a": same}),
        layer_tar({f"{one}/small": b"x" * 4000, f"{one}/a": same}),
    ]
    (tmp_path / "image.tar").write_bytes(archive(layers))
    found = document(capsys, str(tmp_path / "image.tar"), "--equal-files")
    assert found["equalFiles"] == [{"size": 5000, "files": [f"{other}/a", f"{one}/a", f"{one}/b"]}]
    assert "equalFiles" not in document(capsys, str(tmp_path / "image.tar"))
    text = explained(capsys, str(tmp_path / "image.tar"), "--equal-files")
    assert f"10.0 kB      3  {other}/a" in text
