"""Each group of entries has its own owner, time, mode and extended attributes."""

import io
import os
import tarfile

import pytest

from builders.console.errors import UserError
from builders.layers import helpers as helpers_module
from builders.layers.entries import EntryWriter, Group
from builders.layers.helpers import Helpers
from builders.layers.store_paths import hash_store_layer, write_store_layer
from builders.tar.header import (
    BLOCK,
    REGULAR,
    SYMLINK,
    Attributes,
    Entry,
    Owner,
    end_of_archive,
    pax_header,
)
from builders.tar.sinks import HashSink
from tests.unit.support import Collected, deadline

ROOT = Attributes(Owner(0, 0, "root", "root"), mtime=1)
USER = Attributes(Owner(7, 8, "user", "group"), mtime=-3, mode=0o2640)
NOTED = Attributes(
    Owner(12, 13, "some"), mtime=99, mode=0o751, xattrs=(("user.note", b"bin\x00ary"),)
)
ALL = (ROOT, USER, NOTED, ROOT)

SHORT, LONG, ODD, LINK, DIRECTORY = b"a", b"b" * 150, "é".encode(), b"link", b"z"
NAMES = (SHORT, LONG, ODD, LINK, DIRECTORY)


@pytest.fixture
def root(tmp_path):
    """A directory with a file of each kind of name, a link and a directory."""
    for name in (SHORT, LONG, ODD):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(name * 300)
        path.chmod(0o444)
    (tmp_path / os.fsdecode(LINK)).symlink_to("target")
    (tmp_path / os.fsdecode(DIRECTORY)).mkdir(mode=0o555)
    return os.fsencode(tmp_path) + b"/"


def groups(root):
    return [Group(root, NAMES, b"\1\1\1\0\0", attributes) for attributes in ALL]


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data + end_of_archive(len(data)))) as archive:
        return [
            (info, archive.extractfile(info).read() if info.isreg() else b"") for info in archive
        ]


def alone(root):
    sink = Collected()
    writer = EntryWriter(sink)
    for group in groups(root):
        writer.add(group)
    writer.flush()
    return sink.data


def by_a_helper(root, monkeypatch, *, shares_memory):
    monkeypatch.setattr(helpers_module, "_OWN_BATCH", 1)
    sink = Collected()
    sink.shares_memory = shares_memory
    writer = EntryWriter(sink)
    with Helpers(1) as helpers:
        size = helpers.write(groups(root), writer, sink)
        writer.flush()
        assert size > len(sink.data) // 2
        assert size + writer.size == len(sink.data)
    return sink.data


def check(attributes, info):
    owner = attributes.owner
    assert (info.uid, info.gid, info.uname, info.gname) == owner
    assert info.mtime == attributes.mtime
    if info.issym():
        assert (info.mode, info.linkname) == (0o777, "target")
    elif attributes.mode is None:
        assert info.mode == (0o555 if info.isdir() else 0o444)
    else:
        assert info.mode == attributes.mode
    found = {key: value for key, value in info.pax_headers.items() if "xattr" in key}
    wanted = {f"SCHILY.xattr.{name}": value.decode() for name, value in attributes.xattrs}
    assert found == wanted


@pytest.mark.parametrize("writer", ["alone", "helper", "helper in memory"])
def test_tarfile_reads_what_each_group_says(root, monkeypatch, writer):
    if writer == "alone":
        data = alone(root)
    else:
        data = by_a_helper(root, monkeypatch, shares_memory=writer != "helper")
    read = members(data)
    assert [info.name for info, _ in read] == [os.fsdecode(root + name) for name in NAMES] * 4
    for number, (info, content) in enumerate(read):
        check(ALL[number // len(NAMES)], info)
        assert content == (NAMES[number % len(NAMES)] * 300 if info.isreg() else b"")


@pytest.mark.parametrize("kind", [REGULAR, SYMLINK])
def test_a_group_of_another_owner_and_mode_has_plain_headers(root, kind):
    sink = Collected()
    writer = EntryWriter(sink)
    attributes = Attributes(USER.owner, mtime=5, mode=0o640)
    name = SHORT if kind == REGULAR else LINK
    writer.add(Group(root, [name], bytes([kind == REGULAR]), attributes))
    writer.flush()
    expected = pax_header(
        Entry(
            name=os.fsdecode(root + name),
            type=kind,
            mode=0o640 if kind == REGULAR else 0o777,
            uid=7,
            gid=8,
            mtime=5,
            size=300 if kind == REGULAR else 0,
            linkname="" if kind == REGULAR else "target",
            uname="user",
            gname="group",
        )
    )
    assert len(expected) == BLOCK
    assert sink.data[:BLOCK] == expected
    assert len(sink.data) == (2 * BLOCK if kind == REGULAR else BLOCK)


@pytest.mark.parametrize("attributes", [USER, NOTED])
def test_a_store_layer_has_the_attributes_and_its_parents_owner_and_time(root, attributes):
    sink = Collected()
    path = os.fsdecode(root[:-1])
    store_dir = os.path.dirname(path)
    size = write_store_layer(sink, [path], attributes=attributes, store_dir=store_dir)
    assert size == len(sink.data)
    with tarfile.open(fileobj=io.BytesIO(sink.data)) as archive:
        found = archive.getmembers()
    above = store_dir.count("/")
    for info in found[:above]:
        assert (info.uid, info.mode, info.mtime) == (attributes.owner.uid, 0o755, attributes.mtime)
        assert not any("xattr" in key for key in info.pax_headers)
    assert found[above].mode == attributes.mode
    for info in found[above + 1 :]:
        check(attributes, info)


def test_attributes_that_fill_the_pipes_both_ways_stop_nobody(root, monkeypatch):
    monkeypatch.setattr(helpers_module, "_OWN_BATCH", 1)
    monkeypatch.setattr(helpers_module, "_BATCH", 24)
    many = [
        Group(root, [SHORT], b"\1", Attributes(Owner(0, 0), 1, xattrs=(("user.n", value),)))
        for value in (b"%03d" % number * 20_000 for number in range(80))
    ]
    expected, sink = Collected(), Collected()
    writer = EntryWriter(expected)
    for group in many:
        writer.add(group)
    writer.flush()
    writer = EntryWriter(sink)
    with deadline(60), Helpers(1) as helpers:
        helpers.write(many, writer, sink)
        writer.flush()
    assert sink.data == expected.data


@pytest.mark.parametrize("sink_type", [Collected, HashSink])
def test_the_remedy_of_a_helper_is_the_callers(root, monkeypatch, sink_type):
    monkeypatch.setattr(helpers_module, "_OWN_BATCH", 1)
    sink = sink_type()
    writer = EntryWriter(sink, hint="ask the caller")
    group = Group(root, [SHORT, b"no-such-file"], b"\1\1", ROOT)
    with Helpers(1) as helpers, pytest.raises(UserError) as failed:
        helpers.write([group], writer, sink)
    path = os.fsdecode(root + b"no-such-file")
    assert (failed.value.message, failed.value.hint) == (f"{path} is missing", "ask the caller")


def test_a_missing_store_path_has_the_callers_remedy(tmp_path):
    with pytest.raises(UserError) as failed:
        hash_store_layer(
            [str(tmp_path / "none")], attributes=ROOT, store_dir=str(tmp_path), hint="look there"
        )
    assert failed.value.message == f"store path {tmp_path}/none is missing"
    assert failed.value.hint == "look there"


def test_the_error_of_a_helper_that_is_gone_is_not_lost(root):
    sink = Collected()
    bad = Group(root, [b"no-such-file"], b"\1", ROOT)
    with Helpers(1) as helpers:
        helper = helpers._helper(0)
        helper.give([bad], sink, hint="ask the caller")
        os.waitid(os.P_PID, helper._process, os.WEXITED | os.WNOWAIT)
        helper.give([bad], sink, hint="ask the caller")
        with pytest.raises(UserError, match="no-such-file is missing"):
            helper.collect(sink, hint="ask the caller")
