"""The reader beside libarchive, which others wrote and test.

Where both take an archive, both see the same members and contents. docs/how-it-works.md says why
libarchive reads no whole layers.
"""

import io
import random
import tarfile

import pytest
from libarchive.exception import ArchiveError

from builders.console.errors import UserError
from builders.tar.header import HARD_LINK, REGULAR, SPARSE, extended_header, pax_record
from builders.tar.reader import Scan
from builders.tar.tape import Tape
from tests.unit import second_opinion
from tests.unit.archives import (
    SPARSE_FORMS,
    directory,
    directory_header,
    gnu_tar,
    hard,
    layer_of,
    link,
    link_to,
    member,
    sparse,
    special,
    tar,
    write_sparse,
)


def ours(data):
    """The members in `data`, and the content of each."""
    members = list(Scan(Tape(io.BytesIO(data), what="x")))
    contents = []
    for found in members:
        content = bytearray(found.size)
        stored = data[found.offset : found.offset + found.stored]
        start = 0
        for extent in found.extents if found.type == SPARSE else [(0, found.size)]:
            content[extent[0] : extent[0] + extent[1]] = stored[start : start + extent[1]]
            start += extent[1]
        contents.append(bytes(content))
    return list(zip(second_opinion.of_members(members), contents, strict=True))


def records(*pairs):
    """An extended header."""
    data = b"".join(pax_record(key, value) for key, value in pairs)
    return extended_header(len(data)) + data + bytes(-len(data) % 512)


def field(start, value):
    """An archive of one file with `value` at `start` of its header."""
    raw = bytearray(tarfile.TarInfo("x").tobuf()[:512])
    raw[start : start + len(value)] = value
    return sealed(raw) + bytes(1024)


def sealed(header):
    """A header with the checksum that it should have."""
    total = sum(header[:148]) + 8 * 32 + sum(header[156:512])
    return bytes(header[:148]) + b"%06o\0 " % total + bytes(header[156:512])


def _link_with_a_size():
    raw = bytearray(tarfile.TarInfo("x").tobuf())
    raw[124:135] = b"%011o" % 600
    raw[156:158] = b"2y"
    return sealed(raw) + bytes(1024)


FILE = tarfile.TarInfo("x").tobuf() + bytes(1024)

PLAIN = {
    "an end and nothing else": bytes(1024),
    "files and directories": layer_of(directory("d"), member("d/f", b"f" * 600), member("e")),
    "links": layer_of(member("f", b"f"), link_to("h", "f"), member("l", kind=b"2", linkname="t")),
    "devices": layer_of(
        member("c", kind=b"3", devmajor=5, devminor=300),
        member("b", kind=b"4", devmajor=8, devminor=1),
        member("p", kind=b"6"),
    ),
    "whiteouts": tar([("d/.wh.a", b""), ("d/.wh..wh..opq", b"")]),
    "a name twice": tar([("a", b"1"), ("a", b"2")]),
    "names that lead out": tar([("../a", b"1"), ("/b", b"2"), ("c/../../d", b"3")]),
    "names of all lengths": tar([("a/" * n + "b" * (n % 90), b"") for n in range(1, 200, 7)]),
    "long names of GNU tar": tar(
        [("n" * 150, link("t" * 300)), ("m" * 100, b""), ("h", hard("n" * 150))],
        format=tarfile.GNU_FORMAT,
    ),
    "prefixes of ustar": tar([("p" * 90 + "/" + "n" * 90, b"")], format=tarfile.USTAR_FORMAT),
    "names in normal form D": tar([("e\u0301", link("o\u0308"))]),
    "names that are not UTF-8": tar([("\udce9", link("\udcff"))]),
    "such names of GNU tar": tar([("\udce9", link("\udcff"))], format=tarfile.GNU_FORMAT),
    "such names that say to be": records((b"path", b"\xe9")) + FILE,
    "large numbers of GNU tar": tar(
        [("a", b"")], format=tarfile.GNU_FORMAT, uid=1 << 31, gid=1 << 40, mtime=1 << 36
    ),
    "negative times": tar([("a", b"")], format=tarfile.GNU_FORMAT, mtime=-5),
    "large numbers of pax": tar([("a", b"")], uid=1 << 31, gid=1 << 40, mtime=1 << 36),
    "fractions": records((b"mtime", b"1.75")) + FILE,
    "users": tar([("a", b"")], uname="\u00fcser", gname="group"),
    "extended attributes": records(
        (b"SCHILY.xattr.user.a", b"1"),
        (b"SCHILY.xattr.user.b", b""),
        (b"SCHILY.xattr.user.c=d", b"1=2\n3\n"),
        (b"SCHILY.xattr.security.capability", bytes(range(256))),
    )
    + FILE,
    "contiguous files": layer_of(member("c", b"abc", kind=b"7")),
    "directories of before POSIX": layer_of(member("d/", kind=b"\0")),
    "numbers among spaces": field(108, b"   12 \0 "),
    "links with a size": _link_with_a_size(),
    "a second archive behind the first": tar([("a", b"1")]) + tar([("b", b"2")]),
    "anything behind the end": FILE + b"anything",
    "no padding": tar([("a", b"1" * 512)], padded=False),
    "records of others": records((b"comment", b"x"), (b"VENDOR.key", b"y")) + FILE,
    "an empty record": records((b"path", b"")) + FILE,
    "a size in a record": records((b"size", b"3"))
    + tarfile.TarInfo("x").tobuf()
    + b"abc".ljust(512, b"\0")
    + bytes(1024),
    "sparse": layer_of(sparse("s", b"8 bytes!", size=99, extents=[(1, 4), (50, 4)])),
}


@pytest.mark.parametrize("name", PLAIN)
def test_both_see_the_same(name):
    assert ours(PLAIN[name]) == second_opinion.read(PLAIN[name])


@pytest.mark.parametrize("format", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_both_see_the_same_in_what_gnu_tar_writes(tmp_path, format):
    (tmp_path / "d").mkdir(mode=0o2711)
    (tmp_path / "d" / "f").write_bytes(b"f" * 5000)
    (tmp_path / "h").hardlink_to(tmp_path / "d" / "f")
    (tmp_path / "l").symlink_to("d/f")
    if format not in ("v7", "ustar"):
        (tmp_path / ("n" * 200)).mkdir()
        (tmp_path / ("n" * 200) / "é").write_bytes(b"")
    data = gnu_tar(tmp_path, f"--format={format}", "--owner=1:2")
    assert ours(data) == second_opinion.read(data)


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_both_see_the_same_in_sparse_files(tmp_path, form):
    pieces = [(number * 100_000, b"%d" % number) for number in range(40)]
    write_sparse(tmp_path / "many", 5 << 20, pieces)
    write_sparse(tmp_path / "none", 1 << 20, [])
    data = gnu_tar(tmp_path, *SPARSE_FORMS[form])
    assert ours(data) == second_opinion.read(data)


REFUSED_BY_BOTH = {
    "a bad checksum": FILE[:5] + b"x" + FILE[6:],
    "a header cut off": FILE[:500],
    "content cut off": tar([("a", b"1" * 600)])[:1000],
    "a negative size": field(124, b"\xff" * 12),
    "a record with a length beyond the header's": records((b"a", b"b")).replace(b"6 a", b"9 a")
    + FILE,
    "a sparse map of letters": layer_of(sparse("s", b"", size=9, extents=[("x", 1)])),
}


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_both_refuse(name):
    with pytest.raises(UserError):
        ours(REFUSED_BY_BOTH[name])
    with pytest.raises(ArchiveError):
        second_opinion.read(REFUSED_BY_BOTH[name])


REFUSED_HERE = {
    "an end behind an extended header": FILE[:512] + records((b"path", b"y")) + bytes(1024),
    "a number that is none": records((b"uid", b"1e9")) + FILE,
    "a number out of range": records((b"uid", b"9" * 30)) + FILE,
    "a name with a zero byte": records((b"path", b"a\0b")) + FILE,
    "a field that is no number": FILE[:512] + field(108, b"zzzzzzz\0"),
    "one zero block before more": FILE[:512] + bytes(512) + FILE,
}


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_libarchive_takes_or_took_in_some_version_is_refused_here(name):
    with pytest.raises(UserError):
        ours(REFUSED_HERE[name])


def test_a_type_that_nobody_knows_stays_what_it_is():
    data = layer_of(member("z", b"abc", kind=b"Z"))
    assert [(found[1], content) for found, content in ours(data)] == [(b"Z", b"abc")]
    assert [found[1] for found, _ in second_opinion.read(data)] == [REGULAR]


def test_an_attribute_that_is_given_twice_has_the_last_value():
    data = records((b"SCHILY.xattr.user.a", b"1"), (b"SCHILY.xattr.user.a", b"2")) + FILE
    assert [found[-1] for found, _ in ours(data)] == [(("user.a", b"2"),)]


# Archives that nobody thought of


def _archive(chance):
    format = chance.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    target = "t" * (20 if format == tarfile.USTAR_FORMAT else 120)
    with_xattr = special(tarfile.REGTYPE, pax_headers={"SCHILY.xattr.user.a": "v\n=1"})
    members = [("d", directory_header()), ("d/f", b"x" * 600), ("l", link(target))]
    return bytearray(
        tar([*members, ("h", hard("d/f")), ("x", with_xattr), ("z", b"")], format=format)
    )


def _damage(data, chance):
    """Change some bytes of a header, or of the records behind it, and make the checksum right."""
    headers = [
        at for at in range(0, len(data) - 1024, 512) if data[at + 257 : at + 262] == b"ustar"
    ]
    at = chance.choice(headers)
    for _ in range(chance.choice([1, 1, 2, 4])):
        # Behind them libarchive finds the size of a sparse file, whether it is one or not.
        low, high = chance.choice([(0, 345), (100, 157), (512, 1024)])
        values = [0, 32, 48, 49, 55, 56, 128, 255, chance.randrange(256)]
        data[at + chance.randrange(low, high)] = chance.choice(values)
    data[at : at + 512] = sealed(data[at : at + 512])
    return bytes(data)


def test_damaged_headers_with_a_right_checksum_are_refused_or_read_as_libarchive_does():
    chance = random.Random(14)
    same = 0
    for _ in range(5000):
        data = _damage(_archive(chance), chance)
        try:
            found = ours(data)
            expected = second_opinion.read(data)
        except (UserError, ArchiveError):
            continue
        if _is_seen_otherwise(found, expected):
            continue
        assert found == expected, data
        same += 1
    assert same > 1000


def _is_seen_otherwise(found, expected):
    """Whether a member is of a type that libarchive takes for another, or has a negative owner.

    Such members are refused by who gets them: builders.rootfs.merge_layers.
    """
    known = (*second_opinion.TYPES.values(), HARD_LINK)
    types = [member[1] for member, _ in found]
    has_owners = all(min(member[3:5]) >= 0 for member, _ in found)
    same_types = types == [member[1] for member, _ in expected]
    return not (has_owners and same_types and all(kind in known for kind in types))
