"""Builders where the machine lacks something: one line says what, and names the file."""

import json
import os
import resource
import subprocess
import sys

import pytest

from tests.unit.archives import COMPRESSORS, plain_members, tar
from tests.unit.support import BUILDERS, read_base

LIMIT = 1 << 16
"""Bytes that a file may have: as on a disk that is full."""
LARGE = tar([("large", os.urandom(4 * LIMIT))])


@pytest.fixture
def build(tmp_path):
    """Run a builder with these arguments, and limits of resources; return what it says."""

    def run(builder, limits, **arguments):
        outputs = {"out": str(tmp_path / "out"), "graph": str(tmp_path / "graph")}
        attributes = {"outputs": outputs, "arguments": {"where": "in docker image x", **arguments}}
        (tmp_path / ".attrs.json").write_text(json.dumps(attributes))

        def limit():
            for kind, number in limits.items():
                resource.setrlimit(kind, (number, number))

        return subprocess.run(
            [sys.executable, "-I", "-B", BUILDERS, builder],
            capture_output=True,
            text=True,
            env={"NIX_BUILD_TOP": str(tmp_path), "NIX_BUILD_CORES": "2"},
            preexec_fn=limit,
            timeout=60,
        )

    return run


@pytest.fixture
def base(tmp_path):
    """An image archive of a layer that is larger than any file may be."""
    path = tmp_path / "base.tar"
    path.write_bytes(tar(plain_members([LARGE])))
    return path


def one_line(done, *words):
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert len(errors) == 1
    for word in ("error: in docker image x: ", *words):
        assert word in errors[0]
    return errors[0]


FULL = {resource.RLIMIT_FSIZE: LIMIT}
SCRIPTS = {
    "include_nix_db": False,
    "config_references": None,
    "copy_engine_files": False,
    "directories": [],
    "store_dir": "/nix/store",
    "nix_store": None,
    "contents_closure": [],
    **dict.fromkeys(("shell", "stdenv", "fakeroot", "fakeroot_path", "python", "library"), ""),
}
SINGLE = {
    **SCRIPTS,
    "base": None,
    "base_names": None,
    "from_image": None,
    "keep_contents_dirlinks": False,
    "extra_commands": "",
    "run_as_root": None,
    "uid": 0,
    "gid": 0,
    "root_path": "",
}


def test_a_copy_in_copy_to_root(build, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(LARGE)
    done = build("single_layer", FULL, copy_to_root=[str(tmp_path / "tree")], **SINGLE)
    one_line(done, f"can't write {tmp_path}/root/large: File too large; raise the limit of file")


def test_a_layer(build, tmp_path):
    (tmp_path / "tree").mkdir()
    for number in range(9):
        (tmp_path / "tree" / f"{number}").write_bytes(LARGE[: LIMIT // 2])
    done = build("single_layer", FULL, copy_to_root=[str(tmp_path / "tree")], **SINGLE)
    one_line(done, f"can't write {tmp_path}/out/layer.tar: File too large")


@pytest.fixture
def plan(base, build, tmp_path):
    """The plan of an image that is the base image and an empty layer."""
    (layer,) = read_base(base).layers
    planned = {"layers": [layer.to_json()], "config": {}}
    (tmp_path / "base.json").write_text(json.dumps(planned))
    layers = {"layers": [], "graph": [], "exclude": [], "held": {}}
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    return {
        "image_name": "x",
        "tag": "1",
        "tag_by_archive": False,
        "architecture": "amd64",
        "created": "1970-01-01T00:00:01Z",
        "mtime": "1970-01-01T00:00:01Z",
        "date": "date",
        "store_dir": "/nix/store",
        "variant": None,
        "inherit_config": ["Env"],
        "made_in_containers": [],
        "base": str(tmp_path / "base.json"),
        "layers": str(tmp_path / "layers.json"),
    }


@pytest.mark.parametrize("compressor", ["gz", "zstd", "none"])
def test_an_image_file(build, plan, tmp_path, compressor):
    done = build("image_plan", {}, config={}, **plan)
    assert done.returncode == 0, done.stderr
    (tmp_path / "out").rename(tmp_path / "plan")
    arguments = {"plan": str(tmp_path / "plan"), "compressor": compressor}
    done = build("image_file", FULL, compression_level=None, **arguments)
    name = "the image" if compressor == "none" else f"{tmp_path}/out"
    one_line(done, f"can't write {name}: File too large")


def test_an_image_plan(build, plan, tmp_path):
    config = {"Env": ["A=" + "a" * 2 * LIMIT]}
    one_line(build("image_plan", FULL, config=config, **plan), f"can't write {tmp_path}/out: File")


def test_the_plan_of_a_base_image(build, tmp_path):
    data = tar(plain_members([LARGE], config={"Env": ["A=" + "a" * 2 * LIMIT]}))
    (tmp_path / "base.tar").write_bytes(data)
    arguments = {"from_image": str(tmp_path / "base.tar"), "architecture": "amd64"}
    names = dict.fromkeys(("from_image_name", "from_image_tag", "variant"))
    one_line(build("base_image", FULL, **arguments, **names), f"can't write {tmp_path}/out: File")


@pytest.mark.parametrize("compression", ["none", "gz", "zstd", "xz"])
def test_merged_images(build, tmp_path, compression):
    path = tmp_path / "base.tar"
    path.write_bytes(COMPRESSORS[compression](tar(plain_members([LARGE]))))
    arguments = {"images": [str(path)], "programs": [False], "architecture": "amd64"}
    one_line(
        build("merge_images", FULL, **arguments), f"can't write {tmp_path}/out: File too large"
    )


@pytest.mark.parametrize("compression", ["none", "gz"])
def test_an_exported_image(build, tmp_path, compression):
    path = tmp_path / "base.tar"
    path.write_bytes(COMPRESSORS[compression](tar(plain_members([LARGE]))))
    arguments = {"from_image": str(path), "is_program": False, "architecture": "amd64"}
    names = dict.fromkeys(("from_image_name", "from_image_tag"))
    done = build("export_image", FULL, **arguments, **names)
    one_line(done, "can't write ", "File too large; ")


@pytest.fixture
def plan_store(build, tmp_path):
    """Plan the layer of store paths with a file each, of which `sizes` are the bytes."""
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/layer.tar").write_bytes(b"")
    (tmp_path / "custom/checksum").write_text("0" * 64)
    names = {"uname": "root", "gname": "root", "store_dir": str(tmp_path), "date": "date"}
    layering = {"max_layers": 3, "layering": "popularity", "layering_pipeline": None}
    facts = {"base": None, "mtime": "1970-01-01T00:00:01Z", "uid": 0, "gid": 0, "exclude": []}
    facts |= dict.fromkeys(("base_names", "base_store", "from_image"))
    given = {**names, **layering, **facts, "customisation_layer": str(tmp_path / "custom")}

    def plan(limits, sizes):
        paths = [tmp_path / f"{number:032}-p" for number in range(len(sizes))]
        for path, size in zip(paths, sizes, strict=True):
            path.mkdir(exist_ok=True)
            (path / "file").touch()
            os.truncate(path / "file", size)
        graph = [{"path": str(p), "narSize": 1, "narHash": "", "references": []} for p in paths]
        done = build("store_layers", limits, debug=False, closure=graph, **given)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "out").read_bytes()

    return plan


def test_few_open_files_are_enough_for_many_that_wait_for_the_hash(plan_store):
    sizes = [4 * LIMIT] * 30
    assert plan_store({resource.RLIMIT_NOFILE: 16}, sizes) == plan_store({}, sizes)


def test_a_large_file_takes_little_memory(plan_store):
    sizes = [1 << 30]
    assert plan_store({resource.RLIMIT_AS: 200 << 20}, sizes) == plan_store({}, sizes)


def test_memory(build, tmp_path):
    path = tmp_path / "base.tar"
    document = b'{"a": [' + b"[],[]," * 1_300_000 + b"[]]}"
    path.write_bytes(tar([("c.json", document), ("manifest.json", b'[{"Config": "c.json"}]')]))
    arguments = {"from_image": str(path), "architecture": "amd64"}
    names = dict.fromkeys(("from_image_name", "from_image_tag", "variant"))
    done = build("base_image", {resource.RLIMIT_AS: 150 << 20}, **arguments, **names)
    one_line(done, "there is not enough memory; give it more memory")
