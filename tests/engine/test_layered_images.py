"""Layered images in the programs that people hand them to."""

import json
import pathlib
import re
import subprocess
import tarfile

import pytest

from tests.engine.bases import THREE_DEEP_SHOWN, three_deep
from tests.engine.engines import (
    Docker,
    EngineError,
    Podman,
    execute,
    skopeo_copy,
    skopeo_inspect,
    umoci_unpack,
)
from tests.nix.images import Image, build, closure, stream

SERVER = """
  name = "app"; tag = "1"; contents = [ bash coreutils ];
  config = { Cmd = [ "/bin/bash" "-c" "echo $GREETING" ]; Env = [ "GREETING=hi" "PATH=/bin" ]; };
"""

PRIVILEGED = f"""streamLayeredImage {{
  {SERVER}
  fakeRootCommands = ''
    mkdir -p data
    echo secret > data/secret
    chown -R 1000:100 data
    chmod 400 data/secret
    cp ${{coreutils}}/bin/cat data/cat
    chown 0:0 data/cat
    chmod 4755 data/cat
    mknod data/null c 1 3
    mknod data/pipe p
    cp ${{coreutils}}/bin/id data/id
    ${{pkgs.libcap}}/bin/setcap cap_net_bind_service=+ep data/id
  '';
}}"""


def test_docker_sees_owners_devices_setuid_bits_and_capabilities(docker: Docker):
    image = docker.load(build(PRIVILEGED))
    listing = docker.run(
        image,
        "/bin/stat",
        "-c",
        "%n %u:%g %a %F",
        *(f"/data/{n}" for n in ("secret", "cat", "null")),
    ).stdout
    assert listing.splitlines() == [
        "/data/secret 1000:100 400 regular file",
        "/data/cat 0:0 4755 regular file",
        "/data/null 0:0 644 character special file",
    ]
    # Only a setuid program can read it for somebody else.
    other = docker.run(image, "/bin/cat", "/data/secret", user="2000", check=False)
    assert other.returncode != 0
    assert docker.run(image, "/data/cat", "/data/secret", user="2000").stdout == "secret\n"
    getcap = f"{build('pkgs.libcap')}/bin/getcap"
    store = ["--volume=/nix/store:/nix/store:ro"]
    capabilities = docker.run(image, getcap, "/data/id", options=store).stdout
    assert capabilities.strip() == "/data/id cap_net_bind_service=ep"


@pytest.mark.parametrize("compressor", ["none", "gz"])
def test_docker_loads_a_file(docker: Docker, compressor):
    image = docker.load(build(f'buildLayeredImage {{ {SERVER} compressor = "{compressor}"; }}'))
    assert docker.run(image).stdout == "hi\n"


def test_podman_loads_a_file_that_docker_before_23_does_not(podman: Podman):
    name = podman.load(build(f'buildLayeredImage {{ {SERVER} compressor = "zstd"; }}'))
    assert name == "localhost/app:1"


@pytest.mark.parametrize(
    ("program", "first", "compressor"),
    [("dockerd", (23, 0), "zstd"), ("podman", (5, 0), "gz"), ("skopeo", (1, 18), "gz")],
)
def test_engines_before_a_version_refuse_a_compressed_file(
    docker: Docker, podman: Podman, program, first, compressor
):
    archive = build(f'buildLayeredImage {{ {SERVER} compressor = "{compressor}"; }}')
    read = {
        "dockerd": lambda: docker.load(archive),
        "podman": lambda: podman.load(archive),
        "skopeo": lambda: skopeo_inspect(f"docker-archive:{archive}"),
    }[program]
    found = re.search(r"(\d+)\.(\d+)", execute([program, "--version"]))
    assert found
    if (int(found[1]), int(found[2])) < first:
        with pytest.raises(EngineError, match="archive/tar: invalid tar header"):
            read()
    else:
        assert read()


def test_docker_loads_under_another_tag(docker: Docker):
    script = build(f"streamLayeredImage {{ {SERVER} }}")
    assert docker.load(script, "-t", "other/name:2") == "other/name:2"
    assert docker.run("other/name:2").stdout == "hi\n"


def test_docker_shows_what_the_configuration_says(docker: Docker):
    image = docker.load(
        build(
            f"""streamLayeredImage {{ {
                SERVER.replace(
                    "config = {",
                    '''
              architecture = "amd64"; created = "2024-05-06T07:08:09Z";
              config = { Labels.x = "y"; WorkingDir = "/bin"; User = "5:6";
                ExposedPorts."80/tcp" = { }; Volumes."/v" = { }; StopSignal = "SIGINT";
            ''',
                )
            } }}"""
        )
    )
    found = docker.inspect(image)
    assert found["Architecture"] == "amd64"
    assert found["Created"] == "2024-05-06T07:08:09Z"
    config = found["Config"]
    assert config["Labels"] == {"x": "y"}
    assert config["WorkingDir"] == "/bin"
    assert config["User"] == "5:6"
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert config["Volumes"] == {"/v": {}}
    assert config["StopSignal"] == "SIGINT"


def test_podman_loads_the_same_image(podman: Podman):
    script = build(f"streamLayeredImage {{ {SERVER} }}")
    name = podman.load(script)
    assert name == "localhost/app:1"
    image = stream(f"streamLayeredImage {{ {SERVER} }}")
    found = podman.inspect(name)
    assert found["RootFS"]["Layers"] == [f"sha256:{diff_id}" for diff_id in image.diff_ids]
    assert found["Config"]["Cmd"] == ["/bin/bash", "-c", "echo $GREETING"]


def test_skopeo_checks_every_digest_and_umoci_unpacks(tmp_path: pathlib.Path):
    archive = build(f'buildLayeredImage {{ {SERVER} compressor = "none"; }}')
    seen = skopeo_inspect(f"docker-archive:{archive}")
    assert seen["Architecture"] == "amd64"
    assert "GREETING=hi" in seen["Env"]
    layout = tmp_path / "layout"
    skopeo_copy(f"docker-archive:{archive}", f"oci:{layout}:1")
    root = umoci_unpack(layout, "1", tmp_path / "bundle")
    target = (root / "bin/bash").readlink()
    assert (root / str(target).lstrip("/")).stat().st_mode & 0o777 == 0o555
    assert (root / "nix/store").stat().st_mode & 0o777 == 0o755


def on_top_of(base: pathlib.Path) -> str:
    """An expression for an image on top of the archive `base`."""
    return f"""streamLayeredImage {{
      name = "top"; fromImage = {base}; contents = [ hello ];
      config.Cmd = [ "/bin/bash" "-c" "/bin/hello; echo $GREETING $MORE" ];
      config.Env = [ "MORE=m" ];
    }}"""


@pytest.fixture
def base(docker: Docker):
    """The name of a base image in Docker's store."""
    return docker.load(build(f"streamLayeredImage {{ {SERVER} }}"))


def test_an_image_saved_by_docker_is_a_base_image(docker: Docker, base, tmp_path: pathlib.Path):
    saved = docker.save(base, tmp_path / "saved.tar")
    image = docker.load(build(on_top_of(saved)))
    assert docker.run(image).stdout == "Hello, world!\nhi m\n"
    below = docker.inspect(base)["RootFS"]["Layers"]
    assert docker.inspect(image)["RootFS"]["Layers"][: len(below)] == below


@pytest.mark.parametrize(
    "command", [["gzip"], ["zstd", "-q"], ["xz", "-0"], ["bzip2", "-1"]], ids=lambda c: c[0]
)
def test_a_compressed_base_image(docker: Docker, base, tmp_path: pathlib.Path, command):
    saved = docker.save(base, tmp_path / "saved.tar")
    packed = tmp_path / "packed"
    with saved.open("rb") as source, packed.open("wb") as target:
        subprocess.run([*command, "-c"], stdin=source, stdout=target, check=True)
    image = docker.load(build(on_top_of(packed)))
    assert docker.run(image).stdout == "Hello, world!\nhi m\n"


def test_an_archive_written_by_skopeo_is_a_base_image(docker: Docker, base, tmp_path: pathlib.Path):
    saved = docker.save(base, tmp_path / "saved.tar")
    archive = tmp_path / "skopeo.tar"
    skopeo_copy(f"docker-archive:{saved}", f"docker-archive:{archive}:x:1")
    image = docker.load(build(on_top_of(archive)))
    assert docker.run(image).stdout == "Hello, world!\nhi m\n"


def test_an_oci_layout_is_a_base_image_with_and_without_a_manifest(
    docker: Docker, base, tmp_path: pathlib.Path
):
    saved = docker.save(base, tmp_path / "saved.tar")
    layout = tmp_path / "layout"
    skopeo_copy(f"docker-archive:{saved}", f"oci:{layout}:app:1")
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text())

    def blob(descriptor):
        return f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"

    def packed(name):
        with tarfile.open(tmp_path / name, "w") as archive:
            for file in sorted(layout.iterdir()):
                archive.add(file, file.name)
        return tmp_path / name

    plain = docker.load(build(on_top_of(packed("oci.tar"))))
    assert docker.run(plain).stdout == "Hello, world!\nhi m\n"
    # What Docker 25 and later save: the same with a manifest.json, layers compressed.
    (layout / "manifest.json").write_text(
        json.dumps(
            [
                {
                    "Config": blob(manifest["config"]),
                    "RepoTags": ["app:1"],
                    "Layers": [blob(layer) for layer in manifest["layers"]],
                }
            ]
        )
    )
    docker.remove_all()
    image = docker.load(build(on_top_of(packed("docker-25.tar"))))
    assert docker.run(image).stdout == "Hello, world!\nhi m\n"


def test_images_on_images_on_images(docker: Docker):
    expression = "null"
    for number in range(3):
        expression = f"""(buildLayeredImage {{
          name = "n{number}"; fromImage = {expression}; contents = [ bash ];
          extraCommands = "echo {number} > file{number}";
          config.Env = [ "N{number}=1" ];
        }})"""
    image = docker.load(build(expression))
    shown = docker.run(
        image, "/bin/bash", "-c", "echo $N0$N1$N2; cat=$(</file0)$(</file2); echo $cat"
    )
    assert shown.stdout == "111\n02\n"


@pytest.mark.parametrize("compressor", ["gz", "zstd"])
def test_images_three_deep_share_store_paths_and_run(docker: Docker, compressor):
    expression = three_deep(compressor)
    image = stream(expression)
    paths = [path for layer in image.store_paths for path in layer]
    assert len(paths) == len(set(paths))
    assert set(paths) == set().union(*map(closure, map(build, ("bash", "coreutils", "hello"))))
    # Of three images, with their links.
    assert len(image.diff_ids) == len(paths) + 3
    script = build(expression)
    # What the base image has keeps the owner that it has there, and is readable to others, too.
    for user in ("0", "1234"):
        assert docker.run(docker.load(script), user=user).stdout == THREE_DEEP_SHOWN


def test_nix_runs_on_the_database_of_the_image(docker: Docker):
    image = docker.load(
        build(
            """streamLayeredImage {
              name = "nix"; contents = [ pkgs.nix bash ]; includeNixDB = true;
              config.Env = [ "USER=nobody" "NIX_REMOTE=" "HOME=/root" ];
            }"""
        )
    )
    nix_path = build("pkgs.nix")
    references = docker.run(image, "/bin/nix-store", "-q", "--references", str(nix_path)).stdout
    assert str(build("pkgs.glibc")) in references.split()
    docker.run(image, "/bin/nix-store", "--verify")
    closure_there = docker.run(image, "/bin/nix-store", "-qR", str(nix_path)).stdout.split()
    assert set(closure_there) == closure(nix_path)


def test_the_reader_of_the_archive_and_docker_agree(docker: Docker):
    expression = f"streamLayeredImage {{ {SERVER} }}"
    image: Image = stream(expression)
    name = docker.load(build(expression))
    assert docker.inspect(name)["RootFS"]["Layers"] == [f"sha256:{d}" for d in image.diff_ids]
    assert docker.inspect(name)["Id"] == f"sha256:{image.manifest['Config'].removesuffix('.json')}"
