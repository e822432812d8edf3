"""What a script changes: base image and written layer together are what the script left.

Scripts are Python functions here that change the unpacked tree; merge_layers, which has tests
beside Docker itself, says what a container would see.
"""

import os
import pathlib
import random
import shutil
import stat

import pytest

from builders.console.errors import UserError
from builders.layers.tree import MTIME, write_tree_layer
from builders.rootfs.changes import Snapshot
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile
from builders.rootfs.unpack import lay_over, unpack
from builders.tar.header import REGULAR
from builders.tar.sinks import FileSink
from tests.unit.archives import directory, layer_of, link_to, member, sparse, symlink


def mine(*members):
    """A layer whose files are of who runs the tests, since only root may give any away."""
    members = (directory("."), *members)
    for header, _ in members:
        header.uid, header.gid = os.getuid(), os.getgid()
    return layer_of(*members)


BASE = mine(
    directory("etc"),
    member("etc/a", b"a"),
    member("etc/b", b"b", mode=0o600),
    directory("srv", mode=0o750),
    member("srv/x", b"x"),
    directory("srv/deep"),
    member("srv/deep/y", b"y"),
    directory("srv/deep/er"),
    member("srv/deep/er/z", b"z"),
    directory("opt"),
    member("opt/one", b"linked"),
    link_to("opt/two", "opt/one"),
    symlink("opt/s", "/etc/a"),
    symlink("bin", "usr/bin"),
    directory("usr"),
    directory("usr/bin"),
    member("usr/bin/sh", b"sh"),
)


SPARSE_FILES = mine(
    sparse("holes", b"a" * 9000 + b"b", size=5 << 20, extents=[(0, 9000), (2 << 20, 1)]),
    sparse("empty", b"", size=3 << 20, mode=0o4755),
    sparse("full", b"full"),
    sparse("large", b"l" * (2 << 20), size=9 << 30, extents=[(8 << 30, 2 << 20)]),
    sparse("none", b"", size=1 << 40, extents=[(1 << 40, 0)]),
)


class Run:
    """A base image unpacked to `root`, and the layer of what happened to it since."""

    def __init__(self, top: pathlib.Path, base: bytes | None) -> None:
        self._top = top
        self.root = top / "root"
        self.root.mkdir()
        self._files = []
        self._below = [self._open("base", base)] if base else []
        self._tree = merge_layers(self._below) if base else None
        if self._tree:
            unpack(self._tree, str(self.root))
        self._snapshot = Snapshot(str(self.root), self._tree)

    def finish(self):
        """Return facts about what the layer holds, what a container sees, and what it should."""
        wanted = facts(merge_layers([self._packed("wanted", self.root)]))
        self._snapshot.move_changes(str(self._top / "layer"))
        layer = self._packed("layer.tar", self._top / "layer")
        names = [
            os.path.relpath(os.path.join(at, name), self._top / "layer")
            for at, names, files in os.walk(self._top / "layer")
            for name in names + files
        ]
        return sorted(names), facts(merge_layers([*self._below, layer])), wanted

    def _packed(self, name, tree):
        path = self._top / name
        with open(path, "wb", buffering=0) as file:
            sink = FileSink(file.fileno())
            write_tree_layer(sink, str(tree), mtime=MTIME)
            sink.flush()
        return self._open(name, None)

    def _open(self, name, content):
        path = self._top / name
        if content is not None:
            path.write_bytes(content)
        file = open(path, "rb")  # noqa: SIM115
        self._files.append(file)
        return LayerFile(file.fileno(), 0, path.stat().st_size, what=name)

    def close(self):
        for file in self._files:
            file.close()


def facts(tree):
    return {
        path: (
            node.type,
            node.mode,
            node.owner[:2],
            node.linkname,
            tree.read(node) if node.type == REGULAR else b"",
        )
        for path, node, _ in tree.walk()
    }


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path, BASE)
    yield run
    run.close()


@pytest.fixture
def run_on(tmp_path):
    """Like `run`, over a base image of the test's own."""
    made = []

    def make(base):
        made.append(Run(tmp_path, base))
        return made[-1]

    yield make
    for run in made:
        run.close()


def changed(run):
    """The names in the layer, after a check that with it the container sees what it should."""
    names, seen, wanted = run.finish()
    assert seen == wanted
    return names


def test_nothing_changed_is_an_empty_layer(run):
    assert changed(run) == []


def test_a_new_file_is_there_with_its_parents_alone(run):
    (run.root / "srv/deep/new").write_text("new")
    assert changed(run) == ["srv", "srv/deep", "srv/deep/new"]


def test_a_new_tree_is_there_as_a_whole(run):
    (run.root / "new/tree").mkdir(parents=True)
    (run.root / "new/tree/file").write_text("x")
    assert changed(run) == ["new", "new/tree", "new/tree/file"]


def test_a_deleted_file_is_a_whiteout(run):
    (run.root / "etc/a").unlink()
    assert changed(run) == ["etc", "etc/.wh.a"]


def test_a_deleted_directory_is_one_whiteout(run):
    shutil.rmtree(run.root / "srv")
    assert changed(run) == [".wh.srv"]


def test_a_replaced_directory_is_opaque(run):
    shutil.rmtree(run.root / "srv")
    (run.root / "srv").mkdir()
    (run.root / "srv/fresh").write_text("fresh")
    assert changed(run) == ["srv", "srv/.wh..wh..opq", "srv/fresh"]


def test_a_directory_made_again_as_it_was_is_no_change(run):
    shutil.copytree(run.root / "srv", run.root / "copy", symlinks=True)
    shutil.rmtree(run.root / "srv")
    (run.root / "copy").rename(run.root / "srv")
    assert changed(run) == []


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_a_directory_may_become_something_else(run, kind):
    shutil.rmtree(run.root / "srv")
    if kind == "file":
        (run.root / "srv").write_text("file")
    else:
        (run.root / "srv").symlink_to("etc")
    assert changed(run) == ["srv"]


def test_a_file_may_become_a_directory(run):
    (run.root / "etc/a").unlink()
    (run.root / "etc/a").mkdir()
    (run.root / "etc/a/inside").write_text("x")
    assert changed(run) == ["etc", "etc/a", "etc/a/inside"]


def test_a_symlink_may_become_a_directory(run):
    (run.root / "bin").unlink()
    (run.root / "bin").mkdir()
    assert changed(run) == ["bin"]


def test_a_renamed_directory_is_there_and_gone(run):
    (run.root / "srv").rename(run.root / "moved")
    assert changed(run) == [
        ".wh.srv",
        "moved",
        "moved/deep",
        "moved/deep/er",
        "moved/deep/er/z",
        "moved/deep/y",
        "moved/x",
    ]


def test_a_touched_or_rewritten_file_is_no_change(run):
    os.utime(run.root / "etc/a")
    (run.root / "etc/b").write_text("b")
    (run.root / "srv/x").unlink()
    (run.root / "srv/x").write_text("x")
    assert changed(run) == []


def test_other_content_of_the_same_size_is_a_change(run):
    (run.root / "etc/a").write_text("A")
    assert changed(run) == ["etc", "etc/a"]


def test_other_content_under_the_old_times_is_a_change(run):
    before = os.stat(run.root / "etc/a")
    (run.root / "etc/a").write_text("A")
    os.utime(run.root / "etc/a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed(run) == ["etc", "etc/a"]


def test_modes_of_files_and_directories_are_changes(run):
    (run.root / "etc/a").chmod(0o4755)
    (run.root / "srv/deep").chmod(0o700)
    assert changed(run) == ["etc", "etc/a", "srv", "srv/deep"]


def test_a_file_of_two_names_changes_under_both(run):
    with open(run.root / "opt/one", "a") as file:
        file.write("!")
    assert changed(run) == ["opt", "opt/one", "opt/two"]


def test_a_directory_that_nobody_may_write_to_can_be_in_a_layer(run):
    (run.root / "srv/new").write_text("x")
    (run.root / "srv").chmod(0o555)
    assert changed(run) == ["srv", "srv/new"]


def test_without_a_base_image_all_is_new(tmp_path):
    run = Run(tmp_path, None)
    (run.root / "d").mkdir()
    (run.root / "d/f").write_text("f")
    assert changed(run) == ["d", "d/f"]
    run.close()


@pytest.mark.parametrize("name", [".wh.x", "new/.wh..wh..opq"])
def test_a_file_that_a_layer_would_take_for_a_whiteout_is_refused(run, name):
    (run.root / name).parent.mkdir(exist_ok=True)
    (run.root / name).write_text("x")
    with pytest.raises(UserError, match=r"begins with \.wh\."):
        run.finish()


def test_a_whiteout_whose_name_is_too_long_is_refused_with_a_line(tmp_path):
    run = Run(tmp_path, mine(member("e" * 255, b"x")))
    (run.root / ("e" * 255)).unlink()
    with pytest.raises(UserError, match=r"can't put /\.wh\.e*e into a layer: File name too long"):
        run.finish()
    run.close()


@pytest.mark.parametrize("seed", range(150))
def test_whatever_a_script_does_the_container_sees_it(run, seed):
    do_something(run.root, random.Random(seed))
    changed(run)


def do_something(root, dice):
    """Some changes by chance: removals, replacements by every kind, renames, modes."""
    for _ in range(dice.randrange(1, 12)):
        paths = sorted(root.rglob("*"))
        if not paths:
            return
        path, other = dice.choice(paths), dice.choice(paths)
        match dice.randrange(7):
            case 0:
                remove(path)
            case 1:
                remove(path)
                path.mkdir()
                if dice.random() < 0.7:
                    (path / "n").write_text("n")
            case 2:
                remove(path)
                path.write_text(str(dice.random()))
            case 3:
                remove(path)
                path.symlink_to("nowhere")
            case 4:
                if path not in (other, *other.parents) and other not in path.parents:
                    remove(other)
                    path.rename(other)
            case 5:
                if not path.is_symlink():
                    path.chmod(dice.choice([0o700, 0o755, 0o2750]))
            case 6:
                parent = path if path.is_dir() and not path.is_symlink() else path.parent
                if not os.path.lexists(parent / "more"):
                    (parent / "more/deep").mkdir(parents=True)


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


# Unpacking


def test_unpacked_files_have_modes_times_and_links(tmp_path):
    base = mine(
        directory("d", mode=0o555, mtime=1000),
        member("d/f", b"f", mode=0o4711, mtime=2000),
        link_to("d/g", "d/f"),
        symlink("d/s", "../../../outside", mtime=3000),
        member("future", b"", mtime=1 << 60),
        member("past", b"", mtime=-5),
    )
    run = Run(tmp_path, base)
    root = run.root
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o555
    assert (root / "d").stat().st_mtime == 1000
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o4711
    assert (root / "d/f").stat().st_mtime == 2000
    assert (root / "d/f").samefile(root / "d/g")
    assert os.readlink(root / "d/s") == "../../../outside"
    assert os.lstat(root / "d/s").st_mtime == 3000
    assert (root / "past").stat().st_mtime == -5
    (root / "d").chmod(0o755)
    run.close()


def test_a_name_that_is_too_long_for_the_build_is_refused_with_a_line(tmp_path):
    name = "/".join(["d" * 191] * 20) + "/" + "f" * 250
    with pytest.raises(UserError, match=r"can't unpack /d{60}… of the base image: File name too"):
        Run(tmp_path, mine(member(name, b"")))


# Laying one tree over another


def test_a_tree_lies_over_another_as_a_layer_does(tmp_path):
    run = Run(tmp_path, BASE)
    upper = tmp_path / "upper"
    for name in ("etc/new", "bin/tool", "opt/one/inside"):
        (upper / name).parent.mkdir(parents=True, exist_ok=True)
        (upper / name).write_text("upper")
    (upper / "srv").write_text("no directory any more")
    (upper / "etc").chmod(0o700)
    lay_over(str(upper), str(run.root), aside=str(tmp_path / "aside"))
    assert (run.root / "etc/a").read_text() == "a"
    assert (run.root / "etc/new").read_text() == "upper"
    assert stat.S_IMODE((run.root / "etc").stat().st_mode) == 0o700
    # The symlink is replaced and not followed.
    assert (run.root / "bin/tool").read_text() == "upper"
    assert not (run.root / "usr/bin/tool").exists()
    assert (run.root / "opt/one/inside").read_text() == "upper"
    assert (run.root / "opt/two").read_text() == "linked"
    assert (run.root / "srv").read_text() == "no directory any more"
    changed(run)
    run.close()


# Sparse files


def test_a_sparse_file_is_unpacked_with_its_bytes_and_its_holes(run_on):
    root = run_on(SPARSE_FILES).root
    content = b"a" * 9000
    assert (root / "holes").read_bytes() == (
        content + bytes((2 << 20) - 9000) + b"b" + bytes((3 << 20) - 1)
    )
    assert (root / "empty").read_bytes() == bytes(3 << 20)
    assert (root / "full").read_bytes() == b"full"
    assert stat.S_IMODE((root / "empty").stat().st_mode) & 0o777 == 0o755
    with open(root / "large", "rb") as file:
        file.seek((8 << 30) - 3)
        assert file.read((2 << 20) + 5) == bytes(3) + b"l" * (2 << 20) + bytes(2)
    assert (root / "large").stat().st_size == 9 << 30
    assert (root / "none").stat().st_size == 1 << 40
    # In units of 512 bytes.
    assert sum(path.stat().st_blocks for path in root.iterdir()) < (3 << 20) // 512


def test_a_sparse_file_that_stays_the_same_is_no_change(run_on):
    holes = mine(sparse("a", b"x", size=3 << 20, extents=[(1 << 20, 1)]), sparse("b", b"", size=99))
    run = run_on(holes)
    for path in (run.root / "a", run.root / "b"):
        path.write_bytes(path.read_bytes())
    assert changed(run) == []


@pytest.mark.parametrize("at", [0, 1 << 20, (3 << 20) - 1])
def test_a_byte_in_a_sparse_file_is_a_change(run_on, at):
    run = run_on(mine(sparse("a", b"x", size=3 << 20, extents=[(1 << 20, 1)])))
    with (run.root / "a").open("r+b") as file:
        file.seek(at)
        file.write(b"!")
    assert changed(run) == ["a"]
