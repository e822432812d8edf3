"""Tar members as tarfile and GNU tar write them, read without either."""

import io
import subprocess
import tarfile

import pytest

from builders.console.errors import UserError
from builders.tar import reader
from builders.tar.header import (
    DIRECTORY,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    extended_header,
    pax_record,
)
from builders.tar.member import is_header, normalise
from builders.tar.reader import Scan
from builders.tar.tape import Tape
from tests.unit.archives import link, tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def read(data):
    return list(Scan(Tape(io.BytesIO(data), what="x")))


def refused(data, words):
    with pytest.raises(UserError, match=words):
        read(data)


@pytest.mark.parametrize("format", FORMATS)
def test_members_are_tarfile_s(format):
    data = tar(
        [
            ("a", b"x" * 513),
            ("d/" + "n" * 99 + "/" + "m" * 90, b""),
            ("é", b"e" * 512),
            ("l", link("t" * 100)),
            ("h", link("a", tarfile.LNKTYPE)),
        ],
        format=format,
        mode=0o4755,
        uid=0o7777777,
        gid=12,
        uname="üser",
        gname="group",
        mtime=0o77777777777,
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = archive.getmembers()
    found = read(data)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.name == theirs.name
        assert ours.type == theirs.type
        assert ours.linkname == theirs.linkname
        assert (ours.mode, ours.uid, ours.gid) == (theirs.mode, theirs.uid, theirs.gid)
        assert (ours.uname, ours.gname) == (theirs.uname, theirs.gname)
        assert (ours.size, ours.mtime) == (theirs.size, theirs.mtime)
        if ours.type == REGULAR:
            assert ours.offset == theirs.offset_data


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_numbers_that_fit_no_field(format):
    large = tarfile.TarInfo("large")
    large.uid, large.mtime = 1 << 31, -5
    (member,) = read(large.tobuf(format) + bytes(1024))
    assert (member.uid, member.mtime) == (1 << 31, -5)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_size_beyond_eight_gigabytes_is_known_before_the_content(format):
    large = tarfile.TarInfo("large")
    large.size = 1 << 34
    scan = iter(Scan(Tape(io.BytesIO(large.tobuf(format) + bytes(1024)), what="x")))
    assert next(scan).size == 1 << 34
    with pytest.raises(UserError, match="within its member large of 17179869184 bytes"):
        next(scan)


@pytest.mark.parametrize(
    ("format", "length"), [("v7", 90), ("ustar", 90), ("oldgnu", 200), ("gnu", 200), ("posix", 200)]
)
def test_what_gnu_tar_writes(tmp_path, format, length):
    tree = tmp_path / "tree"
    (tree / ("n" * length)).mkdir(parents=True)
    (tree / ("n" * length) / "x").write_bytes(b"1" * 1000)
    (tree / "l").symlink_to("t" * length)
    command = ["tar", f"--format={format}", "--sort=name", "-C", tree, "-cf", "-", "."]
    found = read(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert [(member.name, member.type, member.size) for member in found] == [
        (".", DIRECTORY, 0),
        ("l", SYMLINK, 0),
        ("n" * length, DIRECTORY, 0),
        ("n" * length + "/x", REGULAR, 1000),
    ]
    assert found[1].linkname == "t" * length
    status = (tree / "l").lstat()
    assert {(member.uid, member.gid) for member in found} == {(status.st_uid, status.st_gid)}
    assert found[1].mtime == int(status.st_mtime)


def test_a_directory_of_before_posix_is_known_by_its_slash():
    old = tarfile.TarInfo("d/")
    old.type = tarfile.AREGTYPE
    (member,) = read(old.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    assert (member.name, member.type) == ("d", DIRECTORY)


def test_what_is_no_file_has_no_content():
    for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE):
        header = tarfile.TarInfo("x")
        header.type, header.linkname = kind, "y"
        raw = bytearray(header.tobuf())
        raw[124:135] = b"%011o" % 5000
        raw[148:156] = b" " * 8
        raw[148:156] = b"%06o\0 " % sum(raw)
        after = tarfile.TarInfo("after").tobuf()
        assert [(m.name, m.size) for m in read(bytes(raw) + after)] == [("x", 0), ("after", 0)]


def test_checksums_of_signed_bytes_are_taken():
    header = tarfile.TarInfo("é" * 20).tobuf(tarfile.GNU_FORMAT)
    fields = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in fields)
    raw = header[:148] + b"%06o\0 " % signed + header[156:]
    assert [member.name for member in read(raw + bytes(1024))] == ["é" * 20]


@pytest.mark.parametrize("at", range(0, 512, 7))
def test_any_other_byte_in_a_header_is_noticed(at):
    raw = bytearray(tar([("a" * 100, link("b" * 100))]))
    raw[at] ^= 0x55
    refused(bytes(raw), "no tar header where one should be")


def test_is_header():
    assert is_header(tarfile.TarInfo("x").tobuf()[:512])
    for other in (b"", bytes(511), b"x" * 512):
        assert not is_header(other)


def test_an_archive_that_ends_behind_an_extended_header_is_cut_off():
    whole = tarfile.TarInfo("x").tobuf()
    for name in ("n" * 150, "é"):
        for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            header = tarfile.TarInfo(name).tobuf(format)
            for end in (b"", bytes(1024)):
                if len(header) > 512:
                    refused(whole + header[:-512] + end, "x is cut off after")


@pytest.mark.parametrize("length", [b"", b"0 ", b"x ", b"x", b"-9 ", b"9" * 9, b"7", b"99 "])
def test_a_pax_record_with_no_length_is_refused(length):
    # One that is whole comes before: without a length, the next one could be that again.
    records = b"13 comment=a\n" + length + b"path=y\n"
    header = extended_header(len(records)) + records + bytes(-len(records) % 512)
    refused(header + tarfile.TarInfo("x").tobuf() + bytes(1024), "bad pax record")


@pytest.mark.parametrize("field", [b"0o000644", b"00_00644", b"+0000644", b"-0000644", b"00006448"])
def test_numbers_that_are_not_octal_are_refused(field):
    raw = bytearray(tarfile.TarInfo("x").tobuf())
    raw[100:108] = field
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    refused(bytes(raw) + bytes(1024), "bad number")


def test_an_extended_attribute_without_a_name_that_files_can_have_is_refused():
    record = pax_record(b"SCHILY.xattr.user\0a", b"1")
    header = extended_header(len(record)) + record + bytes(-len(record) % 512)
    refused(header + tarfile.TarInfo("x").tobuf() + bytes(1024), "bad pax record")


def extended(*records, kind=b"x"):
    """An extended header of `records`, pairs of bytes."""
    data = b"".join(pax_record(key, value) for key, value in records)
    raw = bytearray(extended_header(len(data)))
    raw[156:157] = kind
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + data + bytes(-len(data) % 512)


FILE = tarfile.TarInfo("x").tobuf()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"user.\xff", "an extended attribute whose name 'user.\\\\udcff' is not UTF-8"),
        (b"", "an extended attribute with a name of 0 bytes"),
        (b"user." + b"n" * 251, "an extended attribute with a name of 256 bytes"),
    ],
)
def test_a_name_that_no_extended_attribute_can_have_is_refused(name, words):
    refused(extended((b"SCHILY.xattr." + name, b"")) + FILE + bytes(1024), f"x has {words}")


@pytest.mark.parametrize(
    ("key", "limit"),
    [(b"path", 1 << 16), (b"linkpath", 1 << 16), (b"uname", 1024), (b"gname", 1024)],
)
def test_texts_have_a_limit(key, limit):
    read(extended((key, b"n" * limit)) + FILE + bytes(1024))
    words = f"x has a {key.decode()} of {limit + 1} bytes, more than {limit}"
    refused(extended((key, b"n" * (limit + 1))) + FILE + bytes(1024), words)
    if key == b"path":
        refused(tar([("n" * (limit + 1), b"")], format=tarfile.GNU_FORMAT), words)


def test_the_extensions_of_one_member_have_a_limit_together():
    many = b"".join(extended((b"comment", b"c" * 99_000)) for _ in range(11))
    refused(many + FILE + bytes(1024), "more than 1048576 bytes of names and attributes for one")
    each = extended((b"comment", b"c" * 99_000)) + FILE
    assert len(read(each * 20 + bytes(1024))) == 20


def test_records_for_all_members_have_a_limit_together():
    each = extended((b"SCHILY.xattr.a", b"c" * 99_000), kind=b"g") + FILE
    refused(each * 11 + bytes(1024), "more than 1048576 bytes of names and attributes")


def test_extended_attributes_have_a_limit(monkeypatch):
    names = [(b"SCHILY.xattr.%d" % number + b"n" * 200, b"") for number in range(330)]
    refused(extended(*names) + FILE + bytes(1024), "more extended attributes than Linux takes")
    monkeypatch.setattr(reader, "_XATTRS_LIMIT", 100)
    few = extended(*names[:9], kind=b"g")
    refused(few + FILE * 12 + bytes(1024), "x has more than 100 extended attributes")


def test_headers_have_a_limit(monkeypatch):
    monkeypatch.setattr(reader, "_MEMBERS_LIMIT", 10)
    refused(FILE * 11 + bytes(1024), "x has more than 10 tar headers")


def test_names_in_records_have_a_limit_together(monkeypatch):
    monkeypatch.setattr(reader, "_TEXTS_LIMIT", 1000)
    refused(
        extended((b"path", b"n" * 300), kind=b"g") + FILE * 4 + bytes(1024),
        "x has more than 1000 bytes of names in records",
    )


def test_pax_records_that_are_empty_or_lead_a_name_elsewhere():
    header = tarfile.TarInfo("x")
    header.pax_headers = {"path": "", "linkpath": ""}
    (member,) = read(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert member.name == "x"
    header.pax_headers = {"path": "a\0b"}
    refused(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024), "bad pax record path")


@pytest.mark.parametrize("value", ["x", "1e9", "", "9" * 30, "1_0", "--1"])
def test_pax_numbers_that_are_none(value):
    header = tarfile.TarInfo("x")
    header.pax_headers = {"uid": value or " "}
    refused(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024), "bad pax record uid")


def test_extended_attributes_may_have_any_value():
    header = tarfile.TarInfo("x")
    header.pax_headers = {"SCHILY.xattr.b": "", "SCHILY.xattr.a": "\n=\0"}
    (member,) = read(header.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert member.xattrs == (("a", b"\n=\0"), ("b", b""))


def test_global_records_go_for_all_members():
    data = tarfile.TarInfo.create_pax_global_header({"uid": "77"})
    found = read(data + tar([("a", b""), ("b", b"")]))
    assert [member.uid for member in found] == [77, 77]


def test_types_are_described():
    kinds = {SYMLINK: "a symbolic link", HARD_LINK: "a hard link"}
    for member in read(tar([("l", link("x")), ("h", link("x", tarfile.LNKTYPE))])):
        assert member.describe() == kinds[member.type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("./a//b/", "a/b"), ("/", "."), ("", "."), ("a/../..", ".."), ("./../x", "../x")],
)
def test_names_are_normalised(name, expected):
    assert normalise(name) == expected
