"""Sparse files in each of the four forms that GNU tar writes, and maps that are damaged."""

import io
import os
import re
import struct
import subprocess
import tarfile

import pytest

from builders.compression.readers import FileRange
from builders.console.errors import UserError
from builders.tar.header import REGULAR, SPARSE, extended_header, pax_record
from builders.tar.member import Extent
from builders.tar.reader import Scan
from builders.tar.tape import Tape
from tests.unit.archives import SPARSE_FORMS, gnu_tar, layer_of, sparse, write_sparse

FILES = {
    "hole at the end": (1 << 20, [(0, b"a" * 5000)]),
    "hole at the start": (1 << 20, [((1 << 20) - 3, b"end")]),
    "no data": (1 << 20, []),
    "many holes": (10 << 20, [(number * 200_000, b"%03d" % number * 1000) for number in range(50)]),
    "é": (1 << 20, [(1 << 19, b"x")]),
    "n" * 120: (1 << 20, [(1 << 19, b"y")]),
}


def read(data):
    return list(Scan(Tape(io.BytesIO(data), what="x")))


def content(data, member):
    """The content of a sparse member of the archive `data`."""
    found = bytearray(member.size)
    offset = member.offset
    for start, size in member.extents:
        found[start : start + size] = data[offset : offset + size]
        offset += size
    return bytes(found)


@pytest.fixture
def refused():
    def check(data, reason):
        with pytest.raises(UserError) as caught:
            read(data)
        found = re.fullmatch(
            "x is damaged: the map of its sparse file s (.*); make or fetch it again",
            str(caught.value),
        )
        assert found
        assert re.search(reason, found[1])

    return check


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_contents_are_what_gnu_tar_packed(tmp_path, form):
    for name, (size, pieces) in FILES.items():
        write_sparse(tmp_path / name, size, pieces)
    data = gnu_tar(tmp_path, *SPARSE_FORMS[form])
    members = {member.name: member for member in read(data)}
    assert members.keys() == {".", *FILES}
    for name in FILES:
        member = members[name]
        assert member.type == SPARSE
        assert member.stored < 400_000
        assert content(data, member) == (tmp_path / name).read_bytes()
    assert len(members["many holes"].extents) == 50


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_a_file_beyond_eight_gigabytes(tmp_path, form):
    write_sparse(tmp_path / "s", 9 << 30, [(8 << 30, b"tail")])
    data = gnu_tar(tmp_path, *SPARSE_FORMS[form])
    member = read(data)[1]
    assert member.size == 9 << 30
    (extent,) = member.extents
    assert extent.start == 8 << 30
    assert data[member.offset : member.offset + 4] == b"tail"


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_what_follows_a_sparse_file_is_found(tmp_path, form):
    write_sparse(tmp_path / "s", 10 << 20, FILES["many holes"][1])
    (tmp_path / "t").write_bytes(b"t" * 700)
    data = gnu_tar(tmp_path, *SPARSE_FORMS[form])
    last = read(data)[-1]
    assert (last.name, last.type, last.size, last.extents) == ("t", REGULAR, 700, ())
    assert data[last.offset : last.offset + 700] == b"t" * 700


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_facts_are_those_of_any_file(tmp_path, form):
    write_sparse(tmp_path / "s", 1 << 20, [])
    (tmp_path / "s").chmod(0o4711)
    os.utime(tmp_path / "s", (77, 77))
    member = read(gnu_tar(tmp_path, *SPARSE_FORMS[form], "--owner=some:1000"))[1]
    assert (member.mode, member.mtime, member.uid, member.uname) == (0o4711, 77, 1000, "some")


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_an_archive_cut_off_at_any_byte(tmp_path, form):
    write_sparse(tmp_path / "s", 10 << 20, FILES["many holes"][1][:6])
    data = gnu_tar(tmp_path, *SPARSE_FORMS[form])
    directory, member = read(data)
    end = member.offset + member.stored
    # At every byte of headers and map, and here and there within the data.
    sizes = [*range(directory.offset + 1, member.offset), *range(member.offset, end, 509)]
    for size in sizes:
        with pytest.raises(UserError, match="x is cut off after"):
            read(data[:size])


# Damage


@pytest.mark.parametrize(
    ("extents", "reason"),
    [
        ([(0, 4), (2, 4)], "goes back"),
        ([(0, 4), (0, 4)], "goes back"),
        ([(6, 4), (0, 4)], "goes back"),
        ([(97, 4), (101, 4)], "goes beyond the file's 100 bytes"),
        ([(1 << 62, 8)], "goes beyond the file's 100 bytes"),
        ([(-8, 8)], "can't be read"),
        ([(8, -8)], "can't be read"),
        ([(0, 16)], "has more data than the archive"),
        ([(0, 1 << 60)], "has more data than the archive"),
        ([(0, 4), (6, 1 << 62)], "has more data than the archive"),
        ([(0, 4)], "has less data than the archive"),
        ([], "has more data than the archive"),
    ],
)
def test_a_map_that_cannot_be_is_refused(refused, extents, reason):
    refused(layer_of(sparse("s", b"8 bytes!", size=100, extents=extents)), reason)
    refused(old_form(b"8 bytes!", size=100, extents=extents), reason)
    map_ = ",".join(f"{start},{size}" for start, size in extents)
    if extents:
        refused(pax_form(b"8 bytes!", {"map": map_, "size": "100"}), reason)


def old_form(data, *, size, extents):
    """A sparse file in GNU tar's own form."""
    header = tarfile.TarInfo("s")
    header.type = tarfile.GNUTYPE_SPARSE
    header.size = len(data)
    raw = bytearray(header.tobuf(tarfile.GNU_FORMAT)[:512])
    numbers = [number for extent in extents for number in extent]
    for position, number in enumerate(numbers):
        # Base 256, which negative numbers have, too.
        field = number.to_bytes(12, "big", signed=True)
        start = 386 + 12 * position
        raw[start : start + 12] = bytes([field[0] | 0x80]) + field[1:]
    raw[483:495] = b"%011o\0" % size
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + data + bytes(-len(data) % 512) + bytes(1024)


def pax_form(data, records):
    """A sparse file whose map is in pax records."""
    header = tarfile.TarInfo("s")
    header.size = len(data)
    header.pax_headers = {f"GNU.sparse.{key}": value for key, value in records.items()}
    padding = bytes(-len(data) % 512)
    return header.tobuf(tarfile.PAX_FORMAT) + data + padding + bytes(1024)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({"map": "0,8"}, "has no size"),
        ({"map": "0,8", "size": "-1"}, "has no size|can't be read"),
        ({"map": "0", "size": "8"}, "has more data than the archive"),
        ({"map": "zero,8", "size": "8"}, "can't be read"),
        ({"size": "8"}, "has more data than the archive"),
        ({"major": "1", "minor": "0", "realsize": "8"}, "can't be read"),
        ({"major": "2", "minor": "0", "realsize": "8"}, "can't be read whole"),
    ],
)
def test_records_that_make_no_map_are_refused(refused, records, reason):
    refused(pax_form(b"8 bytes!", records), reason)


def test_the_name_of_a_sparse_file_has_a_limit():
    records = {"map": "2,8", "size": "20", "name": "n" * 70_000}
    with pytest.raises(UserError, match=r"has a GNU\.sparse\.name of 70000 bytes, more"):
        read(pax_form(b"8 bytes!", records))


def test_a_record_of_a_name_that_is_not_utf8_is_no_part_of_the_map():
    record = pax_record(b"GNU.sparse.\xff", b"x")
    header = extended_header(len(record)) + record + bytes(-len(record) % 512)
    (member,) = read(header + pax_form(b"8 bytes!", {"map": "2,8", "size": "20"}))
    assert (member.size, member.extents) == (20, (Extent(2, 8),))


@pytest.mark.parametrize("count", [b"999999999999", b"-1", b"9" * 20, b"x", b"9" * 600])
def test_a_count_that_no_map_has_is_refused(refused, count):
    records = {"major": "1", "minor": "0", "realsize": "8"}
    refused(pax_form(count + b"\n0\n8\n", records), "can't be read")


def test_maps_fill_no_memory(refused):
    records = {"major": "1", "minor": "0", "realsize": "8"}
    count = 1 << 20
    data = b"%d\n" % count + b"0\n0\n" * count
    refused(pax_form(data, records), "has more than 1048576 bytes")
    block = struct.pack("504sc7x", b"", b"\x01")
    header = bytearray(old_form(b"", size=8, extents=[(8, 0)])[:512])
    header[482] = 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    refused(bytes(header) + block * 3000, "has more than 1048576 bytes")


def test_a_link_with_a_map_is_refused():
    header = tarfile.TarInfo("s")
    header.type, header.linkname = tarfile.SYMTYPE, "t"
    header.pax_headers = {"GNU.sparse.map": "0,8", "GNU.sparse.size": "8"}
    with pytest.raises(UserError, match="a symbolic link with the map of a sparse file"):
        read(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024))


def test_a_terabyte_of_data_that_is_not_there_takes_no_time(refused):
    header = layer_of(sparse("s", b"", size=1 << 41))
    assert [member.size for member in read(header)] == [1 << 41]
    extents = [(0, 1 << 40)]
    refused(layer_of(sparse("s", b"8 bytes!", size=1 << 41, extents=extents)), "has more data")


def test_an_error_of_the_disk_is_not_lost(tmp_path):
    write_sparse(tmp_path / "s", 10 << 20, FILES["many holes"][1])
    path = tmp_path / "archive"
    path.write_bytes(gnu_tar(tmp_path, *SPARSE_FORMS["gnu"]))
    fd = os.open(path, os.O_RDONLY)
    scan = iter(Scan(Tape(_Failing(fd, path.stat().st_size), what="x")))
    with pytest.raises(UserError, match="can't read x: Bad file descriptor"):
        list(scan)


class _Failing(FileRange):
    """A file whose disk fails after the first headers."""

    def __init__(self, fd, size):
        super().__init__(fd, 0, size, what="x")
        self._count = 0

    def read(self, size, /):
        self._count += 1
        if self._count == 3:
            os.close(self._fd)
        return super().read(min(size, 512))


def test_adjacent_pieces_are_one():
    extents = [(0, 4), (4, 4)]
    (member,) = read(layer_of(sparse("s", b"8 bytes!", extents=extents)))
    assert member.extents == (Extent(0, 8),)


def test_gnu_tar_is_asked_for_what_it_says(tmp_path):
    write_sparse(tmp_path / "s", 1 << 20, [])
    texts = {form: gnu_tar(tmp_path, *options) for form, options in SPARSE_FORMS.items()}
    assert b"GNU.sparse.numbytes" in texts["pax 0.0"]
    assert b"GNU.sparse.map" in texts["pax 0.1"]
    assert b"GNU.sparse.major=1" in texts["pax 1.0"]
    assert b"GNU.sparse" not in texts["gnu"]
    version = subprocess.run(["tar", "--version"], check=True, stdout=subprocess.PIPE).stdout
    assert b"GNU tar" in version
