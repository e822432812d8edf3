"""The programs that load an image, which every image has."""

import json
import subprocess

import pytest

from tests.nix.images import build, evaluate, nix

PROGRAMS = ["copyTo", "copyToContainerd", "copyToDockerDaemon", "copyToPodman"]
IMAGES = {
    "a stream": 'streamLayeredImage { name = "app"; tag = "1"; contents = [ bash ]; }',
    "a file": 'buildLayeredImage { name = "app"; tag = "1"; contents = [ bash ]; }',
    "one layer": 'buildImage { name = "app"; tag = "1"; copyToRoot = bash; }',
    "a shell": "streamNixShellImage { drv = hello; }",
    "an index": """dockerTools.buildImageIndex {
      name = "app";
      tag = "1";
      images = [ (buildImage { name = "app"; tag = "2"; copyToRoot = bash; }) ];
    }""",
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES.keys())
def test_every_image_has_the_programs(image: str):
    names = json.dumps(PROGRAMS).replace(",", "")
    found = evaluate(f"let image = {image}; in map (n: image.${{n}}.meta.mainProgram) {names}")
    assert found == ["copy-to", "copy-to-containerd", "copy-to-docker-daemon", "copy-to-podman"]


def test_a_program_has_the_image_with_all_that_it_needs():
    program = build(f"({IMAGES['a stream']}).copyToDockerDaemon")
    needed = nix("nix-store", "-qR", str(program)).stdout.split()
    bash = evaluate('"${bash}"')
    assert bash in needed


@pytest.mark.parametrize("kind", ["one layer", "an index"])
def test_a_program_knows_the_name_of_its_image(kind: str):
    program = build(f"({IMAGES[kind]}).copyToPodman") / "bin/copy-to-podman"
    # A client that knows no image and takes whatever it gets.
    client = """sh -c 'echo "$@" >&2; [ "$1" != image ] || { echo "[]"; exit 0; }; cat' podman"""
    command = [str(program), "--client", client, "--strategy", "full"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "localhost/app:1\n"), result.stderr
