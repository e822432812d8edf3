"""The file of a base image's names says what layers over it need."""

import json

from builders.rootfs.tree_names import read_names, write_names
from builders.tar.header import REGULAR, SYMLINK
from tests.unit.archives import directory_header as directory
from tests.unit.archives import link
from tests.unit.rootfs.trees import merged_tree


def test_names_links_and_directories_come_back(tmp_path):
    attributes = directory(0o2755, uid=3, gid=4)
    attributes.pax_headers = {"SCHILY.xattr.user.a": "b"}
    tree = merged_tree(
        tmp_path,
        [
            ("usr/bin/tool", b"x"),
            ("usr/lib", attributes),
            ("usr/lib/deep/er/file", b""),
            ("bin", link("usr/bin")),
            ("ünï\udc80", b""),
        ],
    )
    write_names(tree, str(tmp_path / "names"))
    root = read_names(str(tmp_path / "names"))
    assert root.children
    assert list(root.children) == ["bin", "usr", "ünï\udc80"]
    assert (root.children["bin"].type, root.children["bin"].linkname) == (SYMLINK, "usr/bin")
    usr = root.children["usr"].children
    assert usr
    assert usr["bin"].children
    assert usr["bin"].children["tool"].type == REGULAR
    lib = usr["lib"]
    assert (lib.mode, lib.owner.uid, lib.owner.gid) == (0o2755, 3, 4)
    assert lib.xattrs == (("user.a", b"b"),)
    assert lib.children
    assert lib.children["deep"].children
    assert lib.children["deep"].children["er"].children
    assert list(lib.children["deep"].children["er"].children) == ["file"]


def test_each_line_is_a_list_that_begins_with_depth_and_name(tmp_path):
    write_names(merged_tree(tmp_path, [("a", link("b")), ("c", b"")]), str(tmp_path / "names"))
    lines = [json.loads(line) for line in (tmp_path / "names").read_text().splitlines()]
    assert lines == [[0, "", 0o755, 0, 0, []], [1, "a", "b"], [1, "c"]]


def test_names_may_lie_as_deep_as_linux_can_say(tmp_path):
    write_names(merged_tree(tmp_path, [("d/" * 1900 + "x", b"")]), str(tmp_path / "names"))
    node = read_names(str(tmp_path / "names"))
    for _ in range(1900):
        assert node.children
        node = node.children["d"]
    assert node.children
    assert list(node.children) == ["x"]
