"""Several images in one archive."""

import io
import json
import tarfile

import pytest

from builders.console.errors import UserError
from builders.formats.image_reader import read_images
from builders.formats.several_images import Source, write_merged
from builders.tar.sinks import FileSink
from tests.unit.archives import (
    COMPRESSORS,
    config,
    dump,
    entry,
    layer,
    oci_image,
    oci_members,
    plain_members,
    saved_members,
    sha256,
    tar,
)

ONE, TWO, THREE = layer("one"), layer("two"), layer("three")


def archive(images):
    """An archive of `images`, (layers, repo tags, more of the configuration) each."""
    members, entries = {}, []
    for layers, repo_tags, more in images:
        *files, (name, document), _ = plain_members(layers, **more)
        members |= dict([*files, (name, document)])
        entries.append(entry(name, [name for name, _ in files], repo_tags))
    return tar([*members.items(), ("manifest.json", dump(entries))])


def image(layers, *repo_tags, **more):
    return archive([(layers, repo_tags, more)])


@pytest.fixture
def merge(tmp_path):
    """The members of what archives are merged into, and the bytes of it."""

    def write(*archives, architecture="amd64"):
        sources = []
        for number, data in enumerate(archives):
            path = tmp_path / f"{number}.tar"
            path.write_bytes(data)
            images = read_images(str(path), what=f"image {number}", architecture=architecture)
            sources.append(Source(what=f"image {number}", images=images))
        out = tmp_path / "out.tar"
        with out.open("wb", buffering=0) as file:
            sink = FileSink(file.fileno())
            write_merged(sink, sources, mtime=5)
            sink.flush()
        return out.read_bytes()

    return write


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return [(member.name, found.extractfile(member).read()) for member in found]


def manifest(data):
    """Tags and the contents of layers of each image."""
    files = dict(members(data))
    return [
        (image["RepoTags"], [files[name] for name in image["Layers"]])
        for image in json.loads(files["manifest.json"])
    ]


def test_images_come_in_order_and_a_shared_layer_once(merge):
    data = merge(image([ONE, TWO], "a:1"), image([ONE, THREE], "b:1"))
    assert manifest(data) == [(["a:1"], [ONE, TWO]), (["b:1"], [ONE, THREE])]
    names = [name for name, _ in members(data)]
    assert names[:3] == [f"{sha256(layer)}/layer.tar" for layer in (ONE, TWO, THREE)]
    assert len(names) == len(set(names)) == 6


def test_configurations_keep_their_bytes_and_so_images_their_ids(merge):
    document = dump(config([ONE], author="someone"))
    data = merge(image([ONE], "a:1", author="someone"), image([TWO], "b:1"))
    assert dict(members(data))[f"{sha256(document)}.json"] == document


def test_headers_say_nothing_of_the_machine(merge):
    with tarfile.open(fileobj=io.BytesIO(merge(image([ONE], "a:1")))) as found:
        for member in found:
            assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 5)
            assert (member.uname, member.gname) == ("", "")


def test_several_images_in_one_input_are_all_kept(merge):
    several = archive([([ONE], ["a:1"], {}), ([ONE, TWO], ["b:1", "b:2"], {})])
    assert manifest(merge(several, image([THREE], "c:1"))) == [
        (["a:1"], [ONE]),
        (["b:1", "b:2"], [ONE, TWO]),
        (["c:1"], [THREE]),
    ]


@pytest.mark.parametrize("first", COMPRESSORS)
@pytest.mark.parametrize("second", ["none", "gz"])
def test_compressed_archives_give_the_same_bytes(merge, first, second):
    archives = image([ONE, TWO], "a:1"), image([THREE, ONE], "b:1")
    expected = merge(*archives)
    assert merge(COMPRESSORS[first](archives[0]), COMPRESSORS[second](archives[1])) == expected


def test_every_form_of_archive_is_taken(merge):
    named = {"annotations": {"org.opencontainers.image.ref.name": "oci:1"}}
    stored = [COMPRESSORS["gz"](THREE)]
    data = merge(
        tar(saved_members([ONE, TWO])),
        tar(oci_members([(oci_image([THREE], stored=stored), named)])),
    )
    # A layer that is compressed by itself stays so.
    assert manifest(data) == [(["base:1"], [ONE, TWO]), (["oci:1"], stored)]


def test_of_several_architectures_one_is_taken(merge):
    name = {"annotations": {"org.opencontainers.image.ref.name": "oci:1"}}
    data = tar(
        oci_members([(oci_image([ONE]), name), (oci_image([TWO], architecture="arm64"), name)])
    )
    assert manifest(merge(data, architecture="arm64")) == [(["oci:1"], [TWO])]
    with pytest.raises(UserError, match="image 0 holds several images: oci:1, oci:1"):
        merge(data, architecture="riscv64")


def test_the_later_image_gets_a_name_that_two_have(merge, capsys):
    data = merge(image([ONE], "a:1", "a:2"), image([TWO], "docker.io/library/a:1"))
    assert manifest(data) == [(["a:2"], [ONE]), (["docker.io/library/a:1"], [TWO])]
    warning = "warning: docker.io/library/a:1 is the name of two images; it goes to"
    assert capsys.readouterr().err == f"{warning} the one in image 1\n"


def test_an_image_that_loses_its_only_name_stays_without_one(merge):
    assert manifest(merge(image([ONE], "a:1"), image([TWO], "a:1"))) == [
        ([], [ONE]),
        (["a:1"], [TWO]),
    ]


def test_the_same_image_twice_is_there_once_with_all_names(merge, capsys):
    data = merge(image([ONE], "a:1"), image([ONE], "a:1", "b:1"))
    assert manifest(data) == [(["a:1", "b:1"], [ONE])]
    assert not capsys.readouterr().err


def test_a_tag_without_a_name_is_no_name(merge, capsys):
    alone = {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    data = merge(tar(oci_members([(oci_image([ONE]), alone)])))
    assert manifest(data) == [([], [ONE])]
    assert "has the tag latest, but no name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"no archive at all" * 99, "image 1 is no tarball"),
        (b"", "image 1 is an empty file"),
        (tar([("etc/passwd", b"")]), "image 1 has no manifest.json"),
        (image([TWO], "b:1")[:2000], "image 1"),
    ],
)
def test_a_bad_image_is_named(merge, bad, words):
    with pytest.raises(UserError, match=words):
        merge(image([ONE], "a:1"), bad)


@pytest.mark.parametrize("name", ["a b:1", "\x1b[2J:1", "é:1", "-a:1", "a\n:1", "a" * 400 + ":1"])
def test_a_name_that_no_engine_takes_is_left_out_with_a_warning(merge, capsys, name):
    with tarfile.open(fileobj=io.BytesIO(merge(image([ONE], name, "b:1")))) as merged:
        (found,) = json.load(merged.extractfile("manifest.json"))
    assert found["RepoTags"] == ["b:1"]
    said = capsys.readouterr().err
    assert said.startswith("warning: an image in image 0 has the name ")
    assert said.endswith(", which no engine takes\n")
    assert said.count("\n") == 1
    assert "\x1b" not in said
