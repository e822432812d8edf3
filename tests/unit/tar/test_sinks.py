"""What any kind of sink can do, and what it says of files that are not what they were."""

import os

import pytest

from builders.console.errors import UserError
from builders.tar.sinks import FileSink, HashSink, copy_file
from tests.unit.support import Collected


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
