"""Trees of symlinks are what lndir makes."""

import os

import pytest

from builders.console.errors import UserError
from builders.rootfs.links import link_tree


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir(mode=0o755)
    return path


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
            link_tree(
                str(tree),
                str(root),
                store_dir=str(tmp_path),
                what="contents",
                file_hint="use writeTextDir",
            )

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
