"""Layers of a tree are byte for byte what GNU tar makes."""

import json
import os
import pathlib
import subprocess

import pytest

from builders.layers.tree import write_tree_layer
from builders.tar.header import Owner
from tests.unit.support import Collected

MTIME = 315532800
TAR = [
    "tar",
    "--sort=name",
    "--numeric-owner",
    "--hard-dereference",
    f"--mtime=@{MTIME}",
    "--format=gnu",
    "-cf",
    "-",
]


def layer(root, **options):
    sink = Collected()
    write_tree_layer(sink, str(root), mtime=MTIME, **options)
    return sink.data


def gnu_tar(root, *options):
    return subprocess.run([*TAR, *options, "-C", root, "."], check=True, capture_output=True).stdout


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir(mode=0o755)
    return path


def test_names_and_links_at_and_over_the_limits(root):
    for length in (1, 96, 97, 98, 99, 100, 101, 250):
        (root / ("f" * length)).write_bytes(b"x" * length)
        (root / ("d" * length)).mkdir()
        (root / f"link-{length}").symlink_to("t" * length)
    (root / ("l" * 150)).symlink_to("t" * 150)
    assert layer(root) == gnu_tar(root)


def test_odd_names(root):
    for name in (
        "ünïcode",
        "with space",
        "new\nline",
        "back\\slash",
        "-dash",
        os.fsdecode(b"\xff"),
    ):
        (root / name).touch()
    assert layer(root) == gnu_tar(root)


def test_order_goes_by_bytes(root):
    for name in ("é".encode(), b"\xa9", b"\xff", "\U0001f600".encode(), "\uffff".encode()):
        (root / os.fsdecode(name)).touch()
    assert layer(root) == gnu_tar(root)


def test_order_goes_by_name_within_each_directory(root):
    (root / "a").mkdir()
    for name in ("a/b", "a-b", "a.b", "A", "a/b-c", "_"):
        (root / name).touch()
    assert layer(root) == gnu_tar(root)


def test_fifos_devices_modes_and_owners(root):
    os.mkfifo(root / "fifo")
    (root / "suid").touch()
    (root / "suid").chmod(0o4755)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o20666, os.makedev(1, 3))
        os.mknod(root / "disk", 0o60660, os.makedev(259, 1048575))
        os.chown(root / "suid", 2097151, 2097152)
        os.chown(root / "tmp", 4294967294, 1)
    assert layer(root) == gnu_tar(root)


def test_hard_links_are_files_of_their_own(root):
    (root / "a").write_text("same")
    os.link(root / "a", root / "b")
    assert layer(root) == gnu_tar(root)


def test_a_given_owner_replaces_all(root):
    (root / "a").touch()
    expected = gnu_tar(root, "--owner=7", "--group=8")
    assert layer(root, owner=Owner(7, 8)) == expected


@pytest.mark.parametrize("uid", [0, 54321])
def test_owners_with_names(root, uid):
    (root / ("f" * 120)).touch()
    (root / "link").symlink_to("t" * 120)
    named = [option for option in TAR if option != "--numeric-owner"]
    expected = subprocess.run(
        [*named, f"--owner={uid}", f"--group={uid}", "-C", root, "."],
        check=True,
        capture_output=True,
    ).stdout
    assert layer(root, owner=Owner(uid, uid), numeric_owner=False) == expected


def test_excluded_names_stay_out_with_all_below_them(root):
    (root / "nix/store/x").mkdir(parents=True)
    (root / "proc").mkdir()
    (root / "sub/proc").mkdir(parents=True)
    expected = gnu_tar(root, "--exclude=./proc", "--exclude=./nix/store")
    assert layer(root, exclude=["proc", "nix/store"]) == expected


def test_extended_attributes_make_it_a_pax_layer(root, tmp_path):
    file = root / "file"
    file.write_text("content")
    try:
        os.setxattr(file, "user.note", b"bin\x00ary")
    except OSError:
        os.chdir(root)  # a file system without user attributes: let the copy below show it
        raise
    archive = tmp_path / "layer.tar"
    archive.write_bytes(layer(root))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "--xattrs", "-C", out, "-xf", archive], check=True)
    assert os.getxattr(out / "file", "user.note") == b"bin\x00ary"
    assert (out / "file").read_text() == "content"


def test_attributes_of_the_host_stay_out(root, monkeypatch):
    (root / "file").touch()
    expected = layer(root, owner=Owner(0, 0))
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["system.posix_acl_access", "user.x"])
    monkeypatch.setattr(os, "getxattr", lambda *_, **__: b"value")
    assert b"posix_acl_access" in layer(root)
    assert b"posix_acl_access" not in layer(root, owner=Owner(0, 0))
    assert b"user.x" in layer(root, owner=Owner(0, 0))
    assert b"ustar  " in expected


def test_golden_data_is_complete():
    golden = pathlib.Path(__file__).parents[2] / "golden/customisation.json"
    assert len(json.loads(golden.read_text())["layers"]) == 8
