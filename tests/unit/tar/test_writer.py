"""The tar writer makes archives that tarfile reads, in the format that it is given."""

import io
import tarfile

import pytest

from builders.tar.header import BLOCK, RECORD, REGULAR, Entry, gnu_header, pax_header, ustar_fields
from builders.tar.writer import TarWriter
from tests.unit.support import Collected


def entry(name, size=0):
    return Entry(name=name, type=REGULAR, mode=0o644, uid=0, gid=0, mtime=1, size=size)


@pytest.mark.parametrize("header", [pax_header, gnu_header])
def test_tarfile_reads_what_was_added(header):
    sink = Collected()
    archive = TarWriter(sink, header=header)
    archive.add(entry("empty"))
    archive.add(entry("l" * 200, 513), b"x" * 513)
    archive.add(entry("called", 512), lambda: sink.write(b"y" * 512))
    archive.finish()
    assert archive.size == len(sink.data)
    assert archive.size % RECORD == 0
    with tarfile.open(fileobj=io.BytesIO(sink.data)) as read:
        content = {info.name: read.extractfile(info).read() for info in read}
        formats = {bool(info.pax_headers) for info in read.getmembers() if len(info.name) > 100}
    assert content == {"empty": b"", "l" * 200: b"x" * 513, "called": b"y" * 512}
    assert formats == {header is pax_header}


def test_who_has_no_bytes_is_not_called():
    archive = TarWriter(Collected())
    archive.add(entry("empty"), lambda: pytest.fail("called"))
    assert archive.size == BLOCK


def test_content_of_another_size_is_refused_before_anything_is_written():
    sink = Collected()
    archive = TarWriter(sink)
    for content in (b"xy", None):
        with pytest.raises(ValueError, match="and not 1"):
            archive.add(entry("file", 1), content)
    assert sink.data == b""


def test_what_went_past_the_writer_counts_for_the_end():
    sink = Collected()
    archive = TarWriter(sink, size=3 * BLOCK)
    archive.count(RECORD - 5 * BLOCK)
    archive.finish()
    assert archive.size == RECORD
    assert sink.data == bytes(2 * BLOCK)


def test_fields_lie_where_they_were_written():
    long = Entry(
        name="d" * 120,
        type=REGULAR,
        mode=0o4711,
        uid=0o1234567,
        gid=7,
        mtime=0o12345,
        size=0o777,
        linkname="target",
        uname="user",
        gname="group",
    )
    for header, magic in ((pax_header, b"ustar\x0000"), (gnu_header, b"ustar  \x00")):
        fields = ustar_fields(header(long))
        assert b"".join(fields) == header(long)[-BLOCK:]
        assert fields.name == b"d" * 100
        assert (fields.mode, fields.uid, fields.gid) == (b"0004711\0", b"1234567\0", b"0000007\0")
        assert (fields.size, fields.mtime) == (b"00000000777\0", b"00000012345\0")
        assert (fields.type, fields.linkname) == (b"0", b"target".ljust(100, b"\0"))
        assert fields.rest.startswith(magic + b"user\0")
        assert fields.checksum.endswith(b"\0 ")
