"""`longshore diff`, as it is run."""

import argparse
import json
import os
from typing import Any

import jsonschema
import pytest

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.programs import diff
from tests.unit.accounts.images import LEFT, archive, graph_file, layer_tar, two_paths
from tests.unit.accounts.planned import planned
from tests.unit.registry.pushing import client_of, opened, push
from tests.unit.registry.quirks import Quirks, running
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


def test_what_takes_seconds_says_so(capsys, tmp_path):
    many = [f"lib{number}-1" for number in range(2_500)]
    star = {"app-1": many, **{name: [] for name in many}}
    old, new = (graph_file(tmp_path, star, name=name) for name in ("old", "new"))
    parser = argparse.ArgumentParser()
    diff.configure(parser)
    diff.run(parser.parse_args([old, new]))
    assert capsys.readouterr().err == "Comparing 5,002 store paths …\n"


# What is said of a push, and what a push sends.

BEFORE = {"app-1.0": ["ssl-3.0"], "ssl-3.0": ["libc-2"], "libc-2": [], "data-1": []}
AFTER = {**BEFORE, "app-1.0": ["ssl-3.1"], "ssl-3.1": ["libc-2"]}
del AFTER["ssl-3.0"]
CHANGES: dict[str, dict[str, Any]] = {
    "the application": {"references": BEFORE, "digits": {"app-1.0": "b"}, "salt": b"x" * 9000},
    "a library": {"references": AFTER, "digits": {"app-1.0": "b"}},
    "the configuration": {"references": BEFORE, "config": {"Cmd": ["/bin/other"]}},
    "a small file": {"references": {"small-1": [], **BEFORE}},
    "nothing": {"references": BEFORE},
}


@pytest.mark.parametrize("compression", ["gz", "zstd", "none"])
@pytest.mark.parametrize("what", CHANGES)
def test_bytes_to_push_are_those_that_a_push_sends(capsys, tmp_path, what, compression):
    plan, old = planned(tmp_path / "old", BEFORE)
    changed, new = planned(tmp_path / "new", store=tmp_path / "old/store", **CHANGES[what])
    with running(Quirks()) as registry:
        push(registry, opened(plan, LayerCompression(compression)))
        found = json.loads(differ(capsys, old, new, "--json", "--compress", compression))["push"]
        client = client_of(registry)
        push(registry, opened(changed, LayerCompression(compression)), client=client)
    assert found["compressed"] + found["documents"] == pytest.approx(
        client.transport.sent, rel=0.02
    )
    assert (client.transport.sent == 0) == (what == "nothing")


def test_without_the_store_compressed_sizes_are_not_known(capsys, tmp_path):
    _, old = planned(tmp_path / "old", BEFORE)
    plan, new = planned(
        tmp_path / "new", AFTER, digits={"app-1.0": "b"}, store=tmp_path / "old/store"
    )
    lost = next(path for layer in plan.layers for path in layer.store_paths if "ssl" in path)
    os.rename(lost, tmp_path / "lost")
    found = json.loads(differ(capsys, old, new, "--json"))
    assert found["push"]["compressed"] is None
    assert f"not on this machine: {lost} is missing" in found["unknown"][-1]
    os.rename(tmp_path / "lost", lost)
    os.chmod(f"{lost}/file", 0o755)
    found = json.loads(differ(capsys, old, new, "--json"))
    assert found["push"]["compressed"] is None
    assert "has another digest than when the image was planned" in found["unknown"][-1]


def test_what_was_compressed_once_is_not_again(capsys, tmp_path, monkeypatch):
    _, old = planned(tmp_path / "old", BEFORE)
    plan, new = planned(
        tmp_path / "new", AFTER, digits={"app-1.0": "b"}, store=tmp_path / "old/store"
    )
    assert json.loads(differ(capsys, old, new, "--json", "--quick"))["push"]["compressed"] is None
    first = json.loads(differ(capsys, old, new, "--json"))
    lost = next(path for layer in plan.layers for path in layer.store_paths if "ssl" in path)
    os.rename(lost, tmp_path / "lost")
    assert json.loads(differ(capsys, old, new, "--json", "--quick")) == first


def test_compressed_layers_that_are_given_are_those_that_are_sent(capsys, tmp_path):
    _, old = planned(tmp_path / "old", BEFORE)
    plan, new = planned(
        tmp_path / "new", AFTER, digits={"app-1.0": "b"}, store=tmp_path / "old/store"
    )
    zstd = LayerCompression("zstd")
    layers = [blob.descriptor for blob in compress_layers(plan, zstd, jobs=1)]
    (tmp_path / "blobs").write_text(CompressedLayers(zstd, None, tuple(layers)).to_json())
    given = ("--json", "--new-blobs", str(tmp_path / "blobs"))
    found = json.loads(differ(capsys, old, new, *given))
    sizes = {layer.digest: layer.size for layer in layers}
    assert len(found["layers"]) == 2
    assert [layer["blobSize"] for layer in found["layers"]] == [
        sizes[layer["blob"]] for layer in found["layers"]
    ]
    # What is asked for has the last word.
    other = json.loads(differ(capsys, old, new, *given, "--compress", "none"))
    assert other["push"]["compressed"] == other["push"]["size"]


def test_nothing_is_compressed_for_a_closure_whose_layers_nobody_knows(capsys, tmp_path):
    planned(tmp_path / "old", BEFORE)
    _, new = planned(tmp_path / "new", AFTER, digits={"app-1.0": "b"}, store=tmp_path / "old/store")
    found = json.loads(differ(capsys, str(tmp_path / "old/graph.json"), new, "--json"))
    assert [layer["blobSize"] for layer in found["layers"]] == [None] * len(found["layers"])
    assert len(found["layers"]) == 3
