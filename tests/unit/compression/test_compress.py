"""Compressed images: the right bytes, and the same on any number of cores."""

import gzip
import io
import os
import random
import shutil
import subprocess

import pytest
import zstandard

from builders.compression.compress import compress


def compressed(data, compressor, threads, level=None):
    target = io.BytesIO()
    compress(io.BytesIO(data), target, compressor=compressor, level=level, threads=threads)
    return target.getvalue()


def text(size):
    chance = random.Random(size)
    words = [bytes(chance.choices(b"abcdefgh", k=5)) for _ in range(500)]
    return b" ".join(chance.choices(words, k=size // 6))


SAMPLES = {
    "nothing": b"",
    "one byte": b"x",
    "a whole block": text(6 << 20)[: 1 << 20],
    "some blocks": text(4 << 20),
    "random": os.urandom((2 << 20) + 17),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_gzip_gives_back_what_went_in(sample):
    data = compressed(SAMPLES[sample], "gz", 2)
    assert gzip.decompress(data) == SAMPLES[sample]
    gunzip = shutil.which("gzip")
    assert gunzip
    assert (
        subprocess.run([gunzip, "-dc"], input=data, capture_output=True).stdout == (SAMPLES[sample])
    )


@pytest.mark.parametrize("sample", SAMPLES)
def test_zstd_gives_back_what_went_in(sample):
    data = compressed(SAMPLES[sample], "zstd", 2)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == SAMPLES[sample]


@pytest.mark.parametrize("compressor", ["gz", "zstd"])
def test_bytes_do_not_depend_on_the_number_of_threads(compressor):
    data = SAMPLES["some blocks"] + SAMPLES["random"]
    assert len({compressed(data, compressor, threads) for threads in (1, 2, 3, 7)}) == 1


def test_bytes_do_not_depend_on_how_they_come_out_of_a_pipe():
    class Dribble(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 1000))

    target = io.BytesIO()
    compress(Dribble(SAMPLES["some blocks"]), target, compressor="gz", threads=2)
    assert target.getvalue() == compressed(SAMPLES["some blocks"], "gz", 1)


def test_text_is_compressed_about_as_well_as_gzip_does():
    data = SAMPLES["some blocks"]
    assert len(compressed(data, "gz", 2)) < 1.01 * len(gzip.compress(data, 6))


@pytest.mark.parametrize(("compressor", "levels"), [("gz", range(1, 13)), ("zstd", range(1, 20))])
def test_every_level_gives_back_what_went_in(compressor, levels):
    data = SAMPLES["some blocks"][: 3 << 19]
    sizes = []
    for level in levels:
        packed = compressed(data, compressor, 2, level)
        if compressor == "gz":
            assert gzip.decompress(packed) == data
        else:
            assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == data
        sizes.append(len(packed))
    assert sizes[0] > sizes[-1]


def test_there_is_no_name_and_no_time_in_gzip_headers():
    packed = compressed(SAMPLES["some blocks"], "gz", 2)
    assert packed[3:8] == bytes(5)


def test_none_changes_nothing():
    assert compressed(b"abc", "none", 1) == b"abc"
