"""Explaining and comparing real images, in every form that they have."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.nix.images import REPOSITORY, build, closure, nix

LIBRARY = """
  library = text: runCommand "library-1.0" { inherit text; } ''
    mkdir $out
    echo "$text" >$out/text
    head -c 20000 ${bash}/bin/bash >$out/data
  '';
"""
IMAGE = f"""
  let
    {LIBRARY}
    tool = from: runCommand "tool-2.0" {{ inherit from; }} "mkdir $out; echo $from >$out/uses";
    app = from: runCommand "app-3.0" {{ inherit from; }} ''
      mkdir -p $out/bin
      echo $from >$out/uses
      ln -s ${{hello}}/bin/hello $out/bin/app
    '';
    image = text: {{
      name = "app";
      tag = "1";
      contents = [ (app (tool (library text))) ];
      config.Cmd = [ "${{bash}}/bin/bash" ];
    }};
  in
"""
OLD = f'{IMAGE} streamLayeredImage (image "old")'
NEW = f'{IMAGE} streamLayeredImage (image "new")'


def longshore(*words):
    command = [sys.executable, str(REPOSITORY / "builders"), "longshore", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def explained(image, *words):
    return json.loads(longshore("explain", image, *words, "--json"))


def costs(document):
    return {
        one["path"]: (one["layers"], one["references"], one["referrers"])
        for one in document["paths"]
    }


@pytest.fixture(scope="module")
def plan():
    return explained(build(f"({OLD}).conf"))


def test_a_plan_has_what_nix_knows(plan):
    paths = {one["path"]: one for one in plan["paths"]}
    app = next(path for path in paths if path.endswith("-app-3.0"))
    assert closure(app) <= set(paths)
    sizes = {path: int(nix("nix-store", "-q", "--size", path).stdout) for path in paths}
    assert {path: one["own"] for path, one in paths.items()} == sizes
    assert paths[app]["closure"] == sum(sizes[path] for path in closure(app))
    own = sum(one["own"] for one in plan["paths"])
    assert own + sum(layer["other"] for layer in plan["layers"]) == plan["size"]


def test_the_stream_script_is_its_plan(plan):
    assert explained(build(OLD)) == plan


@pytest.mark.parametrize("output", ["ociLayout", "ociArchive"])
def test_archives_and_layouts_have_the_graph_of_the_plan(plan, output):
    found = explained(build(f"({OLD}).{output}"))
    assert costs(found) == costs(plan)
    assert found["roots"] == plan["roots"]
    assert [layer["chance"] for layer in found["layers"]] == [
        layer["chance"] for layer in plan["layers"]
    ]
    assert [layer["diffId"] for layer in found["layers"]] == [
        layer["diffId"] for layer in plan["layers"]
    ]
    own = sum(one["own"] for one in found["paths"])
    assert own + sum(layer["other"] for layer in found["layers"]) == found["size"]
    blobs = explained(build(f"({OLD}).conf"), "--blobs", build(f"({OLD}).blobs"))
    assert found["compressed"] == blobs["compressed"]


def test_a_docker_archive_has_the_graph_of_the_plan(plan):
    archive = OLD.replace("streamLayeredImage", "buildLayeredImage")
    assert costs(explained(build(archive))) == costs(plan)


def test_a_package_is_explained_with_the_bytes_that_bring_it_in(plan):
    found = explained(build(f"({OLD}).conf"), "library", "--files")
    (library,) = found["paths"]
    assert [path.partition("-")[2] for path in library["way"]] == [
        "app-3.0",
        "tool-2.0",
        "library-1.0",
    ]
    steps = itertools.pairwise(library["way"])
    for (path, following), place in zip(steps, library["evidence"], strict=True):
        assert place["file"] == f"{path}/uses"
        with open(place["file"], "rb") as file:
            file.seek(place["offset"])
            assert following.rpartition("/")[2].encode().startswith(file.read(32))


@pytest.mark.parametrize("options", [(), ("--contents",)])
def test_the_update_of_one_library_is_the_only_cause(options):
    old, new = build(f"({OLD}).conf"), build(f"({NEW}).conf")
    found = json.loads(longshore("diff", old, new, *options, "--json"))
    assert [(one["package"], one["reason"]) for one in found["causes"]] == [("library", "content")]
    assert found["perhaps"] == []
    assert [one["package"] for one in found["packages"]] == ["app", "library", "tool"]
    assert found["config"] == []


def test_bytes_to_push_are_those_of_the_blobs_that_the_old_image_lacks():
    old, new = (
        {path.name: path.stat().st_size for path in (layout / "blobs/sha256").iterdir()}
        for layout in (build(f"({image}).ociLayout") for image in (OLD, NEW))
    )
    sent = sum(new[digest] for digest in new.keys() - old.keys())
    plans = [build(f"({image}).conf") for image in (OLD, NEW)]
    blobs = [build(f"({image}).blobs") for image in (OLD, NEW)]
    found = json.loads(
        longshore("diff", *plans, "--old-blobs", blobs[0], "--new-blobs", blobs[1], "--json")
    )
    documents = sum(
        size for digest, size in new.items() if digest not in old and _is_document(NEW, digest)
    )
    assert found["push"]["compressed"] == sent - documents


def _is_document(image, digest):
    return (build(f"({image}).ociLayout") / "blobs/sha256" / digest).read_bytes()[:1] == b"{"
