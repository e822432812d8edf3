"""Store-path layers are byte for byte the reference's."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from builders.console.errors import UserError
from builders.tar import store_layer
from builders.tar.header import BLOCK, RECORD, Entry, PaxStamper, Stamp, pax_header
from builders.tar.sinks import FileSink, HashSink
from builders.tar.store_layer import hash_store_layer, parents, walk, write_store_layer

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
LAYERS = json.loads((GOLDEN / "layers.json").read_text())
ROOT = Stamp(mtime=1, uid=0, gid=0, uname="root", gname="root")


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """A directory that stands for the Nix store, with all golden trees in it."""
    out = tmp_path_factory.mktemp("trees")
    subprocess.run(
        [sys.executable, GOLDEN / "make_tree.py", GOLDEN / "layers.json", out], check=True
    )
    store = tmp_path_factory.mktemp("store")
    for name, tree in LAYERS["trees"].items():
        target = store / tree["storePath"].removeprefix("/nix/store/")
        os.rename(out / name, target)
        # As Nix does when it takes a path into the store.
        for directory, _, files in os.walk(target, topdown=False):
            for file in files:
                path = pathlib.Path(directory, file)
                if not path.is_symlink():
                    path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
            pathlib.Path(directory).chmod(0o555)
        if target.is_file() and not target.is_symlink():
            target.chmod(0o444)
    return store


class InStore(HashSink):
    """Reads the files of /nix/store from another directory."""

    def __init__(self, store):
        super().__init__()
        self.store = store

    def copy(self, path, size):
        super().copy(path.replace("/nix/store", str(self.store), 1), size)


@pytest.mark.parametrize("layer", LAYERS["layers"], ids=lambda layer: "+".join(layer["trees"]))
def test_golden_layer(layer, trees, monkeypatch):
    def walk_as_store(path):
        for name, status in walk(path.replace("/nix/store", str(trees), 1)):
            yield name.replace(str(trees), "/nix/store", 1), status

    real_readlink = os.readlink
    monkeypatch.setattr(store_layer, "walk", walk_as_store)
    monkeypatch.setattr(
        os, "readlink", lambda path: real_readlink(path.replace("/nix/store", str(trees), 1))
    )
    stamp = Stamp(**{key: layer[key] for key in ("mtime", "uid", "gid", "uname", "gname")})
    sink = InStore(trees)
    paths = [LAYERS["trees"][tree]["storePath"] for tree in layer["trees"]]
    size = write_store_layer(sink, paths, stamp=stamp, store_dir="/nix/store")
    assert (sink.digest(), size) == (layer["sha256"], layer["size"])
    assert sink.written == size


def test_layer_written_to_a_pipe_is_the_layer_that_is_hashed(tmp_path):
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    (tmp_path / "small").write_bytes(b"x" * 513)
    (tmp_path / "empty").touch()
    digest, size = hash_store_layer([str(tmp_path)], stamp=ROOT, store_dir="/nix/store")
    reader, writer = os.pipe()
    child = subprocess.Popen(["sha256sum"], stdin=reader, stdout=subprocess.PIPE, text=True)
    os.close(reader)
    sink = FileSink(writer)
    written = write_store_layer(sink, [str(tmp_path)], stamp=ROOT, store_dir="/nix/store")
    sink.flush()
    os.close(writer)
    assert child.communicate()[0].split()[0] == digest
    assert written == size == sink.written
    assert size % RECORD == 0


def test_fast_headers_equal_the_definition():
    stamp = Stamp(mtime=1700000000, uid=1000, gid=100, uname="user", gname="users")
    fast = PaxStamper(stamp)
    for name in ("/nix/store/x", "/" + "n" * 99, "/" + "n" * 100, "/ü", "/\udcff"):
        for link in ("", "t" * 100, "t" * 101, "ü"):
            entry = Entry(
                name=name,
                type=b"2",
                mode=0o777,
                uid=1000,
                gid=100,
                mtime=1700000000,
                linkname=link,
                uname="user",
                gname="users",
            )
            assert fast.header(name, b"2", 0o777, 0, link) == pax_header(entry)


def test_a_size_of_8_gib_goes_into_a_pax_record():
    header = PaxStamper(ROOT).header("/big", b"0", 0o444, 8**11)
    assert len(header) == 3 * BLOCK
    assert b"19 size=8589934592\n" in header


def test_the_store_directory_and_its_parents_come_first():
    assert list(parents("/nix/store")) == ["/nix", "/nix/store"]
    assert list(parents("/srv/a/store")) == ["/srv", "/srv/a", "/srv/a/store"]


def test_a_missing_store_path_is_named(tmp_path):
    with pytest.raises(UserError, match="no-such-path is missing"):
        hash_store_layer([str(tmp_path / "no-such-path")], stamp=ROOT, store_dir="/nix/store")


def test_a_socket_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(UserError, match="is a socket"):
            hash_store_layer([str(tmp_path)], stamp=ROOT, store_dir="/nix/store")


@pytest.mark.parametrize("size", [10, 5 << 20])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_changed_its_size_is_an_error(tmp_path, size, change):
    path = tmp_path / "file"
    path.write_bytes(bytes(size + change))
    with pytest.raises(UserError, match="no longer has the"):
        HashSink().copy(str(path), size)
    with open(tmp_path / "out", "wb") as out, pytest.raises(UserError, match="no longer has the"):
        FileSink(out.fileno()).copy(str(path), size)


def test_an_output_opened_for_appending_works_without_sendfile(tmp_path):
    data = os.urandom(2 << 20)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "out", "ab") as out:
        sink = FileSink(out.fileno())
        sink.copy(str(tmp_path / "in"), len(data))
        sink.flush()
    assert (tmp_path / "out").read_bytes() == data
