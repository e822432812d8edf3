"""What a layer has where its base image has links goes where they lead, and hides nothing."""

import os
import stat

import pytest

from builders.console.errors import UserError
from builders.layers.tree import Inherited
from builders.rootfs.base_links import follow_base_links
from tests.unit.archives import directory_header as directory
from tests.unit.archives import link
from tests.unit.rootfs.trees import make_tree, merged_tree, show_tree

DEBIAN = [
    ("usr/bin/sh", b""),
    ("usr/lib", directory(0o755)),
    ("run/lock", directory(0o1777)),
    ("bin", link("usr/bin")),
    ("lib", link("usr/lib")),
    ("var/run", link("/run")),
    ("var/lock", link("/run/lock")),
]


class Follow:
    """Lays a tree over the layers of a base image, and returns what the layer then has."""

    def __init__(self, directory):
        self.directory = directory
        self.inherited = {}

    def __call__(self, layers, *, linked=(), settled=(), has_owners=False, **files):
        root = make_tree(self.directory / "root", **files)
        self.inherited = follow_base_links(
            str(root),
            merged_tree(self.directory, *layers).root,
            store_dir=f"{self.directory}/store",
            has_owners=has_owners,
            linked=[str(tree) for tree in linked],
            settled=settled,
        )
        return show_tree(root)


@pytest.fixture
def follow(tmp_path):
    return Follow(tmp_path)


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        pytest.param([[("usr/bin", directory()), ("bin", link("usr/bin"))]], "usr/bin", id="plain"),
        pytest.param([[("usr/bin", directory()), ("bin", link("/usr/bin"))]], "usr/bin", id="/"),
        pytest.param([[("x", directory()), ("bin", link("../../x"))]], "x", id="above the root"),
        pytest.param(
            [[("x", directory()), ("bin", link("b")), ("b", link("/c")), ("c", link("x"))]],
            "x",
            id="chain",
        ),
        pytest.param(
            [[("a/x", directory()), ("b", link("a")), ("bin", link("b/x"))]],
            "a/x",
            id="a link in the target",
        ),
        pytest.param([[("x", directory())], [("bin", link("x"))]], "x", id="several layers"),
        pytest.param(
            [[("x", directory()), ("bin", link("x"))], [(".wh.bin", b"")]], "bin", id="whiteout"
        ),
        pytest.param(
            [[("x", directory()), ("bin", link("x"))], [(".wh..wh..opq", b"")]], "bin", id="opaque"
        ),
        pytest.param(
            [[("x", directory()), ("bin", link("x"))], [("bin", directory())]],
            "bin",
            id="replaced by a directory",
        ),
        pytest.param(
            [[("x", directory()), ("bin", link("x"))], [("bin", link("y")), ("y", directory())]],
            "y",
            id="replaced by another link",
        ),
        pytest.param([[("bin", directory())]], "bin", id="a directory"),
        pytest.param([[("etc", directory())]], "bin", id="nothing"),
    ],
)
def test_a_directory_goes_where_the_base_image_s_link_leads(follow, capsys, layers, path):
    assert follow(layers, bin__hello="hi") == {f"{path}/hello": "hi"}
    assert capsys.readouterr().err == ""


def test_directories_deep_in_a_tree_follow_links_as_well(follow):
    base = [
        ("run", directory()),
        ("var/run", link("/run")),
        ("usr/lib/y", directory()),
        ("usr/lib/x", link("y")),
        ("lib", link("usr/lib")),
    ]
    found = follow([base], var__run__app=None, lib__x__deep__file="1", etc__plain="2")
    assert found == {"run/app": None, "usr/lib/y/deep/file": "1", "etc/plain": "2"}


def test_an_empty_directory_at_a_link_leaves_the_link(follow):
    assert follow([DEBIAN], lib=None) == {"usr/lib": None}


def test_a_link_into_a_directory_that_it_lies_in_ends(follow):
    base = [("d/up", link("..")), ("d/down/up", link("../../d"))]
    found = follow([base], d__up__d__up__d__file="1", d__down__up__down__up__other="2")
    assert found == {"d/file": "1", "d/other": "2"}


def test_directories_that_were_only_on_the_way_are_not_in_the_layer(tmp_path, follow):
    root = make_tree(tmp_path / "root", var__run__x="", chosen__run__y="", own__run__z="")
    (root / "chosen").chmod(0o700)
    base = [
        *DEBIAN,
        ("chosen/run", link("/run")),
        ("top", link("var")),
    ]
    assert follow([base], top__run__w="") == {
        "run/x": "",
        "run/y": "",
        "run/w": "",
        "own/run/z": "",
        "chosen": None,
    }


def test_the_layer_s_own_whiteouts_hide_links(follow):
    assert follow([DEBIAN], **{".wh.bin": "", "bin__x": "1"}) == {".wh.bin": "", "bin/x": "1"}


def test_an_opaque_directory_stands(follow):
    assert follow([DEBIAN], **{"bin__.wh..wh..opq": "", "bin__x": "1"}) == {
        "bin/.wh..wh..opq": "",
        "bin/x": "1",
    }


def test_whiteouts_delete_behind_the_link(follow):
    assert follow([DEBIAN], **{"bin__.wh.sh": ""}) == {"usr/bin/.wh.sh": ""}


def test_what_is_settled_stands(follow, capsys):
    files = {"bin__x": "1", "lib": ("elsewhere",)}
    found = follow([DEBIAN], settled=["bin", "bin/x", "lib"], **files)
    assert found == {"bin/x": "1", "lib": "-> elsewhere"}
    assert capsys.readouterr().err == ""


def test_what_is_new_below_settled_directories_is_moved(follow):
    base = [("etc/x", link("/srv")), ("srv", directory())]
    found = follow([base], settled=["etc"], etc__x__new="1")
    assert found == {"etc": None, "srv/new": "1"}


def test_the_layer_may_replace_what_a_link_leads_through(follow):
    assert follow([DEBIAN], usr__bin=("/opt",), opt__a="1", bin__b="2") == {
        "usr/bin": "-> /opt",
        "opt/a": "1",
        "opt/b": "2",
    }


# Two names of one place


def test_what_both_names_have_is_merged(follow, capsys):
    found = follow(
        [DEBIAN],
        bin__one="1",
        bin__same="=",
        bin__sub__a="a",
        usr__bin__two="2",
        usr__bin__same="=",
        usr__bin__sub__b="b",
    )
    assert found == {
        "usr/bin/one": "1",
        "usr/bin/two": "2",
        "usr/bin/same": "=",
        "usr/bin/sub/a": "a",
        "usr/bin/sub/b": "b",
    }
    assert capsys.readouterr().err == ""


def test_other_content_under_both_names_is_a_warning(follow, capsys):
    assert follow([DEBIAN], bin__x="1", usr__bin__x="2") == {"usr/bin/x": "2"}
    assert capsys.readouterr().err == (
        "warning: the layer has /bin/x and /usr/bin/x with other content, which are one place, "
        "since /bin is a link to usr/bin in the base image; the latter is in the image\n"
    )


def test_two_ways_to_one_store_file_are_the_same(tmp_path, follow, capsys):
    tool = make_tree(tmp_path / "store", tool__bin__tool="x", tool__bin__env=("tool",)) / "tool/bin"
    found = follow(
        [DEBIAN], bin__tool=(f"{tool}/tool",), bin__env=("tool",), usr__bin__env=(f"{tool}/env",)
    )
    assert found == {"usr/bin/tool": f"-> {tool}/tool", "usr/bin/env": f"-> {tool}/env"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "files",
    [{"bin__x": "1", "usr__bin__x__y": "2"}, {"bin__x__y": "1", "usr__bin__x": "2"}],
)
def test_a_file_and_a_directory_at_one_place_are_an_error(follow, files):
    with pytest.raises(UserError) as refused:
        follow([DEBIAN], **files)
    assert str(refused.value) == (
        "the layer has /bin/x and /usr/bin/x, which are one place, since /bin is a link to usr/bin "
        "in the base image, and only one of them is a directory; leave out one of them"
    )


def test_a_directory_goes_on_through_a_link_of_the_layer(follow):
    found = follow([DEBIAN], lib__x__a="1", usr__lib__x=("y",), usr__lib__y__b="2")
    assert found == {"usr/lib/x": "-> y", "usr/lib/y/a": "1", "usr/lib/y/b": "2"}


# Links that lead to no directory


def test_a_link_to_nothing_gets_its_directory_and_a_warning(follow, capsys):
    assert follow([[("srv", link("mnt/data"))]], srv__a="1") == {"mnt/data/a": "1"}
    assert capsys.readouterr().err == (
        "warning: /srv is a link to mnt/data in the base image, where nothing is; what the layer "
        "has there goes to the new directory /mnt/data\n"
    )


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ([("f", b""), ("srv", link("f"))], "srv is a link to f in the base image, which leads to"),
        ([("f", b""), ("srv", link("f/x"))], "which leads to no directory"),
        ([("srv", link("srv"))], "which leads in a circle"),
        ([("a", link("srv")), ("srv", link("a"))], "which leads in a circle"),
        ([("srv", link("/proc/self/cwd"))], "which leads out of the image"),
    ],
)
def test_a_directory_replaces_a_link_that_can_hold_nothing(follow, capsys, base, problem):
    assert follow([base], srv__a="1") == {"srv/a": "1"}
    printed = capsys.readouterr().err
    assert problem in printed
    assert "the layer's directory of that name takes its place" in printed
    assert printed.count("\n") == 1


# Links into the store


@pytest.fixture
def store_base(tmp_path):
    """A base image whose /bin is a link to a store path."""
    store = str(tmp_path / "store").lstrip("/")
    return [
        (f"{store}/env/bin/tool", b""),
        (f"{store}/env/bin/sub/one", b""),
        (f"{store}/env/bin/shared/one", b""),
        ("bin", link(f"/{store}/env/bin")),
    ]


def test_nothing_goes_into_a_store_path_and_its_files_stay(tmp_path, follow, store_base, capsys):
    found = follow([store_base], bin__hello="hi", bin__shared__two="2")
    env = tmp_path / "store/env/bin"
    assert found == {
        "bin/hello": "hi",
        "bin/tool": f"-> {env}/tool",
        "bin/sub": f"-> {env}/sub",
        "bin/shared/one": f"-> {env}/shared/one",
        "bin/shared/two": "2",
    }
    assert capsys.readouterr().err == ""


def test_the_layer_s_file_comes_before_the_store_s(follow, store_base):
    assert follow([store_base], bin__tool="mine")["bin/tool"] == "mine"


def test_a_store_path_that_is_not_there_is_replaced(tmp_path, follow, capsys):
    assert follow([[("bin", link(f"{tmp_path}/store/gone"))]], bin__x="1") == {"bin/x": "1"}
    assert "which leads to a store path that is not there" in capsys.readouterr().err


# Relative links


def test_relative_links_lead_where_they_led(follow):
    found = follow(
        [DEBIAN],
        var__run__app__out=("../../lib/app",),
        var__run__app__near=("../other",),
        var__run__absolute=("/etc",),
        var__run__beside=("app/near",),
    )
    assert found == {
        "run/app/out": "-> ../../var/lib/app",
        "run/app/near": "-> ../other",
        "run/absolute": "-> /etc",
        "run/beside": "-> app/near",
    }


# What else hides directories


@pytest.mark.parametrize(
    ("files", "kind"), [({"bin": ("/opt",)}, "link to /opt"), ({"bin": "x"}, "file")]
)
def test_what_hides_a_link_to_a_directory_gets_a_warning(follow, capsys, files, kind):
    assert list(follow([DEBIAN], **files)) == ["bin"]
    assert capsys.readouterr().err == (
        f"warning: /bin is a link to usr/bin in the base image; the layer's {kind} takes its "
        "place, and what the base image has in /bin is no longer found there\n"
    )


def test_a_link_that_hides_a_directory_gets_a_warning(follow, capsys):
    assert follow([DEBIAN], usr__lib=("lib64",)) == {"usr/lib": "-> lib64"}
    assert "/usr/lib is a directory in the base image; the layer's link to lib64 takes its" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("target", ["usr/bin", "/usr/bin", "../usr/bin", "sbin"])
def test_another_link_to_the_same_directory_hides_nothing(follow, capsys, target):
    base = [*DEBIAN, ("sbin", link("usr/bin"))]
    assert follow([base], bin=(target,)) == {"bin": f"-> {target}"}
    assert capsys.readouterr().err == ""


def test_a_file_in_place_of_a_link_to_a_file_is_nothing_special(follow, capsys):
    assert follow([[("a", b""), ("b", link("a"))]], b="mine") == {"b": "mine"}
    assert capsys.readouterr().err == ""


def test_a_tree_s_link_to_a_directory_is_linked_file_by_file(tmp_path, follow, capsys):
    tree = make_tree(tmp_path / "store", tree__bin__tool="", tree__sbin=("bin",)) / "tree"
    base = [*DEBIAN, ("usr/sbin/init", b""), ("sbin", link("usr/sbin"))]
    files = {"bin__tool": (f"{tree}/bin/tool",), "sbin": ("bin",)}
    assert follow([base], linked=[tree], **files) == {
        "usr/bin/tool": f"-> {tree}/bin/tool",
        "usr/sbin/tool": f"-> {tree}/sbin/tool",
    }
    assert capsys.readouterr().err == ""


# Attributes


def test_directories_on_the_way_are_those_of_the_base_image(tmp_path, follow):
    facts = directory(0o2750, uid=3, gid=4)
    facts.pax_headers = {"SCHILY.xattr.user.a": "b"}
    base = [("usr", directory(0o711, uid=1)), ("usr/bin", facts), ("bin", link("usr/bin"))]
    follow([base], bin__x="")
    assert follow.inherited == {
        "usr": Inherited(0o711, 1, 0),
        "usr/bin": Inherited(0o2750, 3, 4, (("user.a", b"b"),)),
    }


def test_directories_that_are_moved_onto_others_keep_those_others_attributes(follow):
    follow([DEBIAN], var__run__lock__app__x="")
    assert follow.inherited == {"run": Inherited(0o755, 0, 0), "run/lock": Inherited(0o1777, 0, 0)}


def test_directories_that_the_layer_names_itself_are_the_layer_s(follow):
    follow([DEBIAN], bin__x="", usr__bin__y="")
    assert follow.inherited == {}


def test_a_mode_that_was_chosen_is_given_to_the_directory_behind_the_link(tmp_path, follow):
    make_tree(tmp_path / "root", var__run__x="")
    (tmp_path / "root/var/run").chmod(0o1777)
    follow([DEBIAN])
    assert follow.inherited == {"run": Inherited(0o1777, 0, 0)}


@pytest.mark.parametrize(("first", "second"), [(0o700, 0o755), (0o755, 0o700)])
def test_a_mode_that_was_chosen_stays_where_several_directories_go_to_one(
    tmp_path, follow, first, second
):
    root = make_tree(tmp_path / "root", bin__d__x="", sbin__d__y="")
    for name, mode in (("bin", first), ("sbin", second)):
        (root / name).chmod(mode)
        (root / name / "d").chmod(mode)
    base = [("usr/bin/d", directory()), ("bin", link("usr/bin")), ("sbin", link("bin"))]
    files = follow([base])
    assert files == {"usr/bin/d/x": "", "usr/bin/d/y": ""}
    chosen = {name: follow.inherited[name].mode for name in ("usr/bin", "usr/bin/d")}
    assert chosen == {"usr/bin": 0o700, "usr/bin/d": 0o700}


@pytest.mark.parametrize(("has_owners", "owner"), [(True, (7, 8)), (False, (0, 0))])
def test_an_owner_that_was_chosen_is_given_where_there_are_owners(
    tmp_path, follow, monkeypatch, has_owners, owner
):
    root = make_tree(tmp_path / "root", var__run__x="")
    real = os.lstat

    def lstat(path, **more):
        status = real(path, **more)
        chosen = (7, 8) if status.st_ino == inode else (0, 0)
        return os.stat_result([*status[:4], *chosen, *status[6:]])

    inode = real(root / "var/run").st_ino
    monkeypatch.setattr(os, "lstat", lstat)
    follow([DEBIAN], has_owners=has_owners)
    assert follow.inherited == {"run": Inherited(0o755, *owner)}


def test_directories_that_nobody_may_write_to_are_moved(tmp_path, follow):
    root = make_tree(tmp_path / "root", lib__sub__x="1", usr__lib__y="2")
    for name in ("lib/sub", "lib", "usr/lib"):
        (root / name).chmod(0o555)
    assert follow([DEBIAN]) == {"usr/lib/sub/x": "1", "usr/lib/y": "2"}
    for name in ("usr/lib/sub", "usr/lib"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o555
        (root / name).chmod(0o755)


def test_hard_links_stay_such(tmp_path, follow):
    root = make_tree(tmp_path / "root", bin__a="x")
    os.link(root / "bin/a", root / "bin/b")
    follow([DEBIAN])
    assert (root / "usr/bin/a").stat().st_ino == (root / "usr/bin/b").stat().st_ino
