"""The merged tree of layers: the specification of changesets, and what an enemy makes of it."""

import io
import os
import tarfile
import tracemalloc
from contextlib import contextmanager

import pytest

from builders.console.errors import UserError
from builders.rootfs import merge_layers as merged_module
from builders.rootfs import tally
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile
from builders.tar.header import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    REGULAR,
    SYMLINK,
    Owner,
)
from tests.unit.archives import (
    SPARSE_FORMS,
    gnu_tar,
    hard,
    layer_of,
    link,
    sparse,
    special,
    tar,
    write_sparse,
)
from tests.unit.archives import directory_header as directory
from tests.unit.support import deadline


@contextmanager
def merged(tmp_path, *layers):
    """The merged tree of `layers`, each the bytes of a tar or (name, content) pairs."""
    files = []
    try:
        for number, layer in enumerate(layers):
            data = layer if isinstance(layer, bytes) else tar(layer)
            path = tmp_path / f"layer{number}"
            # Not at the beginning of its file, as in an archive.
            path.write_bytes(b"x" * 700 + data)
            fd = os.open(path, os.O_RDONLY)
            files.append(LayerFile(fd, 700, len(data), what=f"layer {number}"))
        yield merge_layers(files)
    finally:
        for file in files:
            os.close(file.fd)


def show(tree):
    """What is in the tree, by name: a file's content, a symlink's target, None for directories."""
    found = {}
    for path, node, _ in tree.walk():
        if node.type == REGULAR:
            found[path] = tree.read(node).decode()
        elif node.type == SYMLINK:
            found[path] = f"-> {node.linkname}"
        else:
            found[path] = None
    return {path: value for path, value in found.items() if path}


@pytest.fixture
def shown(tmp_path):
    def show_merged(*layers):
        with merged(tmp_path, *layers) as tree:
            return show(tree)

    return show_merged


@pytest.fixture
def refused(tmp_path):
    def check(*layers, words):
        with pytest.raises(UserError) as caught, merged(tmp_path, *layers):
            pass
        message = str(caught.value)
        assert message.startswith(f"layer {len(layers) - 1}")
        assert "\n" not in message
        for word in words:
            assert word in message

    return check


# What a layer brings


def test_a_node_has_what_the_layer_says(tmp_path):
    header = tarfile.TarInfo("bin/sh")
    header.mode, header.uid, header.gid, header.mtime = 0o4755, 12, 34, 56
    header.uname, header.gname = "some", "group"
    header.size = 3
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(header, io.BytesIO(b"abc"))
    with merged(tmp_path, out.getvalue()) as tree:
        node = tree.find("bin/sh")
        assert (node.type, node.mode, node.mtime) == (REGULAR, 0o4755, 56)
        assert node.owner == Owner(12, 34, "some", "group")
        assert tree.read(node) == b"abc"
        assert list(tree.chunks(node)) == [b"abc"]


def test_parents_that_no_layer_names_are_directories_of_root(tmp_path):
    with merged(tmp_path, [("a/b/c", b"x")]) as tree:
        for path in ("", "a", "a/b"):
            node = tree.find(path)
            assert (node.type, node.mode, node.owner) == (DIRECTORY, 0o755, Owner(0, 0))


def test_parents_that_only_lower_layers_name_stay_as_they_are(tmp_path):
    with merged(tmp_path, [("a", directory(0o700, uid=5))], [("a/b", b"x")]) as tree:
        assert tree.find("a").mode == 0o700
        assert tree.find("a").owner.uid == 5


def test_the_root_itself_may_be_named(tmp_path):
    with merged(tmp_path, [("./", directory(0o711)), ("./a", b"x")]) as tree:
        assert tree.root.mode == 0o711
        assert list(show(tree)) == ["a"]


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_sparse_files_have_the_content_that_was_packed(tmp_path, form):
    files = tmp_path / "files"
    files.mkdir()
    write_sparse(files / "holes", 3 << 20, [(0, b"a"), (1 << 20, b"b" * 9000), (2 << 20, b"c")])
    write_sparse(files / "end", 3 << 20, [((3 << 20) - 5000, b"e" * 5000)])
    write_sparse(files / "large", 5 << 20, [(2 << 20, b"l" * (2 << 20))])
    write_sparse(files / "none", 1 << 20, [])
    os.link(files / "end", files / "linked")
    with merged(tmp_path, gnu_tar(files, *SPARSE_FORMS[form])) as tree:
        for path in files.iterdir():
            node = tree.find(path.name)
            assert node.type == REGULAR
            assert tree.read(node) == path.read_bytes()
        assert tree.find("end") is tree.find("linked")


def test_a_sparse_file_may_be_hidden_and_replaced(shown):
    lower = layer_of(sparse("s", b"data", size=9), sparse("t", b"data", size=9))
    found = shown(lower, [(".wh.s", b""), ("t", b"new")])
    assert found == {"t": "new"}


def test_special_files(tmp_path):
    with merged(
        tmp_path,
        [
            ("c", special(tarfile.CHRTYPE, devmajor=1, devminor=3)),
            ("b", special(tarfile.BLKTYPE, devmajor=8, devminor=0)),
            ("f", special(tarfile.FIFOTYPE)),
        ],
    ) as tree:
        assert (tree.find("c").type, tree.find("c").device) == (CHARACTER_DEVICE, (1, 3))
        assert (tree.find("b").type, tree.find("b").device) == (BLOCK_DEVICE, (8, 0))
        assert (tree.find("f").type, tree.find("f").device) == (FIFO, None)


def test_a_symlink_has_the_mode_of_symlinks(tmp_path):
    with merged(tmp_path, [("l", special(tarfile.SYMTYPE, linkname="x", mode=0o644))]) as tree:
        assert tree.find("l").mode == 0o777


def test_extended_attributes_are_kept_as_bytes(tmp_path):
    header = tarfile.TarInfo("ping")
    header.pax_headers = {
        "SCHILY.xattr.user.note": "hi",
        "SCHILY.xattr.security.capability": "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    }
    with merged(tmp_path, [("ping", header)]) as tree:
        assert tree.find("ping").xattrs == (
            ("security.capability", bytes([1, 0, 0, 2, 0, 0x20]) + bytes(14)),
            ("user.note", b"hi"),
        )


def test_names_come_sorted_by_bytes_and_parents_first(shown):
    names = ["b/x", "b-c", "b.d", "é", "𝄞", "\udcff", "Z", "a/ü"]
    found = list(shown([(name, b"") for name in names]))
    top = sorted({name.partition("/")[0] for name in names}, key=os.fsencode)
    assert [name for name in found if "/" not in name] == top
    assert found.index("b/x") == found.index("b") + 1


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_format(shown, format):
    name = "/".join(["d" * 60] * 3)
    target = "t" * 90
    found = shown(tar([(name, b"x"), ("l", link(target))], format=format))
    assert found[name] == "x"
    assert found["l"] == f"-> {target}"


def test_names_that_are_not_utf8(shown):
    assert shown([("a\udcff", b"x")]) == {"a\udcff": "x"}


# Layers on one another


def test_a_file_of_an_upper_layer_counts(shown):
    assert shown([("a", b"old"), ("b", b"b")], [("a", b"new")]) == {"a": "new", "b": "b"}


@pytest.mark.parametrize("again", [("a", b"2"), ("./a", link("b")), ("/a", directory())])
def test_a_name_that_a_layer_has_twice_is_refused(refused, again):
    refused([("a", b"1"), again], words=["/a is there twice"])


def test_a_hard_link_that_a_layer_has_twice_is_refused(refused):
    refused([("a", b"1")], [("b", hard("a")), ("b", b"2")], words=["/b is there twice"])


def test_a_directory_may_be_there_twice(tmp_path):
    layer = [("d", directory(0o700)), ("d/x", b"x"), ("d", directory(0o711))]
    with merged(tmp_path, layer) as tree:
        assert show(tree) == {"d": None, "d/x": "x"}
        assert tree.find("d").mode == 0o711


def test_a_directory_named_again_keeps_its_contents(tmp_path):
    with merged(
        tmp_path, [("d", directory(0o755)), ("d/x", b"x")], [("d", directory(0o700, uid=7))]
    ) as tree:
        assert show(tree) == {"d": None, "d/x": "x"}
        assert (tree.find("d").mode, tree.find("d").owner.uid) == (0o700, 7)


def test_a_file_in_the_place_of_a_directory(shown):
    assert shown([("d/x", b"x")], [("d", b"file")]) == {"d": "file"}


def test_a_directory_in_the_place_of_a_file(shown):
    assert shown([("d", b"file")], [("d", directory()), ("d/x", b"x")]) == {"d": None, "d/x": "x"}


def test_a_directory_in_the_place_of_a_link(shown):
    below = [("usr/lib/x", b"x"), ("lib", link("usr/lib"))]
    found = shown(below, [("lib", directory()), ("lib/y", b"y")])
    assert found["lib"] is None
    assert found["lib/y"] == "y"
    assert "usr/lib/y" not in found


def test_a_link_in_the_place_of_a_directory(shown):
    found = shown([("lib/x", b"x"), ("usr", directory())], [("lib", link("usr"))])
    assert found == {"lib": "-> usr", "usr": None}


# Whiteouts


def test_a_whiteout_hides_a_file_of_a_lower_layer(shown):
    assert shown([("d/a", b""), ("d/b", b"b")], [("d/.wh.a", b"")]) == {"d": None, "d/b": "b"}


def test_a_whiteout_hides_a_directory_with_all_that_is_below(shown):
    assert shown([("d/e/f", b""), ("x", b"x")], [(".wh.d", b"")]) == {"x": "x"}


def test_a_whiteout_of_what_is_not_there(shown):
    assert shown([("a", b"a")], [(".wh.b", b"")]) == {"a": "a"}


def test_a_whiteout_does_not_follow_the_link_that_it_hides(shown):
    assert shown([("d/a", b"a"), ("l", link("d"))], [(".wh.l", b"")]) == {"d": None, "d/a": "a"}


def test_a_whiteout_below_a_link(shown):
    found = shown([("d/a", b"a"), ("d/b", b"b"), ("l", link("d"))], [("l/.wh.a", b"")])
    assert found == {"d": None, "d/b": "b", "l": "-> d"}


@pytest.mark.parametrize("names", [(".wh.a", "a"), ("a", ".wh.a")])
def test_a_whiteout_hides_nothing_of_its_own_layer(shown, names):
    assert shown([("a", b"old")], [(name, b"new") for name in names]) == {"a": "new"}


@pytest.mark.parametrize("names", [(".wh.d", "d/new"), ("d/new", ".wh.d")])
def test_a_directory_that_is_replaced(shown, names):
    assert shown([("d/old", b"old")], [(name, b"new") for name in names]) == {
        "d": None,
        "d/new": "new",
    }


def test_what_was_hidden_may_come_again(shown):
    assert shown([("a", b"1")], [(".wh.a", b"")], [("a", b"3")]) == {"a": "3"}


@pytest.mark.parametrize("names", [("d/.wh..wh..opq", "d/new"), ("d/new", "d/.wh..wh..opq")])
def test_an_opaque_directory_hides_what_lower_layers_have_in_it(shown, names):
    lower = [("d/old", b""), ("d/e/old", b""), ("x", b"x")]
    assert shown(lower, [(name, b"new") for name in names]) == {"d": None, "d/new": "new", "x": "x"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_directory_keeps_what_its_layer_has_further_below(shown, first):
    opaque, new = ("d/.wh..wh..opq", b""), ("d/e/new", b"new")
    found = shown([("d/e/old", b"")], [opaque, new] if first else [new, opaque])
    assert found == {"d": None, "d/e": None, "d/e/new": "new"}


def test_an_opaque_root(shown):
    assert shown([("a", b""), ("d/b", b"")], [(".wh..wh..opq", b""), ("c", b"c")]) == {"c": "c"}


def test_an_opaque_directory_keeps_a_hard_link_to_what_it_hides(shown):
    found = shown([("d/a", b"a")], [("d/b", hard("d/a")), ("d/.wh..wh..opq", b"")])
    assert found == {"d": None, "d/b": "a"}


def test_what_aufs_left_behind_is_no_file_of_the_image(shown):
    layer = [
        (".wh..wh.aufs", b""),
        (".wh..wh.orph/x", b""),
        (".wh..wh.plnk/1.2", b"content"),
        ("bin/a", hard(".wh..wh.plnk/1.2")),
    ]
    assert shown(layer) == {"bin": None, "bin/a": "content"}


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.."])
def test_a_whiteout_of_no_file_is_refused(refused, name):
    refused([("d/x", b""), (name, b"")], words=["whiteout of no file", name])


def test_a_file_below_a_whiteout_is_refused(refused):
    refused([("d/.wh.x/y", b"")], words=["/d/.wh.x/y lies below the whiteout .wh.x"])


# Hard links


def test_hard_links_are_one_node(tmp_path):
    with merged(tmp_path, [("a", b"x"), ("b/c", hard("a")), ("d", hard("./b/c"))]) as tree:
        assert tree.find("a") is tree.find("b/c") is tree.find("d")
        links = {path: link for path, node, link in tree.walk() if node.type == REGULAR}
        assert links == {"a": None, "b/c": "a", "d": "a"}


def test_a_hard_link_to_a_file_of_a_lower_layer(tmp_path):
    with merged(tmp_path, [("a", b"x")], [("b", hard("/a"))]) as tree:
        assert tree.find("a") is tree.find("b")
        assert show(tree) == {"a": "x", "b": "x"}


def test_a_hard_link_outlives_the_name_that_it_was_made_of(shown):
    assert shown([("a", b"x"), ("b", hard("a"))], [(".wh.a", b"")]) == {"b": "x"}
    assert shown([("a", b"x"), ("b", hard("a"))], [("a", b"y")]) == {"a": "y", "b": "x"}


def test_a_hard_link_to_a_symlink_is_the_symlink(shown):
    assert shown([("l", link("x")), ("m", hard("l"))]) == {"l": "-> x", "m": "-> x"}


def test_a_hard_link_through_a_linked_directory(shown):
    found = shown([("d/a", b"a"), ("l", link("/d")), ("b", hard("l/a"))])
    assert found["b"] == "a"


def test_a_hard_link_that_would_lead_out_stops_at_the_root(shown):
    assert shown([("a", b"a"), ("b", hard("../../a"))]) == {"a": "a", "b": "a"}


@pytest.mark.parametrize("target", ["missing", "../../etc/passwd", "d/missing", "", "/", "f/x"])
def test_a_hard_link_to_nothing_is_refused(refused, target):
    layer = [("d/x", b""), ("f", b""), ("b", hard(target))]
    refused(layer, words=["/b is a hard link to ", "which is not in the image"])


def test_a_hard_link_to_itself_is_refused(refused):
    refused([("a", b"")], [("a", hard("a"))], words=["/a is a hard link to a, which is not"])


def test_a_hard_link_to_a_directory_is_refused(refused):
    refused(
        [("d/x", b""), ("e", hard("d"))], words=["/e is a hard link to d, which is a directory"]
    )


# Names that would lead elsewhere


@pytest.mark.parametrize(
    "name", ["../../etc/x", "/etc/x", "a/../../etc/x", "//etc//./x", "/../etc/x"]
)
def test_names_stay_within_the_root(shown, name):
    assert shown([(name, b"x")]) == {"etc": None, "etc/x": "x"}


@pytest.mark.parametrize("target", ["/d", "d", "./d/", "../../d", "/../d", "m"])
def test_links_among_parents_are_followed_within_the_root(shown, target):
    found = shown([("d", directory()), ("m", link("d")), ("l", link(target)), ("l/x", b"x")])
    assert found["d/x"] == "x"
    assert found["l"] == f"-> {target}"


def test_links_of_a_lower_layer_are_followed(shown):
    found = shown([("usr/lib/a", b""), ("lib", link("usr/lib"))], [("lib/b", b"b")])
    assert found["usr/lib/b"] == "b"


def test_directories_are_made_below_a_link(shown):
    assert shown([("d", directory()), ("l", link("d")), ("l/a/b", b"x")])["d/a/b"] == "x"


@pytest.mark.parametrize("lower", [link("d"), directory()])
def test_a_parent_that_changes_between_two_files_counts_for_each(shown, lower):
    below = [("d", directory()), ("e", directory()), ("p", lower)]
    found = shown(below, [("p/x", b"1"), ("p", link("e")), ("p/y", b"2")])
    assert found["e/y"] == "2"
    assert "e/x" not in found
    assert found.get("d/x") == ("1" if lower.issym() else None)


def test_a_file_in_the_place_of_what_its_layer_has_below(shown):
    assert shown([("d/a", b"1"), ("d", b"file")]) == {"d": "file"}


@pytest.mark.parametrize("target", ["missing", "/etc", "../..//missing/x", "d/missing"])
def test_a_file_below_a_link_to_nothing_is_refused(refused, target):
    refused([("d", directory()), ("l", link(target)), ("l/x", b"")], words=["/l/x lies below"])


def test_a_file_below_a_loop_of_links_is_refused(refused):
    refused([("a", link("b")), ("b", link("a")), ("a/x", b"")], words=["40 symbolic links"])


@pytest.mark.parametrize("name", ["f/x", "f/x/y", "l/x"])
def test_a_file_below_a_file_is_refused(refused, name):
    refused(
        [("f", b""), ("l", link("f")), (name, b"")], words=[f"/{name} lies below f", "no directory"]
    )


@pytest.mark.parametrize("content", [b"x", link("/etc")])
def test_a_root_that_is_no_directory_is_refused(refused, content):
    refused([(".", content)], words=["the root directory is a "])


# What no file system takes


@pytest.mark.parametrize(
    "name", ["a/" * 10_000 + "x", "a" * 256, "é" * 128, "d/" + "a" * 256 + "/x", "a/" * 2048 + "x"]
)
def test_a_name_that_is_too_long_is_refused(refused, name):
    refused([(name, b"")], words=["longer than Linux takes"])


def test_the_longest_name_is_taken(shown):
    name = "/".join(["n" * 255] * 15)
    assert list(shown([(name, b"")]))[-1] == name


def test_links_that_lead_ever_deeper_are_refused(refused):
    step = "/".join(["s" * 200] * 10)
    layer = []
    start = ""
    for number in range(10):
        layer += [(f"{start}{step}", directory()), (f"l{number}", link(f"{start}{step}"))]
        start = f"l{number}/"
    refused(layer, words=["deeper than a name in Linux can say"])


def test_a_deep_tree_needs_no_recursion(tmp_path):
    depth = 1900
    deep = "/".join(["d"] * depth)
    with merged(tmp_path, [(deep, directory())], [(f"{deep}/x", b"x")]) as tree:
        assert len(list(tree.walk())) == depth + 2
    with merged(tmp_path, [(f"{deep}/x", b"")], [("d/.wh..wh..opq", b"")]) as tree:
        assert show(tree) == {"d": None}


@pytest.mark.parametrize("uid", [-1, 1 << 32])
def test_an_owner_that_cannot_be_is_refused(refused, uid):
    refused(
        tar([("a", b"")], format=tarfile.GNU_FORMAT, uid=uid), words=["impossible owner", str(uid)]
    )


def test_many_holes_fill_no_memory(refused, monkeypatch):
    monkeypatch.setattr(merged_module, "_EXTENTS_MAX", 100)
    extents = [(2 * number, 1) for number in range(60)]
    layer = layer_of(*(sparse(name, b"x" * 60, size=120, extents=extents) for name in "ab"))
    refused(layer, words=["/b and other sparse files have more than 100 pieces"])


def test_a_damaged_map_of_a_sparse_file_is_one_clear_line(refused):
    layer = layer_of(sparse("d/a", b"data", size=10, extents=[(8, 4)]))
    refused(layer, words=["is damaged: the map of its sparse file d/a goes beyond"])


def test_an_unknown_type_is_refused(refused):
    refused([("a", special(b"Z"))], words=["/a is of the unknown type b'Z'"])


def test_a_symlink_without_a_target_is_refused(refused):
    refused([("a", link(""))], words=["/a is a symbolic link whose target"])


def with_xattr(value):
    header = tarfile.TarInfo()
    header.pax_headers = {"SCHILY.xattr.user.a": value}
    return header


def test_an_extended_attribute_that_is_too_long_is_refused(refused):
    refused([("a", with_xattr("x" * 65537))], words=["/a has an extended attribute longer than"])


def test_extended_attributes_fill_no_memory(refused, shown, monkeypatch):
    monkeypatch.setattr(merged_module, "_XATTRS_MAX", 100_000)
    same = [(f"{number}", with_xattr("x" * 60_000)) for number in range(3)]
    assert len(shown(same)) == 3
    refused([*same, ("a", with_xattr("y" * 60_000))], words=["100000 bytes of extended attributes"])


def test_directories_that_a_name_stands_for_fill_no_memory(refused, monkeypatch):
    monkeypatch.setattr(merged_module, "_FILES_MAX", 2000)
    layer = [(f"{number}/" + "a/" * 1000, b"") for number in range(3)]
    refused(layer, words=["the image has more than 2000 files"])


def test_files_that_many_layers_name_again_are_counted(refused, monkeypatch):
    monkeypatch.setattr(tally, "_MEMBERS_MAX", 10)
    layer = [(f"d{number}/", directory()) for number in range(4)]
    refused(layer, layer, layer, words=["the image has more than 10 files in its layers"])


def test_long_paths_fill_no_memory(refused, monkeypatch):
    monkeypatch.setattr(tally, "_NAMES_MAX", 100_000)
    # Behind a link, a name of four bytes stands for one of two thousand.
    layer = [("a/" * 1000, directory()), ("s", link("a/" * 1000))]
    layer += [(f"s/{number}", b"") for number in range(50)]
    refused(layer, words=["the image has more than 100000 bytes of names"])


def test_a_maze_of_links_is_left_soon(refused):
    maze = [("a/" * 800, directory()), ("l0", link("a/" * 800 + "../" * 800))]
    maze += [(f"l{number + 1}", link(f"l{number}/" * 2 + ".")) for number in range(4)]
    maze += [(f"l4/{number % 2}d/{number}", b"") for number in range(2000)]
    with deadline(60):
        refused(maze, words=["the image has links that lead through more than 4194304 files"])


def test_deep_directories_that_are_hidden_again_and_again_are_left_soon(refused, monkeypatch):
    monkeypatch.setattr(tally, "_STEPS_MAX", 100_000)
    deep = [("a/" * 500 + f"{number}", b"") for number in range(1000)]
    opaque = [("a/" * depth + ".wh..wh..opq", b"") for depth in range(1, 500)]
    refused([*deep, *opaque], words=["the image has files more than 100000 directories away"])


def test_a_hard_link_to_an_overlong_name_is_refused(refused):
    refused([("a", b""), ("b", hard("./" * 3000 + "a"))], words=["/b is a hard link to a name"])


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
@pytest.mark.parametrize("number", [(4096, 0), (0, 1 << 20), (2_000_000, 2_000_000)])
def test_a_device_that_linux_does_not_have_is_refused(refused, kind, number):
    device = special(kind, devmajor=number[0], devminor=number[1])
    words = f"/d is a device of the impossible number {number[0]}:{number[1]}"
    refused([("d", device)], words=[words])


def test_the_largest_device_is_taken(tmp_path):
    device = special(tarfile.CHRTYPE, devmajor=4095, devminor=(1 << 20) - 1)
    with merged(tmp_path, [("d", device)]) as tree:
        assert tree.find("d").device == (4095, (1 << 20) - 1)


def test_a_sparse_file_of_any_size_is_refused(refused):
    words = "/s is a sparse file of more than 17592186044416 bytes"
    refused(layer_of(sparse("s", b"x", size=1 << 60)), words=[words])


# Damage


def test_an_empty_layer(shown):
    assert shown(b"") == {}
    assert shown(bytes(1024)) == {}


def test_a_layer_cut_off_at_any_byte_is_one_clear_line_or_has_whole_files(tmp_path):
    data = tar(
        [("d", directory()), ("d/a" * 40, b"a" * 600), ("é", b"b" * 100)],
        format=tarfile.PAX_FORMAT,
        padded=False,
    )
    data += bytes(-len(data) % 512)
    whole = 0
    for size in range(len(data)):
        try:
            with merged(tmp_path, data[:size]) as tree:
                for content in show(tree).values():
                    assert content in (None, "a" * 600, "b" * 100)
                whole += 1
        except UserError as error:
            assert "layer 0 is cut off after" in str(error)
    # The ends of members, after their content or anywhere in the padding, are ends of archives.
    assert whole < len(data) / 2


def test_a_damaged_layer_is_one_clear_line(refused):
    data = bytearray(tar([("a", b"x")]))
    data[3] ^= 1
    refused(bytes(data), words=["is damaged", "bad checksum"])


# Cost


def test_a_tree_takes_little_memory(tmp_path):
    names = [f"usr/share/d{number // 20}/file-{number}" for number in range(20_000)]
    data = tar([(name, b"") for name in names], mtime=1_700_000_000)
    path = tmp_path / "layer"
    path.write_bytes(data)
    with path.open("rb") as file:
        layer = LayerFile(file.fileno(), 0, len(data), what="layer")
        del data
        tracemalloc.start()
        tree = merge_layers([layer])
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(list(tree.walk())) == 20_000 + 1000 + 3
        assert used < 500 * 21_000
