"""Parts of blobs, as HTTP asks for them."""

import os

import pytest

from builders.registry.byte_ranges import ByteRange, RangeSink, RangeWrittenError, read_range
from tests.unit.support import Collected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-4", ByteRange(2, 5)),
        ("bytes=7-", ByteRange(7, 10)),
        ("bytes=7-99", ByteRange(7, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-99", ByteRange(0, 10)),
        ("bytes = 1 - 2", ByteRange(1, 3)),
        # What is no range of bytes asks for all.
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=4-2", None),
        ("bytes=0-1,4-5", None),
        ("lines=1-2", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_is_read(header, expected):
    assert read_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=99-", "bytes=-0"])
def test_a_range_of_nothing_is_refused(header):
    with pytest.raises(ValueError, match="no bytes of 10"):
        read_range(header, 10)


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("end", range(1, 7))
def test_a_part_is_passed_on_whatever_the_pieces_are(tmp_path, start, end):
    file = tmp_path / "file"
    file.write_bytes(b"xcdx")
    descriptor = os.open(file, os.O_RDONLY)
    target = Collected()
    sink = RangeSink(target, ByteRange(start, end))
    try:
        sink.write(b"ab")
        sink.copy_range(descriptor, 1, 2, "file")
        sink.write(b"ef")
        sink.write(b"more")
    except RangeWrittenError:
        pass
    finally:
        os.close(descriptor)
    assert target.data == b"abcdef"[start:end]


def test_what_comes_behind_a_part_is_not_made():
    sink = RangeSink(Collected(), ByteRange(0, 2))
    sink.write(b"ab")
    with pytest.raises(RangeWrittenError):
        sink.write(b"c")
