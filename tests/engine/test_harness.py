"""The engines themselves, on an image that no line of Longshore made."""

import hashlib
import io
import json
import pathlib
import shutil
import tarfile

import pytest

from tests.engine.engines import EngineError, skopeo_copy, skopeo_inspect, umoci_unpack

PROGRAM = "/bin/busybox"


def add(archive, name, data, mode=0o644):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def layer():
    """A layer of one program."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        # Docker makes directories that no layer has, but only root could enter them.
        directory = tarfile.TarInfo("bin")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)
        busybox = pathlib.Path(shutil.which("busybox")).read_bytes()
        add(archive, PROGRAM.removeprefix("/"), busybox, mode=0o755)
    return out.getvalue()


@pytest.fixture(scope="module")
def diff_id(layer):
    return f"sha256:{hashlib.sha256(layer).hexdigest()}"


@pytest.fixture(scope="module")
def archive(layer, diff_id, tmp_path_factory):
    """An archive by hand: manifest.json, the configuration and the layer."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": [PROGRAM, "echo", "hi"], "User": "1:1"},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    )
    manifest = [{"Config": "config.json", "RepoTags": ["by-hand:1"], "Layers": ["layer.tar"]}]
    path = tmp_path_factory.mktemp("by-hand") / "image.tar"
    with tarfile.open(path, "w") as out:
        add(out, "layer.tar", layer)
        add(out, "config.json", config.encode())
        add(out, "manifest.json", json.dumps(manifest).encode())
    return path


@pytest.fixture
def stream_script(archive, tmp_path):
    """A script that writes the archive to stdout and much to stderr, or fails when told to."""
    script = tmp_path / "stream"
    script.write_text(
        f'#!/bin/sh\n[ "$1" != fail ] || {{ echo no image >&2; exit 3; }}\n'
        f"seq 50000 >&2\ncat {archive}\n"
    )
    script.chmod(0o755)
    return script


def test_docker_loads_an_archive_and_runs_it(docker, archive, diff_id):
    name = docker.load(archive)
    assert name == "by-hand:1"
    assert docker.inspect(name)["RootFS"]["Layers"] == [diff_id]
    assert docker.run(name).stdout == "hi\n"


def test_docker_runs_other_commands_as_other_users(docker, archive):
    name = docker.load(archive)
    assert docker.run(name, PROGRAM, "echo", "other").stdout == "other\n"
    assert docker.run(name, "id", "-u", entrypoint=PROGRAM, user="7").stdout == "7\n"
    assert docker.run(name, PROGRAM, "env", env={"A": "1"}).stdout.count("A=1\n") == 1


def test_docker_has_no_network(docker, archive):
    name = docker.load(archive)
    links = docker.run(name, PROGRAM, "ls", "/sys/class/net").stdout.split()
    assert links == ["lo"]


def test_docker_loads_a_stream_and_saves_it(docker, stream_script, tmp_path):
    name = docker.load(stream_script)
    saved = docker.save(name, tmp_path / "saved.tar")
    docker.remove_all()
    assert not docker.images()
    assert docker.load(saved) == name


def test_a_stream_that_fails_is_no_image(docker, stream_script):
    with pytest.raises(EngineError, match="exit code 3:\nno image"):
        docker.load(stream_script, "fail")
    assert not docker.images()


def test_a_container_that_fails_is_an_error(docker, archive):
    name = docker.load(archive)
    with pytest.raises(EngineError, match="exit code 1:"):
        docker.run(name, PROGRAM, "false")
    assert docker.run(name, PROGRAM, "false", check=False).returncode == 1


def test_every_test_begins_without_images(docker):
    assert not docker.images()


def test_podman_loads_an_archive(podman, archive, diff_id):
    name = podman.load(archive)
    assert name == "localhost/by-hand:1"
    assert podman.inspect(name)["RootFS"]["Layers"] == [diff_id]


def test_podman_loads_a_stream(podman, stream_script):
    assert podman.inspect(podman.load(stream_script))["User"] == "1:1"


def test_skopeo_reads_an_archive(archive, diff_id):
    assert skopeo_inspect(f"docker-archive:{archive}")["Layers"] == [diff_id]
    config = skopeo_inspect(f"docker-archive:{archive}", "--config")
    assert config["config"]["Cmd"] == [PROGRAM, "echo", "hi"]


def test_skopeo_copies_to_a_directory(archive, diff_id, layer, tmp_path):
    skopeo_copy(f"docker-archive:{archive}", f"dir:{tmp_path}")
    assert (tmp_path / diff_id.removeprefix("sha256:")).read_bytes() == layer


def test_umoci_unpacks_what_skopeo_made_of_it(archive, tmp_path):
    skopeo_copy(f"docker-archive:{archive}", f"oci:{tmp_path}/layout:1")
    root = umoci_unpack(tmp_path / "layout", "1", tmp_path / "bundle")
    program = root / PROGRAM.removeprefix("/")
    assert program.stat().st_mode & 0o777 == 0o755
    assert program.read_bytes() == pathlib.Path(shutil.which("busybox")).read_bytes()
