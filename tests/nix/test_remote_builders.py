"""Images that another machine plans and hashes, and that this one pushes."""

import hashlib
import os
import pathlib
import subprocess
import urllib.request
import uuid

import pytest

from tests.engine.registry import registry
from tests.nix.images import PREAMBLE, nix
from tests.nix.remote_builder import remote_builder

RUN = uuid.uuid4().hex
"""In what is built, so that no store has it before."""

IMAGE = f"""
  {{ name, text }}:
  {PREAMBLE}
  let
    image = streamLayeredImage {{
      inherit name;
      tag = "1";
      contents = [
        hello
        (builtins.path {{ name = "changed-source"; path = ./. + "/${{text}}"; }})
        (writeTextDir "share/changed" "${{name}} ${{text}} {RUN}")
      ];
    }};
  in
  {{
    inherit (image) conf blobs digest;
    push = image.copyToRegistry.override {{ lazy = true; }};
  }}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("remote") / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    with remote_builder(tmp_path_factory.mktemp("builder")) as running:
        yield running


@pytest.fixture
def image(tmp_path):
    """The file of the image, which is made of two others, beside it."""
    for text in ("before", "after"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "source").write_text(f"{text} {RUN}")
    file = tmp_path / "image.nix"
    file.write_text(IMAGE)
    # What such images are made with is here; else the builder would make it, bit by bit.
    arguments = ["--argstr", "name", "before-it", "--argstr", "text", "before"]
    nix("nix-build", "--no-out-link", str(file), *arguments, "-A", "digest", "-A", "push")
    return file


def push(program, reference, tmp_path, **variables):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    result = subprocess.run(
        [program / "bin/copy-to-registry", reference],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    return result


def digest_of(server, repository, tag):
    """What the registry has under a tag."""
    request = urllib.request.Request(
        f"http://{server.address}/v2/{repository}/manifests/{tag}",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    with urllib.request.urlopen(request) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give another store its place")


@root
def test_a_remote_builder_plans_and_hashes_what_is_pushed_from_here(
    builder, server, image, tmp_path
):
    for text in ("before", "after"):
        arguments = ("--argstr", "name", "app", "--argstr", "text", text)
        conf = builder.build(image, "conf", *arguments)
        assert {"app-customisation-layer", "app-layers.json", "app-conf.json"} <= set(conf.built)
        # It gets the inputs that this machine has, and no second time.
        assert "changed-source" in conf.sent
        digest = builder.build(image, "digest", *arguments)
        assert "app-blobs.json" in digest.built
        program = builder.build(image, "push", *arguments)
        result = push(program.path, f"{server.address}/app:1", tmp_path)
        expected = digest.path.read_text()
        assert digest_of(server, "app", "1") == expected
        assert result.stdout == f"{server.address}/app@{expected}\n"
    assert conf.sent == ["changed-source"]
    assert not [name for name in conf.received if name.startswith("hello")]


@root
def test_what_only_another_store_has_is_pushed_from_there(builder, server, image, tmp_path):
    settings = f"experimental-features = nix-command\nsubstituters = {builder.url}"
    for text in ("before", "after"):
        attributes = ["conf", "blobs", "digest", "push"]
        arguments = ["-f", str(image), "--argstr", "name", "other", "--argstr", "text", text]
        there = ["--store", builder.url, "--eval-store", "auto"]
        builder.nix("build", "--no-link", *there, *arguments, *attributes)
        paths = {
            name: builder.nix("eval", "--raw", *arguments, f"{name}.outPath").strip()
            for name in attributes
        }
        builder.nix("copy", "--no-check-sigs", "--from", builder.url, paths["push"])
        result = push(
            pathlib.Path(paths["push"]),
            f"{server.address}/other:1",
            tmp_path,
            NIX_CONFIG=settings,
            NIX_USER_CONF_FILES="/dev/null",
            **builder.variables,
        )
        # Planned and hashed there, and not here.
        for name in ("conf", "blobs", "digest"):
            assert builder.has(paths[name])
            assert not os.path.exists(paths[name])
        expected = (builder.directory / paths["digest"].lstrip("/")).read_text()
        assert digest_of(server, "other", "1") == expected
    fetched = [line.split()[1][44:] for line in result.stderr.splitlines() if "fetched /" in line]
    assert sorted(fetched) == [
        "changed",
        "other-blobs.json",
        "other-customisation-layer",
    ]
