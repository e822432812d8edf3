"""One name for two architectures: every engine takes the image for the machine that is meant."""

import gzip
import json
import pathlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.engine.arm64 import arm64_packages
from tests.engine.engines import Docker, Podman, execute
from tests.engine.registry import Registry, registry
from tests.nix.images import build

NAME = "longshore/greeting"

EXPRESSION = """
let
  # What is in .debs, without running anything of it.
  unpacked = runCommand "arm64" { nativeBuildInputs = [ pkgs.python3 ]; } ''
    mkdir $out
    for deb in ${lib.concatStringsSep " " [ %s ]}; do
      python3 ${%s} $deb $out
    done
  '';
  native = buildLayeredImage {
    name = "greeting";
    contents = [ hello ];
    config.Cmd = [ "/bin/hello" ];
  };
in
dockerTools.buildImageIndex {
  name = "longshore/greeting";
  tag = "1";
  images = [
    (buildImage {
      name = "greeting";
      architecture = "arm64";
      copyToRoot = unpacked;
      config.Cmd = [ "/bin/busybox" ];
    })
    native
    (native.override { architecture = "arm"; variant = "v7"; })
  ];
}
"""

PLATFORMS = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "arm"}


@dataclass(frozen=True)
class Index:
    """An image index: its archive, digest, and the name of it in a registry."""

    archive: pathlib.Path
    digest: str
    pushed: str
    configurations: dict[str, str]


@pytest.fixture(scope="module")
def index(engine_directory: pathlib.Path) -> Iterator[Index]:
    # A store path's name has no '%'.
    debs = " ".join(
        f'(builtins.path {{ path = "{deb}"; name = "package.deb"; }})' for deb in arm64_packages()
    )
    script = pathlib.Path(__file__).parent / "unpack_deb.py"
    expression = EXPRESSION % (debs, script)
    archive = build(expression)
    digest = build(f"({expression}).digest").read_text()
    manifests = [
        json.loads(build(f"(lib.elemAt ({expression}).images {number}).manifest").read_text())
        for number in range(3)
    ]
    with registry(engine_directory / "index-registry") as opened:
        yield Index(
            archive,
            digest,
            push(opened, archive, digest),
            {
                architecture: manifest["config"]["digest"]
                for architecture, manifest in zip(("arm64", "amd64", "arm"), manifests, strict=True)
            },
        )


def push(opened: Registry, archive: pathlib.Path, digest: str) -> str:
    """Push the index as it is, and return its name; the registry has the digest that Nix says."""
    name = f"{opened.name(NAME)}:1"
    execute(
        [
            *("skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests"),
            *("--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{name}"),
        ]
    )
    pushed = f"docker://{opened.name(NAME)}@{digest}"
    raw = execute(["skopeo", "inspect", "--raw", "--tls-verify=false", pushed])
    assert len(json.loads(raw)["manifests"]) == 3
    return name


@pytest.mark.parametrize("platform", PLATFORMS)
def test_skopeo_takes_the_image_for_a_platform(index: Index, platform: str):
    os_name, architecture, *variant = platform.split("/")
    options = [f"--override-os={os_name}", f"--override-arch={architecture}"]
    options += [f"--override-variant={each}" for each in variant]
    for source in (f"oci-archive:{index.archive}", f"docker://{index.pushed}"):
        inspect = ["inspect", "--config", "--raw", "--tls-verify=false"]
        config = execute(["skopeo", *options, *inspect, source])
        assert json.loads(config)["architecture"] == PLATFORMS[platform]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_docker_takes_the_image_for_a_platform(index: Index, docker: Docker, platform: str):
    docker.command("pull", "--quiet", f"--platform={platform}", index.pushed)
    found = docker.inspect(index.pushed)
    assert found["Architecture"] == PLATFORMS[platform]
    assert found["Id"] == index.configurations[PLATFORMS[platform]]


def test_docker_runs_the_image_for_this_machine(index: Index, docker: Docker):
    docker.command("pull", "--quiet", index.pushed)
    assert docker.run(index.pushed).stdout == "Hello, world!\n"
    # Without a registry: what an archive of the index gives.
    name = docker.load(index.archive)
    assert name == f"{NAME}:1"
    assert docker.run(name).stdout == "Hello, world!\n"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_podman_takes_the_image_for_a_platform(index: Index, podman: Podman, platform: str):
    podman.command("pull", "--quiet", "--tls-verify=false", f"--platform={platform}", index.pushed)
    (found,) = json.loads(podman.command("image", "inspect", index.pushed))
    assert found["Architecture"] == PLATFORMS[platform]
    assert f"sha256:{found['Id']}" == index.configurations[PLATFORMS[platform]]


def test_podman_runs_the_image_for_this_machine(index: Index, podman: Podman):
    name = podman.load(index.archive)
    assert podman.run(name).stdout == "Hello, world!\n"


def test_the_programs_of_the_other_architecture_are_in_the_image(index: Index, tmp_path):
    layout = tmp_path / "layout"
    options = ["--override-arch=arm64", "--insecure-policy"]
    execute(["skopeo", *options, "copy", f"oci-archive:{index.archive}", f"dir:{layout}"])
    manifest = json.loads((layout / "manifest.json").read_text())
    (layer,) = manifest["layers"]
    data = gzip.decompress((layout / layer["digest"].removeprefix("sha256:")).read_bytes())
    program = subprocess.run(
        ["tar", "-xOf", "-", "./bin/busybox"], input=data, check=True, capture_output=True
    ).stdout
    # e_machine of an ELF header: EM_AARCH64.
    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[18:20], "little") == 183
