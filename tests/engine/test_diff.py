"""What `longshore diff` says of images in a real registry, and what a push of them sends."""

import json
import os
import subprocess
import uuid

import pytest

from tests.engine.registry import registry
from tests.nix.images import build

RUN = uuid.uuid4().hex
"""In what is pushed, so that nothing is known of it."""

BASE = 'buildImage { name = "base"; copyToRoot = [ coreutils ]; config.Env = [ "A=b" ]; }'


def image(*, library="one", text="text", **more):
    """The plan of an image: an application that refers to a library, and a file."""
    attributes = " ".join(f"{name} = {value};" for name, value in more.items())
    return f"""(
      let
        library = writeTextDir "share/library" "{library} {RUN}";
        application = writeTextDir "share/application" "uses ${{library}} {RUN}";
      in
      streamLayeredImage {{
        name = "app";
        tag = "1";
        contents = [ application bash coreutils (writeTextDir "share/text" "{text} {RUN}") ];
        {attributes}
      }}
    ).conf"""


CHANGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "the application": (image(), image(text="other"), ()),
    "a library": (image(), image(library="two"), ()),
    "the library, with zstd": (image(), image(library="two"), ("--compress", "zstd")),
    "the configuration": (image(), image(config='{ Cmd = [ "/bin/true" ]; }'), ()),
    "the layering": (image(maxLayers="5"), image(maxLayers="4"), ()),
    "on a base": (image(fromImage=BASE), image(fromImage=BASE, library="two"), ()),
    "nothing": (image(), image(), ()),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A registry that anybody may write to."""
    with registry(tmp_path_factory.mktemp("diff") / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def longshore(sandboxed_nix):
    return build("dockerTools.longshore") / "bin/longshore"


@pytest.fixture
def run(longshore, tmp_path):
    """Run `longshore` with a home of its own, and return the JSON that it prints."""

    def told(*words):
        result = subprocess.run(
            [longshore, *words, "--json"],
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return told


@pytest.mark.parametrize("what", CHANGES)
def test_a_plan_against_the_registry_is_as_against_a_plan_and_as_a_push(server, run, what):
    before, after, options = CHANGES[what]
    old, new = build(before), build(after)
    name = server.name(f"{uuid.uuid4().hex}:1")
    run("push", str(old), name, *options)
    remote = run("diff", f"docker://{name}", str(new), *options)
    plans = run("diff", str(old), str(new), *options)
    documents = [side["push"].pop("documents") for side in (remote, plans)]
    # The registry knows as well how many digits the sizes of its layers have.
    assert documents[0] == pytest.approx(documents[1], abs=100)
    for key in ("push", "causes", "packages", "layers", "config"):
        if key == "packages":
            remote[key], plans[key] = (
                [(one["package"], one["old"], one["new"], one["paths"]) for one in side[key]]
                for side in (remote, plans)
            )
        assert remote[key] == plans[key], key
    sent = run("push", str(new), name, *options)["bytesSent"]
    expected = remote["push"]["compressed"] + documents[0]
    assert expected == pytest.approx(sent, rel=0.02)
    assert (sent == 0) == (what == "nothing")
    causes = {cause["package"] for cause in remote["causes"]}
    if "library" in what or what == "on a base":
        assert remote["push"]["layers"] >= 2
        assert len(causes) == 1


def test_an_image_of_the_registry_is_explained_as_its_plan(server, run):
    plan = build(image())
    name = server.name(f"{uuid.uuid4().hex}:1")
    pushed = run("push", str(plan), name)
    remote, here = run("explain", f"docker://{name}"), run("explain", str(plan))
    assert [layer["paths"] for layer in remote["layers"]] == [
        layer["paths"] for layer in here["layers"]
    ]
    blobs = {blob["digest"]: blob["size"] for blob in pushed["blobs"]}
    assert remote["compressed"] == sum(blobs[layer["blob"]] for layer in remote["layers"])
    read = run("explain", f"docker://{name}", "--layers")
    assert read["roots"] is not None
    assert read["size"] == here["size"]
    assert {one["path"] for one in read["paths"]} == {one["path"] for one in here["paths"]}


def test_what_engines_save_is_the_image_that_they_loaded(run, docker, podman, tmp_path):
    plan = build(image())
    stream = build(image().removesuffix(".conf"))
    saved = {"docker": docker.save(docker.load(stream), tmp_path / "docker.tar")}
    name = podman.load(stream)
    for form in ("docker-archive", "oci-archive", "oci-dir"):
        saved[form] = tmp_path / f"podman-{form}"
        podman.command("save", "--format", form, "-o", saved[form], name)
    for where, archive in saved.items():
        for sides in ((plan, archive), (archive, plan)):
            found = run("diff", *map(str, sides))
            assert (found["push"]["layers"], found["pull"]["byChain"]["layers"]) == (0, 0), where
            assert (found["causes"], found["packages"], found["config"]) == ([], [], []), where
        explained = run("explain", str(archive))
        own = sum(one["own"] for one in explained["paths"])
        assert own + sum(layer["other"] for layer in explained["layers"]) == explained["size"]
