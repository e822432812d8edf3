"""Compressed streams are told by their first bytes and read whole or not at all."""

import io
import os
import subprocess
import sys

import pytest
import zstandard

from builders.compression import streams
from builders.console.errors import UserError
from tests.unit.archives import COMPRESSORS

DATA = os.urandom(300_000) + bytes(3_000_000) + b"abc" * 100_000
REAL = [name for name in COMPRESSORS if name != "none"]
COMPRESSED = {name: COMPRESSORS[name](DATA) for name in REAL}


class Dribble:
    """A source that gives a few bytes at a time, as a pipe may do."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, size):
        return self.data.read(min(size, 7))


def read(data, source=io.BytesIO, size=1 << 20):
    compression, stream = streams.decompressed(source(data), what="file x")
    return compression, b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_stream_is_told_by_its_first_bytes(name):
    data = COMPRESSORS[name](DATA)
    assert streams.detect(data[: streams.MAGIC_LENGTH]) == name
    assert read(data) == (name, DATA)


@pytest.mark.parametrize("name", REAL)
def test_an_empty_stream_is_told_too(name):
    assert read(COMPRESSORS[name](b"")) == (name, b"")


@pytest.mark.parametrize("name", REAL)
def test_reads_are_never_longer_than_asked_for(name):
    _, stream = streams.decompressed(io.BytesIO(COMPRESSED[name]), what="file x")
    sizes = [len(chunk) for chunk in iter(lambda: stream.read(1000), b"")]
    assert max(sizes) <= 1000
    assert sum(sizes) == len(DATA)


@pytest.mark.parametrize("name", REAL)
def test_a_source_may_give_few_bytes_at_a_time(name):
    data = COMPRESSORS[name](DATA[:100_000])
    assert read(data, Dribble) == (name, DATA[:100_000])


@pytest.mark.parametrize("name", REAL)
def test_several_streams_in_a_row_are_one(name):
    second = COMPRESSORS[name](b"second")
    assert read(COMPRESSED[name] + second + second)[1] == DATA + b"secondsecond"


def test_zstd_frames_may_lack_size_and_checksum():
    compressor = zstandard.ZstdCompressor().compressobj()
    data = compressor.compress(DATA) + compressor.flush()
    assert read(data) == ("zstd", DATA)


def test_skippable_zstd_frames_are_skipped():
    skippable = b"\x52\x2a\x4d\x18\x03\0\0\0abc"
    assert read(skippable + COMPRESSED["zstd"] + skippable) == ("zstd", DATA)


@pytest.mark.parametrize("name", REAL)
def test_zeros_behind_the_end_are_padding(name):
    assert read(COMPRESSED[name] + bytes(200_000))[1] == DATA


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("tail", [b"garbage", bytes(200_000) + b"garbage", b"g"])
def test_anything_else_behind_the_end_is_an_error(name, tail):
    with pytest.raises(UserError, match=f"file x has bytes behind its {name} data"):
        read(COMPRESSED[name] + tail)


@pytest.mark.parametrize("name", REAL)
def test_a_stream_cut_off_anywhere_is_an_error(name):
    data = COMPRESSORS[name](b"some text" * 20)
    for length in range(streams.MAGIC_LENGTH, len(data)):
        with pytest.raises(UserError, match="is cut off"):
            read(data[:length])
    for length in (len(COMPRESSED[name]) // 3, len(COMPRESSED[name]) - 1):
        with pytest.raises(UserError, match="is cut off"):
            read(COMPRESSED[name][:length])


@pytest.mark.parametrize("name", REAL)
def test_a_second_stream_that_is_cut_off_is_an_error(name):
    with pytest.raises(UserError):
        read(COMPRESSED[name] + COMPRESSORS[name](b"second")[:-2])


@pytest.mark.parametrize("name", REAL)
def test_a_changed_byte_is_an_error(name):
    data = bytearray(COMPRESSED[name])
    data[len(data) // 4] ^= 0xFF
    with pytest.raises(UserError, match=r"is damaged|is cut off"):
        read(bytes(data))


@pytest.mark.parametrize("name", REAL)
def test_an_error_stays(name):
    _, stream = streams.decompressed(io.BytesIO(COMPRESSED[name][:-1]), what="file x")
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            while stream.read(1 << 20):
                pass
        assert stream.error is caught.value  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", REAL)
def test_a_stream_that_shrank_a_thousandfold_does_not_fill_the_memory(name, tmp_path):
    path = tmp_path / "zeros"
    block = bytes(1 << 26)
    path.write_bytes(COMPRESSORS[name](block) * 4)
    script = (
        "import re, sys\n"
        "from builders.compression.streams import open_decompressed\n"
        "with open_decompressed(sys.argv[1]) as (_, stream):\n"
        "    total = sum(map(len, iter(lambda: stream.read(1 << 20), b'')))\n"
        # The peak since exec; ru_maxrss would be that of pytest, which forked.
        "print(total, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
    )
    total, peak = map(int, run.stdout.split())
    assert total == 4 * len(block)
    assert peak < 60_000  # KiB


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: os.mkfifo(path), "is no regular file"),
        (lambda path: path.symlink_to(path), "can't read"),
    ],
)
def test_what_is_no_file_is_named(make, message, tmp_path):
    path = tmp_path / "x"
    make(path)
    with (
        pytest.raises(UserError, match=f"{path} .*{message}|{message} {path}"),
        streams.open_decompressed(str(path)),
    ):
        pass


def test_a_file_is_opened_decompressed(tmp_path):
    (tmp_path / "x").write_bytes(COMPRESSED["zstd"])
    with streams.open_decompressed(str(tmp_path / "x")) as (compression, stream):
        assert compression == "zstd"
        assert stream.read(1000) == DATA[:1000]
