"""`longshore diff`, as it is run."""

import argparse
import json

import jsonschema

from builders.programs import diff
from tests.unit.accounts.images import LEFT, archive, graph_file, layer_tar, two_paths
from tests.unit.support import BUILDERS

SCHEMA = json.loads((BUILDERS.parent / "docs/schemas/diff.json").read_text())


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
    assert found["push"] == {"layers": 1, "size": len(changed[1]), "compressed": None}
    assert [one["field"] for one in found["config"]] == ["Cmd", "Env.PATH"]


def test_graphs_are_compared_in_words(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    old = graph_file(tmp_path, {"app-1": ["ssl-3"], "ssl-3": []}, name="old")
    new = graph_file(tmp_path, {"app-1": ["ssl-4"], "ssl-4": []}, name="new", digits={"app-1": "b"})
    assert "  ssl 3 → 4: another version\n" in differ(capsys, old, new, "--contents")
