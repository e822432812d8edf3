"""How containerd is spoken to, by a client that a shell script plays."""

import pytest

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import image_blobs
from builders.engines.client import EngineClient
from builders.engines.containerd import Containerd
from tests.unit.plans import make_plan


@pytest.fixture
def image(tmp_path):
    plan = make_plan(tmp_path, {"aaa": b"1", "bbb": b"2"})
    layers = compress_layers(plan, LayerCompression("none"), jobs=1)
    return image_blobs(plan, layers, annotations={})


def saying(tmp_path, text):
    """A containerd whose client prints `text`, whatever it is asked."""
    (tmp_path / "said").write_text(text)
    words = ("sh", "-c", f"cat {tmp_path}/said", "ctr")
    return Containerd(EngineClient("containerd", words, start="", permission=""))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app:1", "docker.io/library/app:1"),
        ("group/app:1", "docker.io/group/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("registry.example/app:1", "registry.example/app:1"),
    ],
)
def test_names_begin_with_a_registry(tmp_path, name, expected):
    assert saying(tmp_path, "").full_name(name) == expected


HEAD = "REF TYPE DIGEST STATUS SIZE UNPACKED\n"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("complete (7/7) 24.0 MiB/24.0 MiB true", True),
        ("complete (7/7) 24.0 MiB/24.0 MiB false", False),
        ("incomplete (3/7) 10.1 MiB/24.0 MiB false", False),
        ("incomplete (3/7) 10.1 MiB/24.0 MiB true", False),
    ],
)
def test_an_image_is_there_when_it_is_whole_and_unpacked(tmp_path, image, rest, expected):
    digest = image.manifest.descriptor.digest
    line = f"docker.io/library/app:1 application/vnd.oci.image.manifest.v1+json {digest} {rest}\n"
    assert saying(tmp_path, HEAD + line).has("docker.io/library/app:1", image) is expected


def test_another_image_of_the_name_is_not_it(tmp_path, image):
    line = f"docker.io/library/app:1 type sha256:{64 * '0'} complete (1/1) 1 B/1 B true\n"
    assert not saying(tmp_path, HEAD + line).has("docker.io/library/app:1", image)
    assert not saying(tmp_path, HEAD).has("docker.io/library/app:1", image)


def test_layers_of_the_content_store_are_known(tmp_path, image):
    digests = [blob.descriptor.digest for blob in image.layers]
    engine = saying(tmp_path, f"sha256:{64 * '0'}\n{digests[1]}\n")
    assert engine.known_layers(image, []) == {digests[1]}
