"""What is found out of compressed layers is what they are."""

import gzip
import hashlib
import os
import pathlib
from dataclasses import replace

import pytest

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import FileContent, LayerContent
from builders.console.errors import UserError
from builders.layers.resources import Resources
from tests.unit.plans import make_plan
from tests.unit.support import Collected


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path)


def written(blob, **resources):
    sink = Collected()
    with Resources(helpers=0, **resources) as opened:
        blob.content.write(sink, opened)
    return bytes(sink.data)


@pytest.mark.parametrize("compressor", ["none", "gz", "zstd"])
def test_descriptors_are_those_of_what_is_written_later(plan, compressor):
    compression = LayerCompression(compressor, 1 if compressor != "none" else None)
    blobs = compress_layers(plan, compression, jobs=2)
    assert len(blobs) == len(plan.layers)
    for blob, layer in zip(blobs, plan.layers, strict=True):
        assert blob.content == LayerContent(layer, compression)
        for threads in (1, 3):
            data = written(blob, threads=threads)
            assert len(data) == blob.descriptor.size
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == blob.descriptor.digest
    if compressor == "none":
        assert [blob.descriptor.digest for blob in blobs] == [
            layer.diff_id for layer in plan.layers
        ]


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_files_are_named_by_their_digests(plan, tmp_path, jobs):
    directory = tmp_path / "blobs"
    directory.mkdir()
    blobs = compress_layers(plan, LayerCompression("gz"), jobs=jobs, directory=str(directory))
    known = compress_layers(plan, LayerCompression("gz"), jobs=1)
    assert [blob.descriptor for blob in blobs] == [blob.descriptor for blob in known]
    assert sorted(os.listdir(directory)) == sorted(blob.descriptor.hexadecimal for blob in blobs)
    for blob, layer in zip(blobs, plan.layers, strict=True):
        assert isinstance(blob.content, FileContent)
        path = pathlib.Path(blob.content.path)
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == path.name == blob.descriptor.hexadecimal
        assert written(blob) == data
        diff = hashlib.sha256(gzip.decompress(data)).hexdigest()
        assert f"sha256:{diff}" == layer.diff_id


def test_a_layer_that_comes_twice_is_compressed_once(plan, tmp_path):
    directory = tmp_path / "blobs"
    directory.mkdir()
    twice = replace(plan, layers=(*plan.layers, plan.layers[0]))
    blobs = compress_layers(twice, LayerCompression("gz"), jobs=2, directory=str(directory))
    assert blobs[0] == blobs[-1]
    assert len(os.listdir(directory)) == len(plan.layers)


def test_json_gives_back_what_was_found(plan):
    compression = LayerCompression("zstd", 4)
    blobs = compress_layers(plan, compression, jobs=2)
    found = CompressedLayers(compression, None, tuple(blob.descriptor for blob in blobs))
    again = CompressedLayers.from_json(found.to_json())
    assert again == found
    assert again.blobs(plan) == blobs
    with pytest.raises(ValueError, match="version 99"):
        CompressedLayers.from_json(found.to_json().replace('"version": 1', '"version": 99'))


def test_a_file_that_changed_is_named(plan):
    path = pathlib.Path(plan.layers[1].paths[0])
    (path / "file").write_bytes(b"less")
    with pytest.raises(UserError, match=path.name):
        compress_layers(plan, LayerCompression("gz"), jobs=2, hint="do this")
