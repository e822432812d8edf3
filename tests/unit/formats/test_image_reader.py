"""Base images are read in every form they come in, and never only in part."""

import io
import json
import os
import tarfile
from dataclasses import asdict

import pytest

from builders.blobs.descriptors import INDEX_TYPE, MANIFEST_TYPE
from builders.compression import streams
from builders.compression.readers import CHUNK
from builders.console.errors import UserError
from builders.formats import documents, image_reader
from builders.formats import image_archive as files
from builders.image.layer_kinds import StoredBytes, layer_from_json
from builders.layers.archived import ArchiveReader
from tests.unit.archives import (
    COMPRESSORS,
    blob,
    config,
    descriptor,
    dump,
    entry,
    layer,
    layer_of,
    link,
    oci_image,
    oci_members,
    plain_members,
    saved_members,
    sha256,
    sparse,
    tar,
)
from tests.unit.support import deadline, read_base

LOWER = layer("lower")
UPPER = layer("upper", 3000)
LAYERS = [LOWER, UPPER]
DIFF_IDS = [f"sha256:{sha256(data)}" for data in LAYERS]


@pytest.fixture
def write(tmp_path):
    """Writes an archive and returns its path."""

    def write(data):
        path = tmp_path / "base.tar"
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture
def read(write):
    def read(data, **arguments):
        return read_base(write(data), **arguments)

    return read


def both(data):
    """The archive `data` as it is and compressed: two different readers."""
    return [data, COMPRESSORS["gz"](data)]


def contents(image, layers=None):
    """The stored bytes of each layer, as the streaming of an image reads them."""
    chosen = image.layers if layers is None else layers
    with ArchiveReader(image.path, image.compression, what=f"fromImage {image.path}") as archive:
        return [
            b"".join(archive.chunks(base.offset, base.stored.size, name=base.name))
            for base in chosen
        ]


def refused(read, data, *words, **arguments):
    """Check that `data` is refused, plain or compressed, with one line that says `words`."""
    for form in both(data):
        with pytest.raises(UserError) as caught:
            read(form, **arguments)
        message = str(caught.value)
        assert message.startswith(("fromImage /", "can't read fromImage /"))
        assert "\n" not in message
        for word in words:
            assert word in message


# Forms


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_image_of_our_own_is_read_under_every_compression(read, compression, jobs):
    image = read(COMPRESSORS[compression](tar(plain_members(LAYERS), mode=0o640)), jobs=jobs)
    assert image.compression == compression
    assert [base.diff_id for base in image.layers] == DIFF_IDS
    assert [base.stored.size for base in image.layers] == [len(LOWER), len(UPPER)]
    assert [base.size for base in image.layers] == [len(LOWER), len(UPPER)]
    assert [base.name for base in image.layers] == [f"{sha256(data)}/layer.tar" for data in LAYERS]
    assert image.config["config"] == {"Env": ["PATH=/bin"]}
    assert image.repo_tags == ("base:1",)
    assert contents(image) == LAYERS


def test_what_docker_25_saves_is_read(read):
    for form in both(tar(saved_members(LAYERS))):
        image = read(form)
        assert [base.diff_id for base in image.layers] == DIFF_IDS
        assert image.layers[0].name == f"blobs/sha256/{sha256(LOWER)}"
        assert contents(image) == LAYERS


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_layers_may_be_compressed_in_the_archive_and_stay_so(read, compression):
    stored = [COMPRESSORS[compression](data) for data in LAYERS]
    for form in both(tar(saved_members(LAYERS, stored=stored))):
        image = read(form)
        assert [base.diff_id for base in image.layers] == DIFF_IDS
        assert [base.stored.size for base in image.layers] == [len(data) for data in stored]
        assert [base.size for base in image.layers] == [len(LOWER), len(UPPER)]
        assert contents(image) == stored


def test_what_skopeo_writes_is_read(read):
    document = dump(config(LAYERS))
    members = [
        *((f"{sha256(data)}.tar", data) for data in LAYERS),
        *((f"id{n}/layer.tar", link(f"../{sha256(data)}.tar")) for n, data in enumerate(LAYERS)),
        (f"{sha256(document)}.json", document),
    ]
    real = [f"{sha256(data)}.tar" for data in LAYERS]
    for names in (real, ["id0/layer.tar", "id1/layer.tar"]):
        manifest = dump([entry(f"{sha256(document)}.json", names)])
        for form in both(tar([*members, ("manifest.json", manifest)])):
            image = read(form)
            assert [base.name for base in image.layers] == names
            assert contents(image) == LAYERS


def test_what_build_image_of_nixpkgs_writes_is_read(read):
    members = [("", link("", tarfile.DIRTYPE)), ("ab", link("", tarfile.DIRTYPE))]
    members += [*plain_members(LAYERS), ("repositories", b"{}")]
    for form in both(tar(members, prefix="./", format=tarfile.GNU_FORMAT)):
        image = read(form)
        assert image.layers[1].name == f"{sha256(UPPER)}/layer.tar"
        assert contents(image) == LAYERS


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_layer_that_comes_again_as_a_link_is_one_member(read, kind):
    document = dump(config([LOWER, UPPER, LOWER]))
    target = "../a/layer.tar" if kind == tarfile.SYMTYPE else "./a/layer.tar"
    names = ["a/layer.tar", "b/layer.tar", "c/layer.tar"]
    members = [
        ("c/layer.tar", link(target, kind)),
        ("b/layer.tar", UPPER),
        ("a/layer.tar", LOWER),
        ("config.json", document),
        ("manifest.json", dump([entry("config.json", names)])),
    ]
    for form in both(tar(members)):
        image = read(form)
        assert [base.name for base in image.layers] == [*names[:2], "a/layer.tar"]
        assert image.layers[0] == image.layers[2]
        assert [base.diff_id for base in image.layers] == [*DIFF_IDS, DIFF_IDS[0]]


def test_a_layer_is_hashed_once_however_often_it_comes(read, monkeypatch):
    hashed = []
    digest_layer = files.digest_layer  # type: ignore[attr-defined]
    monkeypatch.setattr(
        files,
        "digest_layer",
        lambda source, *, what: hashed.append(what) or digest_layer(source, what=what),
    )
    read(tar(plain_members([LOWER, UPPER, LOWER, LOWER])))
    assert len(hashed) == 2


def test_the_facts_of_a_header_are_kept(read):
    facts = {"mode": 0o640, "mtime": 77, "uid": 5, "gid": 6, "uname": "käthe", "gname": "g"}
    for form in both(tar(plain_members([LOWER]), **facts)):
        assert facts.items() <= asdict(read(form).layers[0]).items()


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read(read, format):
    name = "d" * 90 + "/" + "f" * 90
    document = dump(config([LOWER]))
    members = [
        (name, LOWER),
        ("c" * 100, document),
        ("manifest.json", dump([entry("c" * 100, [name])])),
    ]
    for form in both(tar(members, format=format)):
        assert read(form).layers[0].name == name


def test_large_numbers_and_fractions_of_seconds_are_read(read):
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        image = read(tar(plain_members([LOWER]), uid=1 << 40, mtime=-5, format=format))
        assert (image.layers[0].uid, image.layers[0].mtime) == (1 << 40, -5)
    assert read(tar(plain_members([LOWER]), mtime=1234.5)).layers[0].mtime == 1234


def test_a_global_pax_header_and_unknown_members_are_passed_over(read):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", pax_headers={"comment": "ü"}) as file:
        fifo = tarfile.TarInfo("fifo")
        fifo.type = tarfile.FIFOTYPE
        file.addfile(fifo)
    data = out.getvalue().rstrip(b"\0")
    data += bytes(-len(data) % 512) + tar(plain_members(LAYERS))
    for form in both(data):
        assert contents(read(form)) == LAYERS


def test_the_last_member_of_a_name_counts(read):
    members = plain_members(LAYERS)
    stale = [("manifest.json", b"stale"), (members[0][0], UPPER)]
    for form in both(tar([*stale, *members])):
        assert contents(read(form)) == LAYERS


def test_an_image_without_layers_config_or_env_is_an_image(read):
    for container in (None, {}, {"Env": None}):
        members = plain_members([], config=container)
        assert read(tar(members)).layers == ()
    members = [
        ("c.json", b'{"architecture": "amd64"}'),
        ("manifest.json", b'[{"Config": "c.json", "RepoTags": null, "Layers": null}]'),
    ]
    for form in both(tar(members)):
        image = read(form)
        assert (image.layers, image.repo_tags) == ((), ())


# Choosing one of several images


@pytest.fixture
def several(write):
    """An archive of two images: base:1 of LOWER, and docker.io/library/other:2 of UPPER."""
    members, entries = [], []
    for data, repo_tag in ((LOWER, "base:1"), (UPPER, "docker.io/library/other:2")):
        *files, (name, document), _ = plain_members([data])
        members += [*files, (name, document)]
        entries.append(entry(name, [files[0][0]], [repo_tag]))
    return write(tar([*members, ("manifest.json", dump(entries))]))


@pytest.mark.parametrize(
    ("name", "tag", "number"),
    [
        ("base", "1", 0),
        ("other", "2", 1),
        ("docker.io/library/other", "2", 1),
        ("docker.io/library/base", "1", 0),
        (None, None, 0),
    ],
)
def test_name_and_tag_choose_an_image(several, name, tag, number):
    image = read_base(several, name=name, tag=tag)
    assert [base.diff_id for base in image.layers] == [DIFF_IDS[number]]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"name": "other"}, "fromImageName is given without fromImageTag; it holds base:1"),
        ({"tag": "2"}, "fromImageTag is given without fromImageName; it holds base:1"),
    ],
)
def test_a_name_without_a_tag_lists_what_the_archive_has(several, choice, words):
    with pytest.raises(UserError, match=words):
        read_base(several, **choice)


@pytest.mark.parametrize(("name", "tag"), [("base", "2"), ("absent", "1")])
def test_a_pair_that_the_archive_lacks_lists_what_it_has(several, name, tag):
    with pytest.raises(UserError, match=f"no image {name}:{tag}, only base:1, .*other:2"):
        read_base(several, name=name, tag=tag)


def test_an_oci_archive_of_one_image_is_read(read):
    stored = [COMPRESSORS["gz"](LOWER), COMPRESSORS["zstd"](UPPER)]
    members = oci_members([(oci_image(LAYERS, stored=stored), {})])
    for form in both(tar(members)):
        image = read(form)
        assert [base.diff_id for base in image.layers] == DIFF_IDS
        assert contents(image) == stored
        assert read(form, architecture="riscv64").layers == image.layers


def reference(name):
    return {"annotations": {"org.opencontainers.image.ref.name": name}}


def test_an_oci_archive_of_several_images_asks_for_a_choice(read):
    first = oci_image([LOWER])
    second = oci_image([UPPER], architecture="arm64")
    data = tar(oci_members([(first, reference("base:1")), (second, reference("other:2"))]))
    for form in both(data):
        assert read(form, name="other", tag="2").layers[0].diff_id == DIFF_IDS[1]
        assert read(form, name="Other", tag="2").layers[0].diff_id == DIFF_IDS[1]
        assert read(form, name="other", tag="2").repo_tags == ("other:2",)
        assert read(form, architecture="amd64").layers[0].diff_id == DIFF_IDS[0]
    refused(read, data, "holds several images: base:1, other:2", "fromImageTag")
    refused(read, data, "no image base:2, only base:1, other:2", name="base", tag="2")


OCI_LAYER = "application/vnd.oci.image.layer"
DOCKER_LAYER = "application/vnd.docker.image.rootfs"


@pytest.mark.parametrize(
    "layer_type",
    [
        f"{OCI_LAYER}.v1.tar",
        f"{OCI_LAYER}.v1.tar+gzip",
        f"{OCI_LAYER}.v1.tar+zstd",
        f"{DOCKER_LAYER}.diff.tar",
        f"{DOCKER_LAYER}.diff.tar.gzip",
        f"{DOCKER_LAYER}.diff.tar.zstd",
    ],
)
def test_layers_of_every_type_that_images_have_are_taken(read, layer_type):
    data = tar(oci_members([(oci_image([LOWER], layer_type=layer_type), {})]))
    assert read(data).layers[0].diff_id == DIFF_IDS[0]


@pytest.mark.parametrize(
    ("layer_type", "reason", "hint"),
    [
        (
            f"{OCI_LAYER}.nondistributable.v1.tar+gzip",
            "which is kept outside of registries",
            "all its",
        ),
        (f"{DOCKER_LAYER}.foreign.diff.tar.gzip", "which is kept outside of registries", "all its"),
        (f"{OCI_LAYER}.v1.tar+gzip+encrypted", "which is no layer of files", "gzip or zstd"),
        ("application/vnd.in-toto+json", "which is no layer of files", "gzip or zstd"),
        ("", "which is no layer of files", "gzip or zstd"),
    ],
)
def test_layers_of_other_types_are_refused(read, layer_type, reason, hint):
    data = tar(oci_members([(oci_image([LOWER], layer_type=layer_type), {})]))
    refused(read, data, f"layers[0] is of the type {layer_type}, {reason}", hint)


def test_a_tag_alone_in_an_oci_index_goes_with_any_name(read):
    data = tar(
        oci_members([(oci_image([LOWER]), reference("1")), (oci_image([UPPER]), reference("2"))])
    )
    assert read(data, name="whatever", tag="2").layers[0].diff_id == DIFF_IDS[1]


def a_layout_of(*platforms, with_manifest):
    """An archive of one name for images of several platforms, of each the layer of its number."""
    images = [
        oci_image([layer(f"of{number}")], **platform) for number, platform in enumerate(platforms)
    ]
    inner = dump(
        {
            "manifests": [
                descriptor(image[-1][1], MANIFEST_TYPE, platform=platform)
                for image, platform in zip(images, platforms, strict=True)
            ]
        }
    )
    # manifest.json can name only one of them.
    (first_layer, _), (first_config, _), _ = images[0]
    manifest = [("manifest.json", dump([entry(first_config, [first_layer])]))]
    return tar(
        [
            *dict(pair for image in images for pair in image).items(),
            blob(inner),
            ("oci-layout", b"{}"),
            (
                "index.json",
                dump({"manifests": [descriptor(inner, INDEX_TYPE, **reference("base:1"))]}),
            ),
            *manifest[:with_manifest],
        ]
    )


def platform(architecture, variant=None, os="linux"):
    return {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize(
    ("platforms", "wanted", "number"),
    [
        ([platform("arm", "v6"), platform("arm", "v7")], ("arm", "v7"), 1),
        ([platform("arm", "v7"), platform("arm", "v6")], ("arm", "v6"), 1),
        ([platform("arm", "v5"), platform("arm", "v7")], ("arm", None), 1),
        ([platform("amd64", "v3"), platform("amd64")], ("amd64", None), 1),
        ([platform("amd64"), platform("amd64", "v3"), platform("arm64")], ("amd64", "v4"), 1),
        ([platform("amd64", os="windows"), platform("amd64")], ("amd64", None), 1),
    ],
)
def test_variant_and_system_decide_between_images_of_one_architecture(
    read, platforms, wanted, number, with_manifest
):
    data = a_layout_of(*platforms, with_manifest=with_manifest)
    architecture, variant = wanted
    image = read(data, architecture=architecture, variant=variant)
    assert contents(image) == [layer(f"of{number}")]


def test_images_of_other_platforms_alone_are_several(read):
    data = a_layout_of(platform("arm", "v6"), platform("arm", "v7"), with_manifest=False)
    with pytest.raises(UserError, match=r"several images: base:1 \(arm/v6\), base:1 \(arm/v7\)"):
        read(data, architecture="arm", variant="v5")


def test_an_index_within_the_index_and_attestations_are_understood(read):
    images = [oci_image([LOWER]), oci_image([UPPER], architecture="arm64")]
    media_type = "application/vnd.oci.image.manifest.v1+json"
    attestation = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    inner = dump(
        {
            "manifests": [
                descriptor(images[0][-1][1], media_type, platform={"architecture": "amd64"}),
                descriptor(images[1][-1][1], media_type, platform={"architecture": "arm64"}),
                descriptor(b"attestation", media_type, **attestation),
            ]
        }
    )
    index_type = "application/vnd.oci.image.index.v1+json"
    members = [
        *(pair for image in images for pair in image),
        blob(inner),
        ("oci-layout", b"{}"),
        ("index.json", dump({"manifests": [descriptor(inner, index_type, **reference("b:1"))]})),
    ]
    image = read(tar(members), architecture="arm64")
    assert image.layers[0].diff_id == DIFF_IDS[1]
    assert image.repo_tags == ("b:1",)
    refused(read, tar(members), "several images: b:1 (amd64), b:1 (arm64)")
    # One platform of the two was exported.
    missing = [member for member in members if member not in images[0]]
    assert read(tar(missing)).layers[0].diff_id == DIFF_IDS[1]


# Cut off


@pytest.mark.parametrize("make", [plain_members, saved_members])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_archive_cut_off_anywhere_is_refused(read, make, reverse):
    members = make(LAYERS)
    if reverse:
        members.reverse()
    data = tar(members)
    end = len(data.rstrip(b"\0")) if not reverse else _end_of_last_content(data)
    whole = read(data)
    for boundary in range(0, end + 1024, 512):
        for length in (boundary - 1, boundary, boundary + 1):
            if length < 0:
                continue
            if length < end:
                with pytest.raises(UserError) as caught:
                    read(data[:length])
                assert not length or "cut off" in str(caught.value) or length < 512
            else:
                assert read(data[:length]) == whole


def _end_of_last_content(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        last = file.getmembers()[-1]
    return last.offset_data + last.size


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name != "none"])
def test_a_compressed_archive_cut_off_anywhere_is_refused(read, compression):
    data = COMPRESSORS[compression](tar(plain_members(LAYERS)))
    for length in {*range(0, len(data), 97), *range(len(data) - 20, len(data))}:
        with pytest.raises(UserError):
            read(data[:length])


def test_a_cut_archive_that_was_compressed_afterwards_is_refused(read):
    data = tar(plain_members(LAYERS))
    with pytest.raises(UserError, match=r"is cut off after 3000 bytes, within its member"):
        read(COMPRESSORS["zstd"](data[:3000]))


# Damaged


def test_a_damaged_header_in_the_middle_is_no_end(read):
    data = bytearray(tar(plain_members(LAYERS)))
    second = 512 + len(LOWER)
    data[second + 20] ^= 0xFF
    refused(read, bytes(data), "is damaged", str(second + 512))
    data[second : second + 512] = bytes(512)
    refused(read, bytes(data), "is damaged", "more follows")


@pytest.mark.parametrize("compression", [name for name in COMPRESSORS if name != "none"])
def test_a_damaged_compressed_archive_is_refused(read, compression):
    data = bytearray(COMPRESSORS[compression](tar(plain_members([layer("x"), os.urandom(5000)]))))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(UserError):
        read(bytes(data))


def test_damage_behind_the_last_member_of_a_compressed_archive_is_noticed(read):
    data = bytearray(COMPRESSORS["gz"](tar(plain_members(LAYERS))))
    data[-6] ^= 0xFF  # in the checksum
    with pytest.raises(UserError, match="is damaged"):
        read(bytes(data))


@pytest.mark.parametrize("record", [b"8 path=x\n", b"x path=x\n", b"99 path=x\n", b"5\n", b"0 =\n"])
def test_a_bad_pax_record_is_refused(read, record):
    extension = tarfile.TarInfo("x")
    extension.type = tarfile.XHDTYPE
    extension.size = len(record)
    data = extension.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    refused(read, data + tar(plain_members(LAYERS)), "is damaged", "bad pax record")


def test_an_extension_that_claims_to_be_huge_is_refused(read):
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        extension = tarfile.TarInfo("x")
        extension.type = kind
        extension.size = 1 << 40
        data = extension.tobuf(tarfile.GNU_FORMAT) + tar(plain_members(LAYERS))
        refused(read, data, "is damaged", "extension of 1099511627776 bytes")


def test_a_negative_size_is_refused(read):
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    refused(read, bytes(header) + bytes(1024), "is damaged", "negative size")


# No image


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"#!/bin/sh\necho\n" + bytes(600), "stream script"),
        (b"\x7fELF" + bytes(600), "ELF program"),
        (b"PK\x03\x04" + bytes(600), "zip"),
        (b"hsqs" + bytes(600), "squashfs"),
        (b"<!DOCTYPE html>" + b" " * 600, "HTML"),
        (b'\n{"a": 1}', "JSON file"),
        (b"\x04\x22\x4d\x18" + bytes(600), "lz4"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"nothing known " * 100, "docker save"),
        (b"short", "docker save"),
    ],
)
def test_what_is_no_tarball_is_recognised(read, data, words):
    refused(read, data, "is no tarball", words)


def test_an_empty_file_is_refused(read):
    with pytest.raises(UserError, match="is an empty file"):
        read(b"")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a directory"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path, make, words):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=f"fromImage {tmp_path}/x {words}"):
        read_base(tmp_path / "x")


def test_an_unpacked_oci_layout_is_told_to_be_packed(tmp_path):
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(UserError, match=f"is a directory.*tar -C {tmp_path} "):
        read_base(tmp_path)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("usr/bin/sh", b"x"), ("etc/passwd", b"x")], "docker export"),
        ([("image/manifest.json", b"[]"), ("image/x", b"x")], "tar -C image"),
        ([("repositories", b"{}"), ("ab/layer.tar", b"x")], "older than 1.10"),
        ([("oci-layout", b"{}")], "no index.json"),
        ([("index.json", b"{}")], "not of an image"),
        ([("some", b"file")], "not of an image"),
        ([], "empty tarball"),
    ],
)
def test_a_tarball_without_a_manifest_is_named_for_what_it_is(read, members, words):
    refused(read, tar(members), "has no manifest.json", words)


def test_a_tarball_of_very_many_files_is_no_image(read, monkeypatch):
    monkeypatch.setattr(files, "_MEMBERS_LIMIT", 5)
    refused(read, tar([(f"f{n}", b"") for n in range(6)]), "a file system, not an image")


# Lacking something


def without(members, name):
    return [member for member in members if member[0] != name]


@pytest.mark.parametrize("data", LAYERS)
def test_a_missing_layer_is_named(read, data):
    name = f"{sha256(data)}/layer.tar"
    refused(
        read,
        tar(without(plain_members(LAYERS), name)),
        f"manifest.json names layer {name}, which the archive does not hold",
        "docker save",
    )


def test_a_missing_configuration_is_named(read):
    members = plain_members(LAYERS)
    name = members[-2][0]
    refused(read, tar(without(members, name)), f"manifest.json names configuration {name}, which")


@pytest.mark.parametrize("number", range(4))
def test_a_missing_blob_of_an_oci_archive_is_named(read, number):
    members = oci_members([(oci_image(LAYERS), {})])
    refused(read, tar(without(members, members[number][0])), members[number][0], "not hold")


# Lies


def manifest_of(value):
    """The image of LAYERS with `value` for its manifest.json, where CONFIG is its configuration."""
    members = plain_members(LAYERS)
    text = json.dumps(value).replace("CONFIG", members[-2][0])
    return tar([*members[:-1], ("manifest.json", text.encode())])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "manifest.json should be a list and is {}"),
        (None, "manifest.json should be a list"),
        ([], "manifest.json names no image"),
        (["x"], 'manifest.json[0] should be an object and is "x"'),
        ([{}], "manifest.json[0]: Config should be a string and is missing"),
        ([{"Config": 1, "Layers": []}], "Config should be a string and is 1"),
        ([entry("CONFIG", []) | {"Layers": "x"}], "Layers should be a list of strings"),
        ([entry("CONFIG", [1])], "Layers should be a list of strings"),
        ([entry("CONFIG", []) | {"RepoTags": "x"}], "RepoTags should be a list of strings"),
        ([entry("CONFIG", [])], "names 0 layers, but rootfs.diff_ids"),
        ([entry("CONFIG", ["/a", "b"])], "names layer /a, which is not the name of a file"),
        ([entry("CONFIG", ["a/../../b", "b"])], "names layer a/../../b, which is not the name"),
        ([entry("CONFIG", ["", "b"])], "which is not the name"),
        ([entry("CONFIG", ["manifest.json", "CONFIG"])], "manifest.json names manifest.json as"),
        ([entry("../x", [])], "names configuration ../x, which is not the name"),
    ],
)
def test_a_manifest_of_a_wrong_shape_is_refused(read, value, words):
    refused(read, manifest_of(value), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[{\n  x", "manifest.json is not JSON (line 2 column 3"),
        (b"", "manifest.json is not JSON (line 1 column 1"),
        (b"no JSON", "manifest.json is not JSON"),
        (b"[" * 100_000, "manifest.json is not JSON (nested too deeply)"),
        (b'["\xff"]', "manifest.json is not JSON (byte 2 is not UTF-8)"),
        ('["x"]'.encode("utf-16"), "manifest.json is not JSON (byte 0 is not UTF-8)"),
        (b'\xef\xbb\xbf["x"]', "manifest.json is not JSON (line 1 column 1"),
        (b'["\\ud800"]', 'half a surrogate pair in "\\ud800"'),
        (b"[NaN]", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[1e999]", 'the number "1e999" is out of range'),
        (b"[" + b"9" * 5000 + b"]", "is out of range"),
        (b"[" * 900 + b"]" * 900, "nested too deeply"),
        (b'[{"Config": "a", "Config": "b"}]', 'the key "Config" is there twice in one object'),
    ],
)
def test_a_manifest_that_is_no_json_is_refused(read, text, words):
    members = [*plain_members(LAYERS)[:-1], ("manifest.json", text)]
    refused(read, tar(members), words)


@pytest.mark.parametrize(
    "value",
    [
        [entry("CONFIG", []) | {"layers": ["x"]}],
        [{"Config": "CONFIG", "RepoTags": [], "layers": []}],
        [entry("CONFIG", []) | {"Layer\u017f": ["x"]}],
        [entry("CONFIG", []) | {"config": "other.json"}],
        [entry("CONFIG", []) | {"repotags": ["other"]}],
    ],
)
def test_keys_that_engines_take_for_others_are_refused(read, value):
    refused(read, manifest_of(value), "manifest.json[0] has the key", "which engines take for")


def test_labels_may_differ_in_case_alone(read):
    labels = {"Maintainer": "a", "maintainer": "b"}
    image = read(config_of(dump(config(LAYERS, config={"Labels": labels}))))
    assert image.config["config"]["Labels"] == labels


def test_annotations_may_differ_in_case_alone(read):
    name = "org.opencontainers.image.ref.name"
    annotations = {name: "base:1", name.upper(): "other:1"}
    image = read(tar(oci_members([(oci_image(LAYERS), {"annotations": annotations})])))
    assert image.repo_tags == ("base:1",)


def test_a_json_document_of_absurd_size_is_not_read(read, monkeypatch):
    for module in (documents, files):
        monkeypatch.setattr(module, "DOCUMENT_LIMIT", 100)
    refused(read, tar(plain_members(LAYERS)), "more than the 100 that are read")


def test_a_compressed_archive_full_of_json_is_still_read(read, monkeypatch):
    monkeypatch.setattr(files, "_DOCUMENTS_LIMIT", 2000)
    image = tar([("manifest.json", b"[stale]"), *plain_members(LAYERS)])
    extra = tar([(f"f{n}.json", b"{" + b" " * 900) for n in range(9)], padded=False)
    data = image.rstrip(b"\0")
    data += bytes(-len(data) % 512) + extra
    assert contents(read(COMPRESSORS["gz"](data))) == LAYERS


def config_of(document):
    names = [name for name, _ in plain_members(LAYERS)[:2]]
    return tar(
        [
            *plain_members(LAYERS)[:2],
            ("config.json", document),
            ("manifest.json", dump([entry("config.json", names)])),
        ]
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"{", "config.json is not JSON (line 1"),
        (b"some text", "config.json is not JSON"),
        (b"[]", "config.json should be an object and is []"),
        (b"{}", "config.json: rootfs should be an object and is missing"),
        (b'{"rootfs": {}}', "names 2 layers, but rootfs.diff_ids of config.json has 0"),
        (b'{"rootfs": {"diff_ids": "x"}}', "diff_ids should be a list"),
        (b'{"rootfs": {"diff_ids": [1, 2]}}', "diff_ids[0] should be a string and is 1"),
        (b'{"rootfs": {"diff_ids": ["md5:a", "b"]}}', 'diff_ids[0] should be "sha256:" and 64'),
        (dump(config(LAYERS, config=[])), "config should be an object"),
        (dump(config(LAYERS, config={"Env": "A=b"})), "Env should be a list of strings"),
        (dump(config(LAYERS, history=3)), "history should be a list"),
        (dump(config(LAYERS, Config={})), "has both config and Config"),
        (dump(config(LAYERS, config={"Env": [], "ENV": []})), "config has both Env and ENV"),
        (dump(config(LAYERS, history=[{"EMPTY_layer": True}])), 'history[0] has the key "EMPTY_l'),
        (
            dump(config([*LAYERS, LOWER])),
            "names 2 layers, but rootfs.diff_ids of config.json has 3",
        ),
    ],
)
def test_a_configuration_of_a_wrong_shape_is_refused(read, document, words):
    refused(read, config_of(document), words)


def test_a_layer_that_is_not_the_one_described_is_refused(read):
    refused(
        read,
        config_of(dump(config([LOWER, LOWER]))),
        f"layer {sha256(UPPER)}/layer.tar is not the one that config.json describes",
        f"diff ID is {DIFF_IDS[1]}",
        f"rootfs.diff_ids says {DIFF_IDS[0]}",
    )


@pytest.mark.parametrize("compression", ["gz", "zstd", "xz", "bz2"])
def test_a_damaged_compressed_layer_is_named(read, compression):
    stored = COMPRESSORS[compression](UPPER)
    refused(
        read,
        tar(saved_members([LOWER, UPPER], stored=[LOWER, stored[:-3]])),
        f"layer blobs/sha256/{sha256(stored[:-3])} is cut off: its {compression} data",
    )


def test_damage_in_what_is_no_layer_of_the_image_does_not_matter(read):
    extra = [("other", COMPRESSORS["gz"](UPPER)[:-3])]
    for form in both(tar([*extra, *plain_members(LAYERS)])):
        assert contents(read(form)) == LAYERS


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_blob_that_its_name_lies_about_is_refused(read, number):
    stored = [COMPRESSORS["gz"](LOWER), UPPER]
    members = oci_members([(oci_image(LAYERS, stored=stored), {})])
    name, data = members[number]
    # Other bytes of the same meaning, where there are any.
    other = {0: COMPRESSORS["zstd"](LOWER), 1: LOWER}.get(number, b" " + data)
    members[number] = (name, other)
    refused(read, tar(members), name, "diff ID" if number == 1 else sha256(other))


def test_a_configuration_that_its_name_lies_about_is_refused(read):
    members = plain_members(LAYERS)
    name, document = members[-2]
    members[-2] = (name, document + b"\n")
    refused(read, tar(members), name, "is not what its name says", sha256(document + b"\n"))


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        ("../../etc/passwd", tarfile.SYMTYPE, "leads out of the archive"),
        ("/etc/passwd", tarfile.SYMTYPE, "leads out of the archive"),
        ("../x", tarfile.LNKTYPE, "leads out of the archive"),
        ("layer.tar", tarfile.SYMTYPE, "leads back to itself"),
        ("../back", tarfile.SYMTYPE, "leads back to itself"),
        ("nowhere", tarfile.SYMTYPE, "a link to a/nowhere, which the archive does not hold"),
        ("..", tarfile.SYMTYPE, "which is a directory"),
        ("", tarfile.DIRTYPE, "which is a directory"),
        ("", tarfile.FIFOTYPE, "which is a FIFO"),
    ],
)
def test_a_layer_that_is_a_bad_link_is_refused(read, target, kind, words):
    document = dump(config([LOWER]))
    members = [
        (".", link("", tarfile.DIRTYPE)),
        ("a/layer.tar", link(target, kind)),
        ("back", link("a/layer.tar")),
        ("config.json", document),
        ("manifest.json", dump([entry("config.json", ["a/layer.tar"])])),
    ]
    refused(read, tar(members), "manifest.json names layer a/layer.tar", words)


def test_a_sparse_layer_is_refused(read):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in plain_members([LOWER]):
            header = tarfile.TarInfo(name)
            if name.endswith("layer.tar"):
                header, data = sparse(name, data)
            header.size = len(data)
            file.addfile(header, io.BytesIO(data))
    refused(read, out.getvalue(), "which is a sparse file", "--sparse")


def test_layers_with_sparse_files_have_the_digest_of_their_bytes(read):
    layer = layer_of(sparse("s", b"data", size=5000))
    image = read(tar(plain_members([layer])))
    assert [found.diff_id for found in image.layers] == [f"sha256:{sha256(layer)}"]


# Bounds


def test_an_image_of_absurdly_many_layers_is_refused(read):
    name, data = f"{sha256(LOWER)}/layer.tar", LOWER
    document = dump(config([LOWER] * 1001))
    members = [(name, data), ("c.json", document)]
    manifest = dump([entry("c.json", [name] * 1001)])
    refused(read, tar([*members, ("manifest.json", manifest)]), "names 1001 layers, and no engine")


def test_a_layer_that_is_mentioned_very_often_is_refused_soon(read):
    name = f"{sha256(LOWER)}/layer.tar"
    manifest = dump([entry("c.json", [name] * 100_000)])
    members = [(name, LOWER), ("c.json", dump(config([LOWER] * 100_000)))]
    with deadline(20):
        refused(read, tar([*members, ("manifest.json", manifest)]), "names 100000 layers")


def test_many_images_with_many_layers_each_are_refused(write, monkeypatch):
    monkeypatch.setattr(image_reader, "_MENTIONS_MAX", 4)
    document = dump(config(LAYERS))
    names = [name for name, _ in plain_members(LAYERS)[:2]]
    manifest = [entry("c.json", names, [f"base:{number}"]) for number in range(3)]
    members = [*plain_members(LAYERS)[:2], ("c.json", document), ("manifest.json", dump(manifest))]
    with pytest.raises(UserError, match="x: its images name more than 4 layers in all"):
        image_reader.read_images(write(tar(members)), what="x")


def test_a_manifest_of_absurdly_many_images_is_refused(read):
    manifest = dump([entry("c.json", [])] * ((1 << 14) + 1))
    refused(read, tar([("manifest.json", manifest)]), "names more than 16384 images")


def test_a_document_that_many_images_name_is_not_read_for_ever(write, monkeypatch):
    monkeypatch.setattr(documents, "_READ_LIMIT", 10_000)
    document = dump(config(LAYERS)) + b" " * 1000
    names = [name for name, _ in plain_members(LAYERS)[:2]]
    manifest = dump([entry("c.json", names)] * 20)
    members = [*plain_members(LAYERS)[:2], ("c.json", document), ("manifest.json", manifest)]
    for form in both(tar(members)):
        with pytest.raises(UserError, match="x: its JSON documents, each as often as others name"):
            image_reader.read_images(write(form), what="x")


def test_values_of_a_few_bytes_in_documents_fill_no_memory(write):
    """Each image has the whole of its configuration, of which a byte takes 25 in memory."""
    document = dump(config(LAYERS, extra=[{}] * 100_000))
    names = [name for name, _ in plain_members(LAYERS)[:2]]
    manifest = dump([entry("c.json", names)] * 11)
    members = [*plain_members(LAYERS)[:2], ("c.json", document), ("manifest.json", manifest)]
    for form in both(tar(members)):
        image_reader.read_base_image(write(form), what="x")
        with pytest.raises(UserError, match=r"x: its JSON documents, each as .* 1048576 values"):
            image_reader.read_images(write(form), what="x")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("created", 17, "created should be a string and is 17"),
        ("created", "yesterday", "created is no date"),
        ("created_by", ["x"], "created_by should be a string"),
        ("comment", {}, "comment should be a string"),
        ("author", 1, "author should be a string"),
        ("empty_layer", "no", 'empty_layer should be true or false and is "no"'),
    ],
)
def test_history_that_no_engine_reads_is_refused(read, key, value, said):
    """It is passed on, so that the image on top would be refused by 'docker load'."""
    good = {"created": "2024-02-03T04:05:06.789+01:00", "empty_layer": False, "comment": None}
    document = config(LAYERS, history=[good, {**good, "created": "0001-01-01T00:00:00Z"}])
    names = [name for name, _ in plain_members(LAYERS)[:2]]
    end = [("manifest.json", dump([entry("c.json", names)]))]
    members = [*plain_members(LAYERS)[:2], ("c.json", dump(document)), *end]
    assert [layer.entry for layer in read(tar(members)).layers] == document["history"]
    document["history"][1][key] = value
    members[2] = ("c.json", dump(document))
    refused(read, tar(members), "c.json: history[1]: " + said)


def wide_indexes(width):
    """An OCI archive of indexes within each other, each of which names the next `width` times."""
    inner = dump({"manifests": [descriptor(b"x")] * width})
    blobs = [blob(inner)]
    for _ in range(2):
        entries = [descriptor(inner, "application/vnd.oci.image.index.v1+json")] * width
        inner = dump({"manifests": entries})
        blobs.append(blob(inner))
    return tar([("oci-layout", b"{}"), *blobs[:-1], ("index.json", inner)])


def test_indexes_that_name_each_other_again_and_again_are_refused_soon(read):
    with deadline(20):
        refused(
            read, wide_indexes(3000), "its indexes, each as often as", "more than 16384 entries"
        )


def test_a_file_at_the_end_of_very_many_links_is_refused(read):
    members = [(f"l{number}", link(f"l{number + 1}")) for number in range(41)]
    manifest = dump([entry("c.json", ["l0"])])
    members += [("l41", LOWER), ("c.json", dump(config([LOWER]))), ("manifest.json", manifest)]
    refused(read, tar(members), "names layer l0, more than 40 links away")


def test_names_fill_no_memory(read, monkeypatch):
    monkeypatch.setattr(files, "_TEXTS_LIMIT", 10_000)
    members = [(f"{number}" + "n" * 2000, link("t" * 100)) for number in range(5)]
    refused(read, tar(members), "the names in it have more than 10000 characters")


@pytest.mark.parametrize("compression", ["gz", "zstd", "xz", "bz2"])
def test_a_stream_that_expands_without_end_is_refused(read, monkeypatch, compression):
    monkeypatch.setattr(streams, "_SIZE_MAX", 1 << 22)
    with pytest.raises(UserError, match=f"has {compression} data that make more than 4194304"):
        read(COMPRESSORS[compression](tar([("zeros", bytes(8 << 20))])))


# Streaming the layers


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_layers_are_streamed_in_the_order_of_their_offsets(read, compression):
    image = read(COMPRESSORS[compression](tar(plain_members([LOWER, UPPER, layer("top")]))))
    assert contents(image, image.layers[::2]) == [LOWER, layer("top")]
    # Unread bytes of a layer are passed over.
    with ArchiveReader(image.path, image.compression, what="archive") as archive:
        first, last = image.layers[0], image.layers[2]
        next(archive.chunks(first.offset, first.stored.size, name=first.name))
        assert b"".join(archive.chunks(last.offset, last.stored.size, name="")) == layer("top")
        # And a layer that lies before is found all the same.
        assert b"".join(archive.chunks(first.offset, first.stored.size, name="")) == LOWER


def test_layers_are_streamed_in_small_pieces(read):
    large = tar([("large", bytes(5 << 20))])
    for form in both(tar(plain_members([large]))):
        image = read(form)
        (base,) = image.layers
        with ArchiveReader(image.path, image.compression, what="archive") as archive:
            chunks = archive.chunks(base.offset, base.stored.size, name=base.name)
            sizes = [len(chunk) for chunk in chunks]
        assert max(sizes) <= CHUNK
        assert sum(sizes) == len(large)


def test_a_layer_survives_json(read):
    for base in read(tar(plain_members(LAYERS))).layers:
        assert layer_from_json(json.loads(json.dumps(base.to_json()))) == base


def test_what_a_blob_is_in_the_archive_is_kept(read):
    media_type = "application/vnd.oci.image.layer.v1.tar"
    suffixes = {"none": "", "gz": "+gzip", "zstd": "+zstd"}
    for compression, compress in COMPRESSORS.items():
        stored = compress(LOWER)
        suffix = suffixes.get(compression)
        for form in both(tar(saved_members([LOWER], stored=[stored]))):
            (base,) = read(form).layers
            assert base.stored == StoredBytes(
                digest=f"sha256:{sha256(stored)}",
                media_type=None if suffix is None else media_type + suffix,
                size=len(stored),
            )
            assert base.blob == base.stored


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_an_archive_that_changed_since_is_refused(read, write, compression):
    image = read(COMPRESSORS[compression](tar(plain_members(LAYERS))))
    write(COMPRESSORS[compression](tar(plain_members([LOWER]))[: len(LOWER) + 600]))
    with pytest.raises(UserError, match="no longer holds layer"):
        contents(image)
    os.unlink(image.path)
    with pytest.raises(UserError, match="does not exist"):
        contents(image)
