"""Which store paths a base image has is told by what they are, once all layers are merged."""

import tarfile
from contextlib import ExitStack

import pytest

from builders.rootfs.base_store import HeldPath, held_paths
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile
from tests.unit.archives import directory, layer_of, link_to, member, sparse, symlink

TREE = f"{32 * 'a'}-tree"
TEXT = f"{32 * 'b'}-text"
OF_TREE = "49cabb6a362935916d7b4db1d021dad4aee635e17f2aa8da0a3596477d96f51e"
OF_TEXT = "20fb0d405f1c8cfec06a3a356d7fc1f671c241a581c5b40de6350d8ea3ede64c"
OF_OTHER_TEXT = "db01e05fb84992ac1cb3994fcfc522ba7e41f3f4899ff5d8b72d264bf6ceff5f"
"""What `nix-store --dump FILE | sha256sum` printed (Nix 2.8)."""


def text(content=b"some text", **facts):
    return member(f"nix/store/{TEXT}", content, **{"mode": 0o444, **facts})


def tree(**facts):
    """A store path of files and directories in an order that is not that of names."""
    top = f"nix/store/{TREE}"
    return [
        directory(f"{top}", mode=0o555, **facts),
        directory(f"{top}/e", mode=0o555, **facts),
        member(f"{top}/ü", b"x", mode=0o444, **facts),
        member(f"{top}/empty", mode=0o444, **facts),
        directory(f"{top}/bin", mode=0o555, **facts),
        symlink(f"{top}/bin/link", "../bin/run"),
        member(f"{top}/bin/d-", mode=0o444, **facts),
        directory(f"{top}/bin/d", mode=0o555, **facts),
        member(f"{top}/bin/run", b"hello", mode=0o555, **facts),
        member(f"{top}/bin/d/text", b"some text", mode=0o444, **facts),
    ]


@pytest.fixture
def held(tmp_path):
    """Looks for store paths in layers, each a list of members, and drops the store from names."""

    def held(*layers, store_dir="/nix/store", jobs=1):
        with ExitStack() as stack:
            files = []
            for number, members in enumerate(layers):
                path = tmp_path / f"layer{number}"
                path.write_bytes(layer_of(*members))
                file = stack.enter_context(path.open("rb"))
                size = path.stat().st_size
                files.append(LayerFile(file.fileno(), 0, size, what=f"layer {number}"))
            found = held_paths(merge_layers(files), store_dir, jobs=jobs)
        assert all(path.startswith(f"{store_dir}/") for path in found)
        return {path.removeprefix(f"{store_dir}/"): what for path, what in found.items()}

    return held


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_path_has_the_hash_that_the_store_knows_it_by(held, jobs):
    assert held([text()], tree(), jobs=jobs) == {
        TREE: HeldPath(OF_TREE, 1),
        TEXT: HeldPath(OF_TEXT, 0),
    }


def test_the_owner_may_be_anybody(held):
    assert held(tree(uid=1000, gid=100)) == {TREE: HeldPath(OF_TREE, 0)}


def test_another_store_has_its_own_paths(held):
    members = [member(f"data/{TEXT}", b"some text")]
    assert held(members, store_dir="/data") == {TEXT: HeldPath(OF_TEXT, 0)}
    assert held(members) == {}


def test_an_image_without_a_store_has_no_paths(held):
    assert held() == {}
    assert held([member("bin/sh", b"x")]) == {}
    assert held([symlink("nix", "gone")]) == {}
    assert held([directory("nix"), symlink("nix/store", "gone")]) == {}
    assert held([member("nix", b"a file")]) == {}


def test_what_a_later_layer_removes_is_not_there(held):
    assert held([text()], [member(f"nix/store/.wh.{TEXT}")]) == {}
    assert held([text()], [member("nix/store/.wh..wh..opq")]) == {}
    assert held([text()], [member("nix/.wh.store")]) == {}


def test_a_path_of_which_a_later_layer_removes_a_part_is_another(held):
    (found,) = held(tree(), [member(f"nix/store/{TREE}/bin/.wh.d-")]).values()
    assert found.sha256 != OF_TREE


@pytest.mark.parametrize(
    "change",
    [
        member(f"nix/store/{TREE}/bin/run", b"HELLO", mode=0o555),
        member(f"nix/store/{TREE}/bin/run", b"hello", mode=0o444),
        member(f"nix/store/{TREE}/more", mode=0o444),
        symlink(f"nix/store/{TREE}/bin/link", "../bin/RUN"),
        symlink(f"nix/store/{TREE}/empty", "e"),
    ],
    ids=["content", "not executable", "one more", "a link's target", "a link for a file"],
)
def test_a_path_that_a_later_layer_changes_is_another(held, change):
    (found,) = held(tree(), [change]).values()
    assert found.sha256 != OF_TREE


def test_a_single_file_that_a_later_layer_changes_is_another(held):
    assert held([text()], [text(b"some TEXT")]) == {TEXT: HeldPath(OF_OTHER_TEXT, 1)}


def test_a_path_that_comes_again_is_of_the_later_layer(held):
    assert held(tree(), tree()) == {TREE: HeldPath(OF_TREE, 1)}


def test_a_path_of_several_layers_is_of_none(held):
    members = tree()
    assert held(members[:4], members[4:]) == {TREE: HeldPath(OF_TREE, None)}


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o544, 0o200])
def test_what_not_everybody_can_read_or_run_does_not_count(held, mode):
    assert held([text(mode=mode)]) == {}
    assert held([*tree(), directory(f"nix/store/{TREE}/e", mode=mode)]) == {}


def test_what_no_store_can_hold_does_not_count(held):
    assert held([*tree(), member(f"nix/store/{TREE}/pipe", kind=tarfile.FIFOTYPE)]) == {}


def test_what_is_no_store_path_does_not_count(held):
    names = (".links", "trash", TEXT.upper(), f"{32 * 'e'}-x", f"{31 * 'a'}-x")
    assert held([member(f"nix/store/{name}", b"x") for name in names]) == {}


def test_hard_links_are_files(held):
    first = member(f"nix/store/.links/{32 * '0'}", b"some text", mode=0o444)
    assert held([first, link_to(f"nix/store/{TEXT}", first[0].name)]) == {
        TEXT: HeldPath(OF_TEXT, 0)
    }


def test_holes_are_zeros(held):
    # printf '\0\0\0\0\0\0\0\0some text' > FILE
    holes = sparse(f"nix/store/{TEXT}", b"some text", size=17, extents=[(8, 9)], mode=0o444)
    (found,) = held([holes]).values()
    assert found.sha256 == "f001854d99c2bb19010ee991e25a9e6223ccf3d5f5218ea61b33df829e28fd1e"


def test_no_more_is_hashed_than_twice_what_the_layers_hold(held):
    hole = sparse(f"nix/store/{TREE}", b"x", size=1 << 43, mode=0o444)
    assert held([hole, text()]) == {TEXT: HeldPath(OF_TEXT, 0)}
    large = member("large", bytes(1 << 16))
    links = [link_to(f"nix/store/{32 * c}-large", "large") for c in "0123456789"]
    found = held([large, *links])
    assert [name[0] for name in found] == ["0", "1"]


def test_a_path_may_be_as_deep_as_names_can_say(held):
    deep = member(f"nix/store/{TREE}/" + "d/" * 1800 + "x", mode=0o444)
    assert list(held([deep])) == [TREE]
