"""What any kind of sink can do, and what it says of files that are not what they were."""

import hashlib
import os
import resource

import pytest

from builders.console.errors import UserError
from builders.layers.store_paths import list_entries
from builders.tar import sinks
from builders.tar.sinks import FileSink, HashSink, copy_file
from tests.unit.support import Collected, deadline


@pytest.fixture
def file(tmp_path):
    """The descriptor of a file of 3 MiB, and what is in it."""
    data = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(data)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd, data
    os.close(fd)


def test_a_plain_sink_copies_files_and_parts_of_them(file):
    fd, data = file
    sink = Collected()
    sink.copy(fd, len(data), "file")
    sink.copy_range(fd, 5, 2 << 20, "file")
    assert sink.data == data + data[5 : 5 + (2 << 20)]


def test_a_hash_takes_parts_of_files_too(file):
    fd, data = file
    whole, by_parts = HashSink(), HashSink()
    whole.write(data)
    by_parts.copy_range(fd, 0, 70_001, "file")
    by_parts.copy_range(fd, 70_001, len(data) - 70_001, "file")
    assert by_parts.digest() == whole.digest()


@pytest.mark.parametrize("ahead", [0, 1 << 20])
def test_a_file_that_is_cut_while_it_is_hashed_is_one_clear_line(tmp_path, ahead):
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    sink = HashSink(ahead=ahead)
    with open(path, "rb") as file:
        os.truncate(path, 1 << 20)
        with pytest.raises(UserError, match="file no longer has the 3145728 bytes that it had"):
            sink.copy(file.fileno(), 3 << 20, "file")
            sink.digest()


def test_who_hashes_on_after_an_error_does_not_wait_for_ever():
    sink = HashSink(ahead=1)
    with open(os.devnull, "rb") as file, deadline(20):
        for _ in range(2000):
            try:
                sink.copy(file.fileno(), 1, "file")
                sink.write(bytes(1 << 20))
            except UserError:
                pass
        with pytest.raises(UserError, match="file no longer has"):
            sink.digest()


def test_too_many_open_files_are_not_blamed_on_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        words = "file: Too many open files; raise the limit of open files"
        with pytest.raises(UserError, match=words):
            copy_file(Collected(), str(tmp_path / "file"), 0)
        with pytest.raises(UserError, match="Too many open files; raise the limit of open files"):
            list_entries(os.fsencode(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_that_wait_for_the_hash_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "_FILES_AHEAD", 3)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    sink, expected = HashSink(), hashlib.sha256()
    before = len(os.listdir("/proc/self/fd"))
    with open(path, "rb") as file:
        for _ in range(50):
            sink.copy(file.fileno(), 300_000, "file")
            expected.update(b"x" * 300_000)
            assert len(os.listdir("/proc/self/fd")) <= before + 8
    assert sink.digest() == expected.hexdigest()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_plain_sink_takes_what_a_pipe_has_and_says_where_it_ends():
    reader, writer = os.pipe()
    os.write(writer, b"abcdef")
    os.close(writer)
    sink = Collected()
    assert sink.splice(reader, 4)
    assert not sink.splice(reader, 3)
    os.close(reader)
    assert sink.data == b"abcdef"


def test_shared_memory_may_change_after_it_was_written():
    for sink in (Collected(), HashSink(ahead=0), HashSink(ahead=1 << 20)):
        memory = memoryview(bytearray(b"before" * 200_000))
        sink.write_shared(memory)
        memory[:6] = b"behind"
        expected = Collected()
        expected.write(b"before" * 200_000)
        if isinstance(sink, HashSink):
            hashed = HashSink()
            hashed.write(expected.data)
            assert sink.digest() == hashed.digest()
        else:
            assert sink.data == expected.data


@pytest.mark.parametrize("kind", [Collected, FileSink])
def test_a_file_that_ends_early_is_an_error_with_the_callers_remedy(file, tmp_path, kind):
    fd, data = file
    with open(tmp_path / "out", "wb") as out:
        sink = kind(out.fileno()) if kind is FileSink else kind()
        with pytest.raises(UserError) as failed:
            sink.copy_range(fd, 10, len(data), "the file", hint="some hint")
    assert failed.value.message.startswith(f"the file no longer has the {len(data)} bytes")
    assert failed.value.hint == "some hint"


def test_a_missing_file_is_an_error_with_the_callers_remedy(tmp_path):
    with pytest.raises(UserError) as failed:
        copy_file(Collected(), str(tmp_path / "none"), 1, hint="some hint")
    assert str(failed.value) == f"{tmp_path}/none is missing; some hint"


def test_without_a_caller_that_knows_better_no_remedy_speaks_of_nix(tmp_path):
    with pytest.raises(UserError) as failed:
        copy_file(Collected(), str(tmp_path / "none"), 1)
    assert "nix" not in failed.value.hint
