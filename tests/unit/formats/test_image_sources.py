"""What a path may lead to: plans, documents, scripts, archives and layouts."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import OpenImage, OpenIndex
from builders.console.errors import UserError
from builders.formats.image_sources import Reading, read_source
from builders.layers.resources import Resources
from tests.unit.plans import make_plan
from tests.unit.support import Collected

READING = Reading(compression=None, architecture="amd64", jobs=2, hint="hint")
OCI = "application/vnd.oci.image"


def read_image(path, reading=READING):
    """The image at a path, with its name and tag."""
    found = read_source(str(path), reading)
    assert isinstance(found.source, OpenImage)
    return found.source, f"{found.name}:{found.tag}"


def descriptor(kind, data, **others):
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": f"{OCI}.{kind}", "digest": digest, "size": len(data), **others}


def layout(*, several=False, name="app:1"):
    """Return the files of an image layout of one image, or of an index of two."""
    files = {}

    def add(kind, data, **others):
        found = descriptor(kind, data, **others)
        files[f"blobs/sha256/{found['digest'][7:]}"] = data
        return found

    layer = add("layer.v1.tar+gzip", gzip.compress(b"not even a tar", mtime=0))
    images = []
    for architecture in ("amd64", "arm64")[: 1 + several]:
        config = add(
            "config.v1+json", json.dumps({"architecture": architecture, "os": "linux"}).encode()
        )
        manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
        platform = {"os": "linux", "architecture": architecture}
        images.append(add("manifest.v1+json", json.dumps(manifest).encode(), platform=platform))
    top = images[0]
    if several:
        top = add("index.v1+json", json.dumps({"schemaVersion": 2, "manifests": images}).encode())
    top["annotations"] = {"org.opencontainers.image.ref.name": name}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    return files


def as_directory(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_archive(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def written(content):
    sink = Collected()
    with Resources(helpers=0) as resources:
        content.write(sink, resources)
    return sink.data


def test_a_plan_is_an_image_whose_layers_are_open(tmp_path):
    plan = make_plan(tmp_path)
    (tmp_path / "conf.json").write_text(plan.to_json())
    image, name = read_image(tmp_path / "conf.json")
    assert name == "test:tag"
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in plan.layers]
    assert {layer.descriptor for layer in image.layers} == {None}
    zstd = Reading(LayerCompression("zstd"), "amd64", 2, "hint")
    image, _ = read_image(tmp_path / "conf.json", zstd)
    assert image.layers[0].media_type == f"{OCI}.layer.v1.tar+zstd"


def document(tmp_path, **others):
    (tmp_path / "conf.json").write_text(make_plan(tmp_path).to_json())
    image = {
        "name": "app",
        "plan": str(tmp_path / "conf.json"),
        "compressor": "zstd",
        "compression_level": 1,
        "annotations": {"a": "b"},
        "blobs": str(tmp_path / "never-built"),
    }
    data = {"images": [image], "indexAnnotations": None, "name": "app", "tag": "1", **others}
    (tmp_path / "image.json").write_text(json.dumps(data))
    return str(tmp_path / "image.json")


def test_a_document_says_how_layers_are_compressed(tmp_path):
    image, name = read_image(document(tmp_path))
    assert name == "app:1"
    assert "level 1" in image.layers[0].compressor


def test_a_document_of_several_images_is_an_index(tmp_path):
    found = read_source(document(tmp_path, indexAnnotations={"c": "d"}), READING)
    assert isinstance(found.source, OpenIndex)


def test_a_stream_script_leads_to_its_plan(tmp_path):
    (tmp_path / "conf.json").write_text(make_plan(tmp_path).to_json())
    script = tmp_path / "stream"
    script.write_text(
        "#!/bin/sh\nLONGSHORE_PROGRAM=stream-x exec /p/python3 -I /l/builders stream "
        f'{tmp_path}/conf.json "$@"\n'
    )
    assert read_source(str(script), READING).name == "test"


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", ["directory", "archive", "compressed archive"])
def test_a_layout_stays_byte_for_byte(kind, several, tmp_path):
    files = layout(several=several)
    if kind == "directory":
        path = as_directory(tmp_path, files)
    else:
        mode = "w:gz" if kind == "compressed archive" else "w"
        path = as_archive(tmp_path / "image.tar", files, mode)
    found = read_source(str(path), READING)
    assert (found.name, found.tag) == ("app", "1")
    closed = [image.close(()) for image in found.source.images]
    top = closed[0].top
    if isinstance(found.source, OpenIndex):
        top = found.source.close(closed).top
    assert several == isinstance(found.source, OpenIndex)
    for blob in (top, *(image.manifest for image in closed)):
        assert files[f"blobs/sha256/{blob.descriptor.hexadecimal}"] == written(blob.content)
    (layer,) = found.source.images[0].layers
    assert written(layer.content) == files[f"blobs/sha256/{layer.descriptor.hexadecimal}"]
    assert layer.format is None


def test_no_layer_of_an_archive_is_read_for_that(tmp_path):
    path = as_archive(tmp_path / "image.tar", layout())
    data = bytearray(path.read_bytes())
    start = data.index(gzip.compress(b"not even a tar", mtime=0))
    data[start + 20] ^= 1
    path.write_bytes(data)
    assert read_image(path)[0].layers


def docker_archive(path, layer, mode="w"):
    diff_id = hashlib.sha256(layer).hexdigest()
    config = {"architecture": "arm64", "os": "linux", "rootfs": {"diff_ids": [f"sha256:{diff_id}"]}}
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "c.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return as_archive(path, files, mode), files["c.json"]


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"))
    return out.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_plain_layers_of_a_docker_archive_are_compressed_and_its_configuration_stays(
    mode, tmp_path
):
    path, config = docker_archive(tmp_path / "image.tar", tar(), mode)
    image, name = read_image(path)
    assert name == "app:1"
    assert image.config == config
    assert str(image.platform) == "linux/arm64"
    (layer,) = image.layers
    assert layer.descriptor is None
    assert layer.media_type == f"{OCI}.layer.v1.tar+gzip"
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar()).hexdigest()}"
    assert written(layer.content) == tar()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "is a directory, and not an image layout"),
        (lambda path: path / "missing", "No such file or directory; build it, or name another"),
        (lambda path: write(path, b""), "is an empty file"),
        (lambda path: write(path, b"{"), "is no image plan"),
        (lambda path: write(path, b'{"images": [{}]}'), "is no image plan of this version"),
        (lambda path: write(path, b'{"a": 1}'), "is no image plan of this version"),
        (lambda path: write(path, b'{"name": 5, "tag": "x"}'), "of this version.*5 is no text"),
        (lambda path: write(path, b'{"name": "x", "tag": []}'), "of this version.*is no text"),
        (lambda path: write(path, b"#!/bin/sh\necho\n"), "not one that streams an image"),
        (lambda path: write(path, b"#!/bin/sh\necho '\n"), "not one that streams an image"),
        (lambda path: write(path, b"PK\x03\x04"), "it is a zip archive"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(make, said, tmp_path):
    with pytest.raises(UserError, match=said) as found:
        read_source(str(make(tmp_path)), READING)
    assert "\n" not in str(found.value)


def test_a_plan_that_is_gone_is_named(tmp_path):
    path = document(tmp_path)
    (tmp_path / "conf.json").unlink()
    with pytest.raises(
        UserError, match=f"can't read {tmp_path}/conf.json, which .* needs: No such"
    ):
        read_source(path, READING)


def write(path, data):
    (path / "file").write_bytes(data)
    return path / "file"


@pytest.mark.parametrize("kind", [as_directory, as_archive])
def test_layers_of_a_layout_name_the_file_that_they_are_read_from(kind, tmp_path):
    files = layout()
    path = kind(tmp_path / "image", files)
    image, _ = read_image(path)
    (layer,) = image.layers
    blob = f"blobs/sha256/{layer.descriptor.hexadecimal}"
    assert layer.needs == (str(path / blob if path.is_dir() else path),)


def test_a_layout_whose_documents_have_other_digests_is_refused(tmp_path):
    files = layout()
    for name in list(files):
        if name.startswith("blobs/") and files[name][:1] == b"{":
            files[name] += b" "
    with pytest.raises(UserError, match="is not what its name says"):
        read_source(str(as_directory(tmp_path / "d", files)), READING)
    with pytest.raises(UserError, match="is not what its name says"):
        read_source(str(as_archive(tmp_path / "a.tar", files)), READING)
