"""mergeImages, out of the sandbox."""

import gzip
import io
import json
import tarfile

import pytest
import zstandard

from tests.nix.images import NixError, build, failure

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def read(path):
    """The names of an archive's members, and its manifest."""
    data = path.read_bytes()
    if data.startswith(GZIP):
        data = gzip.decompress(data)
    elif data.startswith(ZSTD):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames(), json.load(archive.extractfile("manifest.json"))


MERGED = """
  dockerTools.mergeImages [
    (buildLayeredImage {{ name = "one"; tag = "1"; contents = [ hello ]; }})
    ({} {{ name = "two"; tag = "2"; contents = [ hello bash ]; {} }})
  ]
"""


@pytest.mark.parametrize(
    ("function", "compressor", "magic"),
    [
        ("buildLayeredImage", 'compressor = "gz";', GZIP),
        ("buildLayeredImage", 'compressor = "zstd";', ZSTD),
        ("buildLayeredImage", 'compressor = "none";', None),
        ("streamLayeredImage", "", None),
    ],
)
def test_images_and_streams_are_merged(function, compressor, magic):
    path = build(MERGED.format(function, compressor))
    assert path.name.endswith("-merge-docker-images")
    # Compressed as the last one is.
    assert path.read_bytes().startswith(magic or b"")
    assert (magic is not None) or tarfile.is_tarfile(path)
    members, images = read(path)
    assert [image["RepoTags"] for image in images] == [["one:1"], ["two:2"]]
    shared = set(images[0]["Layers"]) & set(images[1]["Layers"])
    assert shared
    assert len(members) == len(set(members))
    assert set(members) == {
        "manifest.json",
        *(image["Config"] for image in images),
        *(name for image in images for name in image["Layers"]),
    }


def test_merging_gives_the_same_bytes_again():
    expression = MERGED.format("streamLayeredImage", "")
    path = build(expression)
    assert build(expression, "--check") == path


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("[ ]", "the list of images is empty"),
        ("hello", "it takes a list of images"),
        ("[ 7 ]", "image 1 of the list must be an image"),
        ('[ "/x.tar" ]', 'image 1 of the list is the string "/x.tar"'),
    ],
)
def test_what_is_no_list_of_images_fails_at_evaluation(images, words):
    error = failure(f"dockerTools.mergeImages {images}")
    assert error.startswith("error: in dockerTools.mergeImages: ")
    assert words in error


def test_a_bad_image_among_several_is_named(tmp_path):
    (tmp_path / "base").write_bytes(b"no archive" * 100)
    bad = f'builtins.path {{ path = {tmp_path}/base; name = "base.tar"; }}'
    with pytest.raises(NixError) as failed:
        build(f'dockerTools.mergeImages [ (buildLayeredImage {{ name = "a"; }}) ({bad}) ]')
    assert "Traceback" not in failed.value.log
    lines = [
        line
        for line in failed.value.log.splitlines()
        if "error: in dockerTools.mergeImages: " in line
    ]
    assert "-base.tar is no tarball" in lines[0]


def test_the_later_of_two_images_gets_their_name():
    path = build(
        """
          dockerTools.mergeImages [
            (buildLayeredImage { name = "a"; tag = "1"; compressor = "none"; })
            (streamLayeredImage { name = "a"; tag = "1"; contents = [ hello ]; })
          ]
        """
    )
    _, images = read(path)
    assert [image["RepoTags"] for image in images] == [[], ["a:1"]]
    assert len(images[1]["Layers"]) > 1
