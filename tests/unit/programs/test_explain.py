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
    path,
    two_paths,
)
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
