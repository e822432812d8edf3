"""Customisation layers are byte for byte what lndir and GNU tar make."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from builders.console.errors import UserError
from builders.rootfs.links import link_tree
from builders.rootfs.mountpoints import mountpoints
from builders.tar.sinks import HashSink
from builders.tar.tree_layer import Owner, write_tree_layer

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


class Collected(HashSink):
    """A sink that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.data = b""

    def write(self, data):
        super().write(data)
        self.data += data

    def copy(self, file, size, path):
        self.write(os.read(file, size))


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


def store_tree(tmp_path, name, **files):
    tree = tmp_path / name
    for path, text in files.items():
        target = tree / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tree


def test_files_become_absolute_links_and_symlinks_are_copied(tmp_path, root):
    tree = store_tree(tmp_path, "tree", bin__hello="hi")
    (tree / "bin/relative").symlink_to("hello")
    link_tree(str(tree), str(root))
    assert os.readlink(root / "bin/hello") == str(tree / "bin/hello")
    assert os.readlink(root / "bin/relative") == "hello"
    assert (root / "bin").stat().st_mode & 0o777 == 0o755


def test_the_first_tree_wins(tmp_path, root):
    first = store_tree(tmp_path, "first", same="1", only__first="1")
    second = store_tree(tmp_path, "second", same="2", only__second="2")
    link_tree(str(first), str(root))
    link_tree(str(second), str(root))
    assert (root / "same").read_text() == "1"
    assert sorted(os.listdir(root / "only")) == ["first", "second"]


def test_a_linked_directory_and_a_real_one_merge(tmp_path, root):
    target = store_tree(tmp_path, "target", a="a")
    first = tmp_path / "first"
    first.mkdir()
    (first / "lib").symlink_to(target)
    second = store_tree(tmp_path, "second", lib__b="b")
    link_tree(str(first), str(root))
    link_tree(str(second), str(root))
    assert sorted(os.listdir(root / "lib")) == ["a", "b"]
    assert sorted(os.listdir(target)) == ["a"]


def test_a_file_as_contents_is_an_error_with_a_remedy(tmp_path, root):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, but only directories"):
        link_tree(str(tmp_path / "file"), str(root))


def test_mountpoints_go_away_but_what_scripts_left_stays(root):
    (root / "nix").mkdir()
    with mountpoints(str(root), ["/proc", "/nix/store", "/dev"], attribute="fakeRootCommands"):
        assert (root / "nix/store").is_dir()
        (root / "dev/left").touch()
    assert sorted(os.listdir(root)) == ["dev", "nix"]
    assert os.listdir(root / "nix") == []


def test_a_link_in_the_way_of_a_mount_is_an_error(root):
    (root / "proc").symlink_to("/elsewhere")
    with (
        pytest.raises(UserError, match="/proc"),
        mountpoints(str(root), ["/proc"], attribute="fakeRootCommands"),
    ):
        pass
    shutil.rmtree(root)


def test_golden_data_is_complete():
    golden = pathlib.Path(__file__).parents[1] / "golden/customisation.json"
    assert len(json.loads(golden.read_text())["layers"]) == 8
