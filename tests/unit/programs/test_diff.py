"""`longshore diff`, as it is run."""

import argparse
import json

import jsonschema
import pytest

from builders.programs import diff
from tests.unit.accounts.images import LEFT, archive, graph_file, layer_tar, two_paths
from tests.unit.support import BUILDERS

SCHEMA = json.loads((BUILDERS.parent / "docs/schemas/diff.json").read_text())


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    """What other runs have compressed has no say."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def differ(capsys, *words):
    parser = argparse.ArgumentParser()
    diff.configure(parser)
    diff.run(parser.parse_args(words))
    return capsys.readouterr().out


def test_json_of_two_archives_is_as_its_schema_says(capsys, tmp_path):
    (tmp_path / "old").write_bytes(archive(two_paths()))
    changed = [two_paths()[0], layer_tar({f"{LEFT}/bin/left": b"changed"})]
    (tmp_path / "new").write_bytes(archive(changed, config={"Cmd": [f"{LEFT}/bin/left"]}))
    found = json.loads(differ(capsys, str(tmp_path / "old"), str(tmp_path / "new"), "--json"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(found, SCHEMA)
    sent = {key: found["push"].pop(key) for key in ("compressed", "documents")}
    assert found["push"] == {"layers": 1, "size": len(changed[1])}
    assert sent["compressed"] == found["layers"][0]["blobSize"] < len(changed[1])
    assert [one["field"] for one in found["config"]] == ["Cmd", "Env.PATH"]


def test_graphs_are_compared_in_words(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    old = graph_file(tmp_path, {"app-1": ["ssl-3"], "ssl-3": []}, name="old")
    new = graph_file(tmp_path, {"app-1": ["ssl-4"], "ssl-4": []}, name="new", digits={"app-1": "b"})
    assert "  ssl 3 → 4: another version\n" in differ(capsys, old, new, "--contents")
