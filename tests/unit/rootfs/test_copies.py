"""copyToRoot: what rsync does with -k or -K, and nothing outside of the root."""

import os
import stat
import subprocess
from typing import Any

import pytest

from builders.console.errors import UserError
from builders.rootfs.copies import Copier, CopyWords

WORDS = CopyWords(what="copies", circle_hint="cut it", special_hint="make it yourself")


def make(directory, **files):
    """A tree: text is a file's content, a tuple's only element a symlink's target."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            path.symlink_to(content[0])
        elif content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_text(content)
    return directory


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


def copy(root, *sources, keep_dirlinks=False):
    copier = Copier(str(root), keep_dirlinks=keep_dirlinks, words=WORDS)
    for source in sources:
        copier.add(str(source))
    return copier


def listing(root):
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                facts = os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                facts = "directory"
            else:
                with open(path) as file:
                    facts = (file.read(), stat.S_IMODE(status.st_mode))
            found[os.path.relpath(path, root)] = facts
    return found


TREES: list[dict[str, Any]] = [
    {"a": "a", "d/b": "b", "d/e/f": "f", "link": ("d",), "file-link": ("a",), "dangling": ("no",)},
    {"d/b": "other", "d/new": "new", "link/more": "more", "empty": None},
    {"a": ("d",), "plain": "x" * 1000},
]


@pytest.fixture
def trees(tmp_path):
    return [make(tmp_path / f"tree-{number}", **files) for number, files in enumerate(TREES)]


@pytest.mark.parametrize("keep_dirlinks", [False, True])
def test_it_does_what_rsync_does(tmp_path, root, trees, keep_dirlinks):
    expected = tmp_path / "expected"
    expected.mkdir()
    for tree in trees:
        option = "-K" if keep_dirlinks else "-k"
        subprocess.run(["rsync", "-a", "--ignore-times", option, f"{tree}/", expected], check=True)
    copy(root, *trees, keep_dirlinks=keep_dirlinks).finish()
    assert listing(root) == listing(expected)


def test_directories_are_writable_until_the_end(tmp_path, root):
    tree = make(tmp_path / "tree", **{"d/e/f": "f", "d/g": "g"})
    (tree / "d/e").chmod(0o555)
    (tree / "d").chmod(0o555)
    (tree / "d/g").chmod(0o444)
    copier = copy(root, tree)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o755
    copier.finish()
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "d/e").stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "d/g").stat().st_mode) == 0o444


@pytest.mark.parametrize("target", ["/outside", "../../outside", "../../../../../../outside"])
def test_nothing_is_written_outside_of_the_root(tmp_path, root, target):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = str(outside) if target == "/outside" else target
    first = make(tmp_path / "first", **{"d/l": (target,)})
    second = make(tmp_path / "second", **{"d/l/file": "x"})
    copy(root, first, second, keep_dirlinks=True).finish()
    assert not list(outside.iterdir())
    assert (root / "d/l/file").read_text() == "x"


def test_a_symlink_that_leads_through_another_stays_inside(tmp_path, root):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    first = make(tmp_path / "first", out=(str(outside),), l=("out/deep",))
    second = make(tmp_path / "second", **{"l/file": "x"})
    copy(root, first, second, keep_dirlinks=True)
    assert not list((outside / "deep").iterdir())


def test_circles_are_refused(tmp_path, root):
    tree = make(tmp_path / "tree", **{"a/b": "b", "a/loop": ("..",)})
    with pytest.raises(UserError, match="leads back to a directory that it is in"):
        copy(root, tree)


@pytest.mark.parametrize("keep_dirlinks", [False, True])
@pytest.mark.parametrize("target", ["link", "file/x", "../tree/link", "nothing"])
def test_symlinks_that_lead_nowhere_are_copied(tmp_path, root, keep_dirlinks, target):
    tree = make(tmp_path / "tree", file="f", link=(target,))
    copy(root, tree, keep_dirlinks=keep_dirlinks)
    assert os.readlink(root / "link") == target


def test_a_file_does_not_replace_a_directory(tmp_path, root):
    first = make(tmp_path / "first", **{"x/y": "y"})
    second = make(tmp_path / "second", x="x")
    with pytest.raises(UserError, match=r"/second/x is no directory, but .*/first/x brings"):
        copy(root, first, second)


def test_files_that_differ_are_warned_of(tmp_path, root, capfd):
    first = make(tmp_path / "first", x="1", same="s")
    second = make(tmp_path / "second", x="2", same="s")
    copy(root, first, second)
    said = capfd.readouterr().err
    assert "both bring /x, the latter with other content" in said
    assert "/same" not in said
    assert (root / "x").read_text() == "2"


def test_what_does_not_exist_is_refused(tmp_path, root):
    with pytest.raises(UserError, match="does not exist"):
        copy(root, tmp_path / "nothing")
