"""Store-path layers are byte for byte what tarfile makes by the reference's rules."""

import hashlib
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tarfile

import pytest

from builders.console.errors import UserError
from builders.layers.store_paths import hash_store_layer, parents, write_store_layer
from builders.tar.header import BLOCK, RECORD, Attributes, Entry, Owner, pax_header
from builders.tar.sinks import FileSink, HashSink, copy_file

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
LAYERS = json.loads((GOLDEN / "layers.json").read_text())
ROOT = Attributes(Owner(0, 0, "root", "root"), mtime=1)


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """The golden trees, outside of any store; tests/nix compares their digests in one."""
    out = tmp_path_factory.mktemp("trees")
    subprocess.run(
        [sys.executable, GOLDEN / "make_tree.py", GOLDEN / "layers.json", out], check=True
    )
    return out


def by_tarfile(paths, attributes, store_dir):
    """The layer as the rules say it, written with the standard library."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:

        def add(info, file=None):
            info.mtime = attributes.mtime
            info.uid, info.gid, info.uname, info.gname = attributes.owner
            archive.addfile(info, file)

        for directory in parents(store_dir):
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            add(info)
        for path in paths:
            top = pathlib.Path(path)
            below = [
                pathlib.Path(directory, name)
                for directory, directories, names in os.walk(top)
                for name in directories + names
                if not top.is_symlink()
            ]
            for file in sorted([top, *below]):
                archive.inodes = {}  # type: ignore[attr-defined]  # no hard links
                info = archive.gettarinfo(file)
                info.name = str(file)
                if info.isreg():
                    with file.open("rb") as content:
                        add(info, content)
                else:
                    add(info)
    return target.getvalue()


def assert_like_tarfile(paths, attributes=ROOT, store_dir="/nix/store"):
    expected = by_tarfile(paths, attributes, store_dir)
    digest, size = hash_store_layer(
        [str(path) for path in paths], attributes=attributes, store_dir=store_dir
    )
    assert (digest, size) == (hashlib.sha256(expected).hexdigest(), len(expected))


@pytest.mark.parametrize("layer", LAYERS["layers"], ids=lambda layer: "+".join(layer["trees"]))
def test_golden_trees_come_out_as_tarfile_writes_them(layer, trees):
    owner = Owner(*(layer[key] for key in ("uid", "gid", "uname", "gname")))
    assert_like_tarfile(
        [trees / name for name in layer["trees"]], Attributes(owner, mtime=layer["mtime"])
    )


@pytest.mark.parametrize("mtime", [0, -5, 8**11])
@pytest.mark.parametrize("uname", ["root", "n" * 32, "n" * 33, "ü"])
def test_odd_owners_and_times(trees, mtime, uname):
    attributes = Attributes(Owner(8**7 - 1, 8**7, uname), mtime=mtime)
    assert_like_tarfile([trees / "plain", trees / "names-at-the-limit"], attributes)


@pytest.mark.parametrize("length", [*range(80, 104), 255])
def test_names_and_links_of_every_length_around_the_limit(tmp_path, length):
    room = tmp_path / "d"
    room.mkdir()
    short = max(1, length - len(str(room)) - 1)
    (room / ("f" * short)).write_bytes(b"x" * length)
    (room / ("l" * short)).symlink_to("t" * length)
    (room / ("ü" * (short // 2 + 1))).symlink_to("t" * length)
    (room / "link").symlink_to("ü" * length)
    (room / ("e" * short)).mkdir()
    assert_like_tarfile([room])


def test_names_that_are_no_utf_8_are_sorted_as_text(tmp_path):
    for name in (b"\xff", b"\xf0\x9f\x98\x80", b"\xee\x80\x80", b"a", b"\xc3\xbc", b"\x80"):
        (tmp_path / os.fsdecode(name)).touch()
    assert_like_tarfile([tmp_path])


def test_another_store_directory_has_other_parents(trees):
    assert_like_tarfile([trees / "plain"], store_dir="/srv/guix/store")


def test_fifos_and_devices_stay_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert_like_tarfile([tmp_path])


def test_layer_written_to_a_pipe_is_the_layer_that_is_hashed(tmp_path):
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    (tmp_path / "small").write_bytes(b"x" * 513)
    (tmp_path / "empty").touch()
    digest, size = hash_store_layer([str(tmp_path)], attributes=ROOT, store_dir="/nix/store")
    reader, writer = os.pipe()
    child = subprocess.Popen(["sha256sum"], stdin=reader, stdout=subprocess.PIPE, text=True)
    os.close(reader)
    sink = FileSink(writer)
    written = write_store_layer(sink, [str(tmp_path)], attributes=ROOT, store_dir="/nix/store")
    sink.flush()
    os.close(writer)
    assert child.communicate()[0].split()[0] == digest
    assert written == size == sink.written
    assert size % RECORD == 0


def test_a_size_of_8_gib_goes_into_a_pax_record():
    entry = Entry(name="/big", type=b"0", mode=0o444, uid=0, gid=0, mtime=1, size=8**11)
    header = pax_header(entry)
    assert len(header) == 3 * BLOCK
    assert b"19 size=8589934592\n" in header


def test_the_store_directory_and_its_parents_come_first():
    assert list(parents("/nix/store")) == ["/nix", "/nix/store"]
    assert list(parents("/srv/a/store")) == ["/srv", "/srv/a", "/srv/a/store"]


def test_a_missing_store_path_is_named(tmp_path):
    with pytest.raises(UserError, match="no-such-path is missing"):
        hash_store_layer([str(tmp_path / "no-such-path")], attributes=ROOT, store_dir="/nix/store")


def test_a_socket_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(UserError, match="is a socket"):
            hash_store_layer([str(tmp_path)], attributes=ROOT, store_dir="/nix/store")


@pytest.mark.parametrize("size", [10, 5 << 20])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_changed_its_size_is_an_error(tmp_path, size, change):
    path = tmp_path / "file"
    path.write_bytes(bytes(size + change))
    with pytest.raises(UserError, match="no longer has the"):
        copy_file(HashSink(), str(path), size)
    with open(tmp_path / "out", "wb") as out, pytest.raises(UserError, match="no longer has the"):
        copy_file(FileSink(out.fileno()), str(path), size)


def test_an_output_opened_for_appending_works_without_sendfile(tmp_path):
    data = os.urandom(2 << 20)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "out", "ab") as out:
        sink = FileSink(out.fileno())
        copy_file(sink, str(tmp_path / "in"), len(data))
        sink.flush()
    assert (tmp_path / "out").read_bytes() == data
