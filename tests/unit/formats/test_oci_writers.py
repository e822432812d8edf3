"""OCI archives and layouts, as engines and this project itself read them."""

import hashlib
import json
import os
import tarfile
from dataclasses import replace

import pytest

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import image_blobs, index_blobs
from builders.console.errors import UserError
from builders.formats.image_stream import stream_image
from builders.formats.oci_writers import (
    NamedSource,
    blob_directory,
    write_archive,
    write_directory,
)
from builders.image.platform import Platform
from builders.layers.resources import Resources
from tests.unit.plans import make_plan
from tests.unit.support import read_base


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path)


def image(plan, compressor="gz", directory=None):
    layers = compress_layers(plan, LayerCompression(compressor), jobs=2, directory=directory)
    return image_blobs(plan, layers, annotations={})


def named(source, repo_tag="group/app:1.0", architecture="amd64"):
    return NamedSource(source, repo_tag=repo_tag, architecture=architecture)


def archive(content, path):
    with Resources(helpers=1, threads=2) as resources, open(path, "wb") as file:
        write_archive(file.fileno(), content, mtime=7, resources=resources)
    with tarfile.open(path) as opened:
        assert all((each.mtime, each.mode) == (7, 0o644) for each in opened)
        return {each.name: opened.extractfile(each).read() for each in opened}


def directory(content, path):
    with Resources(helpers=0, threads=2) as resources:
        write_directory(str(path), content, resources=resources)
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


@pytest.mark.parametrize("compressor", ["none", "gz", "zstd"])
def test_an_archive_is_a_layout_and_a_docker_archive(plan, tmp_path, compressor):
    source = image(plan, compressor)
    members = archive(named(source), tmp_path / "image.tar")
    names = list(members)
    assert names[:3] == ["oci-layout", "index.json", "manifest.json"]
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name in names[3:]:
        assert name == f"blobs/sha256/{hashlib.sha256(members[name]).hexdigest()}"
    (entry,) = json.loads(members["index.json"])["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/group/app:1.0",
        "org.opencontainers.image.ref.name": "1.0",
    }
    manifest = json.loads(members["blobs/sha256/" + entry["digest"].removeprefix("sha256:")])
    (docker,) = json.loads(members["manifest.json"])
    assert docker["RepoTags"] == ["group/app:1.0"]
    assert docker["Config"] == "blobs/sha256/" + manifest["config"]["digest"][7:]
    assert docker["Layers"] == [f"blobs/sha256/{each['digest'][7:]}" for each in manifest["layers"]]
    assert set(names[3:]) == {
        docker["Config"],
        *docker["Layers"],
        "blobs/sha256/" + entry["digest"][7:],
    }


@pytest.mark.parametrize("compressor", ["none", "gz", "zstd"])
def test_the_image_is_the_one_of_the_docker_archive(plan, tmp_path, compressor):
    path = tmp_path / "image.tar"
    archive(named(image(plan, compressor)), path)
    docker = tmp_path / "docker.tar"
    with open(docker, "wb") as file:
        stream_image(plan, file.fileno())
    ours, theirs = read_base(path), read_base(docker)
    assert ours.config_json == theirs.config_json
    assert [layer.diff_id for layer in ours.layers] == [layer.diff_id for layer in plan.layers]


def test_a_directory_has_the_files_of_the_archive(plan, tmp_path):
    spool = blob_directory(str(tmp_path / "layout"))
    os.makedirs(spool)
    source = image(plan, directory=spool)
    found = directory(named(source), tmp_path / "layout")
    members = archive(named(image(plan)), tmp_path / "image.tar")
    del members["manifest.json"]
    assert found == members
    # The same where no file of it is there before.
    assert directory(named(image(plan)), tmp_path / "other") == found


def test_a_base_image_keeps_its_layers(plan, tmp_path):
    base = tmp_path / "base.tar"
    archive(named(image(plan, "zstd")), base)
    found = read_base(base)
    on_top = replace(plan, layers=(*found.layers, plan.layers[-1]))
    source = image(on_top, "gz")
    kinds = [layer.descriptor.media_type.rpartition("+")[2] for layer in source.layers]
    assert kinds == ["zstd"] * len(plan.layers) + ["gzip"]
    members = archive(named(source), tmp_path / "image.tar")
    assert {layer.blob.digest for layer in found.layers} <= {
        f"sha256:{name.rpartition('/')[2]}" for name in members
    }


def test_layers_of_a_compressed_base_archive_are_read_in_its_order(plan, tmp_path):
    base = tmp_path / "base.tar"
    archive(named(image(plan, "none")), base)
    os.system(f"gzip -1 {base}")
    found = read_base(f"{base}.gz")
    turned = replace(plan, layers=tuple(reversed(found.layers)))
    members = archive(named(image(turned)), tmp_path / "image.tar")
    order = [name.rpartition("/")[2] for name in members][5:]
    assert order == [layer.blob.digest.removeprefix("sha256:") for layer in found.layers]


def test_an_index_is_a_base_image_for_each_architecture(plan, tmp_path):
    arm = replace(plan, platform=Platform("linux", "arm64"))
    path = tmp_path / "image.tar"
    archive(named(index_blobs([image(plan), image(arm)], annotations={})), path)
    for architecture in ("amd64", "arm64"):
        found = read_base(path, architecture=architecture)
        assert found.config["architecture"] == architecture
        assert found.repo_tags == ("docker.io/group/app:1.0",)
    with pytest.raises(UserError, match=r"several images: .*amd64.*arm64"):
        read_base(path, architecture="riscv64")


def test_docker_gets_the_image_of_its_machine_out_of_an_index(plan, tmp_path):
    arm = replace(plan, platform=Platform("linux", "arm64"))
    index = index_blobs([image(plan), image(arm)], annotations={})
    configs = {}
    for architecture in ("amd64", "arm64", "riscv64"):
        content = named(index, architecture=architecture)
        members = archive(content, tmp_path / "image.tar")
        (entry,) = json.loads(members["index.json"])["manifests"]
        assert entry["digest"] == index.top.descriptor.digest
        assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
        assert "platform" not in entry
        (docker,) = json.loads(members["manifest.json"])
        configs[architecture] = json.loads(members[docker["Config"]])["architecture"]
    # Where it is not there, the first.
    assert configs == {"amd64": "amd64", "arm64": "arm64", "riscv64": "amd64"}
