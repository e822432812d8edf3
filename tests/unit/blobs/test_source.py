"""The blobs of images and indexes, and what the documents among them say."""

import hashlib
import json
from dataclasses import replace

import pytest

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import MANIFEST_LIMIT, Bytes, blobs, image_blobs, index_blobs
from builders.console.errors import UserError
from builders.image.configuration import image_config
from builders.image.platform import Platform
from tests.unit.plans import make_plan


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path)


def data_of(blob):
    assert isinstance(blob.content, Bytes)
    return blob.content.data


def image(plan, compressor="gz", **annotations):
    layers = compress_layers(plan, LayerCompression(compressor), jobs=2)
    return image_blobs(plan, layers, annotations=annotations)


def test_a_manifest_describes_configuration_and_layers(plan):
    found = image(plan, b="2", a="1")
    manifest = json.loads(data_of(found.manifest))
    config = image_config(plan)
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
        "size": len(config),
    }
    assert manifest["layers"] == [layer.descriptor.to_json() for layer in found.layers]
    assert list(manifest["annotations"].items()) == [("a", "1"), ("b", "2")]
    assert manifest["mediaType"] == found.top.descriptor.media_type
    data = data_of(found.manifest)
    assert found.top.descriptor.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert found.top.descriptor.platform == plan.platform


def test_without_annotations_there_are_none(plan):
    assert "annotations" not in json.loads(data_of(image(plan).manifest))


def test_documents_that_no_registry_takes_are_refused(plan):
    room = MANIFEST_LIMIT - len(image(plan, a="").manifest.content.data)
    largest = image(plan, a=room * "x")
    assert largest.manifest.descriptor.size == MANIFEST_LIMIT
    for annotation in ((room + 1) * "x", (room // 6 + 1) * "ü"):
        with pytest.raises(UserError, match=r"the manifest has 4,[0-9,]* bytes, and") as refused:
            image(plan, a=annotation)
        assert "make the annotations shorter" in refused.value.hint
    with pytest.raises(UserError, match="the image index has "):
        index_blobs([largest], annotations={"a": MANIFEST_LIMIT * "x"})


def test_an_index_lists_its_images_with_their_platforms(plan):
    first = image(plan)
    second = image(replace(plan, platform=Platform("linux", "arm", "v7")))
    index = index_blobs([first, second], annotations={"k": "v"})
    data = json.loads(data_of(index.top))
    assert [entry["platform"] for entry in data["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    assert data["annotations"] == {"k": "v"}
    # Both have the same layers, which come once, and what names others comes first.
    found = [blob.descriptor.digest for blob in blobs(index)]
    assert len(found) == len(set(found)) == 1 + 2 + 2 + len(plan.layers)
    assert found[:3] == [
        blob.descriptor.digest for blob in (index.top, first.manifest, second.manifest)
    ]
