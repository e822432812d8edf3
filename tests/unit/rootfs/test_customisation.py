"""Customisation layers are byte for byte what lndir and GNU tar make."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from builders.console.errors import UserError
from builders.layers.tree import write_tree_layer
from builders.rootfs import links
from builders.rootfs.mountpoints import mountpoints
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


def store_tree(tmp_path, name, **files):
    """Make a tree in the store `tmp_path`; a tuple stands for a symlink."""
    tree = tmp_path / name
    for path, content in files.items():
        target = tree / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            target.symlink_to(*content)
        else:
            target.write_text(content)
    return tree


@pytest.fixture
def link_trees(tmp_path, root):
    """Link trees into the root, whose store is `tmp_path`."""

    def link(*trees):
        for tree in trees:
            links.link_tree(str(tree), str(root), store_dir=str(tmp_path))

    return link


def test_files_become_absolute_links_and_symlinks_are_copied(tmp_path, root, link_trees):
    tree = store_tree(tmp_path, "tree", bin__hello="hi", bin__relative=("hello",))
    link_trees(tree)
    assert os.readlink(root / "bin/hello") == str(tree / "bin/hello")
    assert os.readlink(root / "bin/relative") == "hello"
    assert (root / "bin").stat().st_mode & 0o777 == 0o755


def test_the_first_tree_wins(tmp_path, root, link_trees):
    first = store_tree(tmp_path, "first", same="1", only__first="1")
    second = store_tree(tmp_path, "second", same="2", only__second="2")
    link_trees(first, second)
    assert (root / "same").read_text() == "1"
    assert sorted(os.listdir(root / "only")) == ["first", "second"]


def test_a_directory_linked_from_the_store_and_a_real_one_merge(tmp_path, root, link_trees):
    target = store_tree(tmp_path, "target", lib__a="a", lib__up=("../share",), share__x="x")
    first = store_tree(tmp_path, "first", lib=(target / "lib",))
    second = store_tree(tmp_path, "second", lib__b="b")
    link_trees(first, second)
    assert sorted(os.listdir(root / "lib")) == ["a", "b", "up"]
    assert sorted(os.listdir(target / "lib")) == ["a", "up"]
    # A link that is relative to where it was still leads to the same.
    assert (root / "lib/up/x").read_text() == "x"


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (".", "bin/env"),
        ("/", "bin/env"),
        ("other", "other/bin/env"),
        ("/other", "other/bin/env"),
        ("../../other", "other/bin/env"),
        ("missing/deep", "missing/deep/bin/env"),
        # What the machine that builds has there is of no interest.
        ("/etc", "etc/bin/env"),
    ],
)
def test_a_directory_goes_where_a_link_leads_in_the_image(
    tmp_path, root, link_trees, target, place
):
    first = store_tree(tmp_path, "first", usr=(target,), other__a="a")
    second = store_tree(tmp_path, "second", usr__bin__env="env")
    link_trees(first, second)
    assert os.readlink(root / "usr") == target
    assert os.readlink(root / place) == str(second / "usr/bin/env")
    assert {path.name for path in root.iterdir()} == {"usr", "other", place.split("/")[0]}


@pytest.mark.parametrize("target", ["usr", "file", "file/x", "STORE/nothing", "STORE/out"])
def test_a_directory_that_a_link_leaves_no_place_for_is_warned_of(
    tmp_path, root, link_trees, target, capfd
):
    (tmp_path / "out").symlink_to("/etc")
    target = target.replace("STORE", str(tmp_path))
    first = store_tree(tmp_path, "first", usr=(target,), file="f")
    second = store_tree(tmp_path, "second", usr__bin="bin", more="more")
    link_trees(first, second)
    assert os.readlink(root / "usr") == target
    assert (root / "more").exists()
    assert sorted(os.listdir(root)) == ["file", "more", "usr"]
    assert f"{second}/usr is a directory, but an earlier tree brings /usr" in capfd.readouterr().err


def test_what_lndir_leaves_out_stays_out(tmp_path, root, link_trees, capfd):
    tree = store_tree(
        tmp_path, "tree", **{"a~": "", "CVS__x": "", "d__.svn__x": "", "d__RCS": "", "CVSx": ""}
    )
    link_trees(tree)
    assert sorted(os.listdir(root)) == ["CVSx", "d"]
    assert os.listdir(root / "d") == ["RCS"]
    said = capfd.readouterr().err
    assert f"warning: contents: {tree}/CVS stays out of the image" in said
    assert said.count("stays out") == 3


def test_a_file_as_contents_is_an_error_with_a_remedy(tmp_path, link_trees):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, but only directories"):
        link_trees(tmp_path / "file")


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
    golden = pathlib.Path(__file__).parents[2] / "golden/customisation.json"
    assert len(json.loads(golden.read_text())["layers"]) == 8
