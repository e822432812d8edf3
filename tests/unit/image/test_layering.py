"""Layers as each generation of nixpkgs cuts them: of its own graphs, limits and excluded paths."""

import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

from builders.closure.graph import StorePath, read_graph
from builders.image.layering import (
    CO_CHANGE,
    POPULARITY,
    POPULARITY_PIPELINE,
    SIZE,
    assign_layers,
)

ROOT = pathlib.Path(__file__).parents[3]
CASES = json.loads((ROOT / "tests/golden/generations.json").read_text())["cases"]


def layers(case, layering):
    return assign_layers(
        read_graph(case["graph"]),
        exclude=frozenset(case["exclude"]),
        limit=case["limit"],
        layering=layering,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["seed"])
def test_popularity_of_nixpkgs_with_pipelines(case):
    assert list(map(list, layers(case, POPULARITY_PIPELINE))) == case["popularity_pipeline"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["seed"])
def test_size_cohorts_of_nixpkgs(case):
    made = list(map(list, layers(case, SIZE)))
    assert case["size_order_is_defined"]
    assert made == case["size"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["seed"])
def test_all_generations_hold_the_same_paths_and_the_limit(case):
    kept = {node["path"] for node in case["graph"]} - set(case["exclude"])
    for layering in (POPULARITY, POPULARITY_PIPELINE, SIZE, CO_CHANGE):
        made = layers(case, layering)
        assert len(made) <= case["limit"]
        assert sorted(path for layer in made for path in layer) == sorted(kept)


def test_excluded_paths_take_part_in_the_oldest_contest_only():
    graph = {
        "/nix/store/0-root": StorePath("/nix/store/0-root", ("/nix/store/2-b",)),
        "/nix/store/1-a": StorePath("/nix/store/1-a", ()),
        "/nix/store/2-b": StorePath("/nix/store/2-b", ()),
    }
    exclude = {"/nix/store/0-root"}
    made = {
        layering: assign_layers(graph, exclude=exclude, limit=2, layering=layering)
        for layering in (POPULARITY, POPULARITY_PIPELINE)
    }
    assert made[POPULARITY] == [("/nix/store/2-b",), ("/nix/store/1-a",)]
    assert made[POPULARITY_PIPELINE] == [("/nix/store/1-a",), ("/nix/store/2-b",)]


def command(graph, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "builders", "layers", graph, *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_prints_the_layers(tmp_path):
    case = CASES[1]
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(case["graph"]))
    excluded = [word for path in case["exclude"] for word in ("--exclude", path)]
    for layering, key in ((POPULARITY_PIPELINE, "popularity_pipeline"), (SIZE, "size")):
        limit = ("--store-layers", case["limit"])
        done = command(graph, "--layering", layering, *limit, *excluded)
        assert json.loads(done.stdout) == case[key]
        assert done.stderr == ""


def test_the_command_goes_by_a_lock_and_by_what_changes(tmp_path):
    size = 30 << 20
    paths = [f"/nix/store/{name * 32}-{name}-1" for name in ("app", "lib", "data")]
    nodes = [{"path": path, "references": [], "narSize": size} for path in paths]
    graph, lock = tmp_path / "graph.json", tmp_path / "lock.json"
    graph.write_text(json.dumps(nodes))
    lock.write_text('{"version": 1, "layers": [["data", "app"], ["lib"]]}')
    limit = ("--layering", CO_CHANGE, "--store-layers", "3")
    app, lib, data = paths
    done = command(graph, *limit, "--lock", lock)
    assert json.loads(done.stdout) == [[app, data], [lib]]
    done = command(graph, *limit, "--volatile", data)
    assert json.loads(done.stdout) == [[app], [lib], [data]]
    done = command(graph, "--layering", CO_CHANGE, "--store-layers", "2", "--volatile", data)
    assert json.loads(done.stdout) == [[app, lib], [data]]
    done = command(graph, "--layering", SIZE, "--store-layers", "3", "--lock", lock)
    assert done.returncode == 2
    assert "--lock, --volatile and --min-layer-size are for --layering co-change" in done.stderr
    done = command(graph, *limit, "--volatile", "/nix/store/x")
    assert f"--volatile /nix/store/x is not in {graph}" in done.stderr
    done = command(graph, *limit, "--min-layer-size", "-1")
    assert "--min-layer-size must be 0 or more" in done.stderr


@pytest.mark.parametrize("kind", ["full", "gone", "closed"])
def test_where_stdout_takes_nothing_the_command_fails_in_one_line(tmp_path, kind):
    path = tmp_path / "graph.json"
    # Enough that it is not held back as a whole.
    nodes = [{"path": f"/nix/store/{n}-a", "references": [], "narSize": 1} for n in range(2000)]
    path.write_text(json.dumps(nodes))
    options = ("--layering", SIZE, "--store-layers", "3")
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        [sys.executable, str(ROOT / "builders"), "layers", str(path), *options],
        stdout=writer if kind == "gone" else full,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: os.close(1)) if kind == "closed" else None,
    )
    os.close(full)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "standard output" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_reads_the_graph_of_an_image(tmp_path):
    case = CASES[1]
    excluded = set(case["exclude"])
    nodes = [{**node, "layer": 0} for node in case["graph"] if node["path"] not in excluded]
    random.Random(1).shuffle(nodes)
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps({"version": 2, "roots": [], "paths": nodes}))
    done = command(graph, "--layering", POPULARITY_PIPELINE, "--store-layers", case["limit"])
    assert json.loads(done.stdout) == case["popularity_pipeline"]


NODE = {"path": "/nix/store/a-b", "references": [], "narSize": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can't read the graph"),
        (json.dumps([NODE, {**NODE, "narSize": 2}]), "/nix/store/a-b is there twice"),
        ("[" * 100_000, "can't read the graph"),
        ("7", "should be a list"),
        ("[7]", "should be an object"),
        (json.dumps([{**NODE, "narSize": -1}]), "narSize should be a number of 0 or more"),
        (json.dumps([{**NODE, "narSize": True}]), "narSize should be a number of 0 or more"),
        (json.dumps([{**NODE, "path": None}]), "path should be a string and is missing"),
        (json.dumps([{**NODE, "references": ["/nix/store/c-d"]}]), "which is missing"),
        (
            json.dumps(
                [
                    NODE | {"references": ["c"]},
                    NODE | {"path": "c", "references": ["/nix/store/a-b"]},
                ]
            ),
            "has a cycle",
        ),
    ],
)
def test_what_is_no_graph_is_one_line(tmp_path, text, words):
    graph = tmp_path / "graph.json"
    graph.write_text(text)
    done = command(graph, "--layering", SIZE, "--store-layers", 3)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert "exportReferencesGraph" in line


def test_a_path_to_exclude_must_be_there(tmp_path):
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps([NODE]))
    done = command(graph, "--layering", SIZE, "--store-layers", 3, "--exclude", "/nix/store/c-d")
    assert "--exclude /nix/store/c-d is not in" in done.stderr
    assert done.returncode == 1
