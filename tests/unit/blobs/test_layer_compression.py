"""Layers as compressed blobs: which are compressed, and to what bytes."""

import gzip
import os

import pytest
import zstandard

from builders.blobs.descriptors import COMPRESSOR
from builders.blobs.layer_compression import CompressingSink, LayerCompression
from builders.compression.members import MEMBER_SIZES, MemberFormat, Members
from builders.console.errors import UserError
from builders.image.layer_kinds import BaseLayer, StoredBytes
from tests.unit.plans import make_plan


def base_layer(media_type="application/vnd.oci.image.layer.v1.tar+zstd"):
    return BaseLayer(
        archive="/base.tar",
        compression="none",
        offset=512,
        stored=StoredBytes(digest="sha256:" + "ab" * 32, media_type=media_type, size=3),
        diff_id="sha256:" + "cd" * 32,
        size=9,
        entry={},
        name="layer.tar",
        mode=0o644,
        mtime=1,
        uid=0,
        gid=0,
        uname="",
        gname="",
    )


def compressed(pieces, format_, threads):
    made = []
    with Members(format_, threads) as members:
        sink = CompressingSink(members, made.append)
        for piece in pieces:
            sink.write(piece)
        sink.finish()
        members.finish()
    assert sink.size == sum(map(len, pieces))
    return made


def zstd_content(data):
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read()


@pytest.mark.parametrize("format_", [MemberFormat("gz", 1), MemberFormat("zstd", 1)])
@pytest.mark.parametrize("more", [-1, 0, 1, 12345])
def test_bytes_depend_on_neither_threads_nor_the_pieces_that_come(format_, more):
    size = MEMBER_SIZES[format_.compressor]
    data = os.urandom(1 << 10) * ((2 * size >> 10) + 13)
    data = data[: 2 * size + more]
    ways = [
        [data],
        [data[:7], data[7:]],
        [data[start : start + 99_991] for start in range(0, len(data), 99_991)],
        [data[:size], data[size:]],
    ]
    made = {tuple(compressed(way, format_, threads)) for way in ways for threads in (1, 3)}
    assert len(made) == 1
    (members,) = made
    assert len(members) == (2 if more <= 0 else 3)
    read = gzip.decompress if format_.compressor == "gz" else zstd_content
    assert read(b"".join(members)) == data


def test_an_empty_layer_is_one_empty_member():
    (member,) = compressed([], MemberFormat("gz", 5), 2)
    assert gzip.decompress(member) == b""


def test_media_types_and_annotations_follow_the_compressor(tmp_path):
    own = make_plan(tmp_path).layers[0]
    kinds = {
        "none": "application/vnd.oci.image.layer.v1.tar",
        "gz": "application/vnd.oci.image.layer.v1.tar+gzip",
        "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    }
    for compressor, media_type in kinds.items():
        compression = LayerCompression(compressor)
        assert compression.media_type(own) == media_type
        assert compression.applies_to(own) is (compressor != "none")
        assert compression.annotations.keys() == (set() if compressor == "none" else {COMPRESSOR})
        # Layers of a base image stay what they are.
        assert compression.media_type(base_layer()) == kinds["zstd"]
        assert not compression.applies_to(base_layer())
    assert "level 1," in LayerCompression("gz").annotations[COMPRESSOR]
    assert "level 9" in LayerCompression("gz", 9).annotations[COMPRESSOR]


def test_a_base_layer_that_can_be_no_blob_is_refused():
    with pytest.raises(UserError, match=r"/base\.tar") as caught:
        LayerCompression("gz").media_type(base_layer(media_type=None))
    assert "skopeo copy" in caught.value.hint


@pytest.mark.parametrize(("compressor", "level"), [("xz", None), ("gz", 13), ("none", 1)])
def test_a_compression_that_there_is_none_of_is_refused(compressor, level):
    with pytest.raises(ValueError, match=compressor):
        LayerCompression(compressor, level)
