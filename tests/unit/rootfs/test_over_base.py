"""Names lead where they do in a container: through the layer and what it leaves of the base."""

import pytest

from builders.console.errors import UserError
from builders.rootfs.over_base import Destination, Kind, OverBase, check_store
from tests.unit.archives import directory_header as directory
from tests.unit.archives import link
from tests.unit.rootfs.trees import make_tree, merged_tree

BASE = [
    ("usr/bin/tool", b""),
    ("usr/lib", directory()),
    ("run", directory()),
    ("bin", link("usr/bin")),
    ("sbin", link("bin")),
    ("lib", link("/usr/lib")),
    ("var/run", link("/run")),
    ("var/up", link("../../../../run")),
    ("nothing", link("none/at/all")),
    ("file", link("usr/bin/tool")),
    ("below", link("usr/bin/tool/x")),
    ("one", link("other")),
    ("other", link("one")),
    ("top", link("/")),
]


@pytest.mark.parametrize(
    ("target", "path", "kind"),
    [
        ("usr/bin", "usr/bin", Kind.DIRECTORY),
        ("bin", "usr/bin", Kind.DIRECTORY),
        ("sbin", "usr/bin", Kind.DIRECTORY),
        ("lib/", "usr/lib", Kind.DIRECTORY),
        ("var/run", "run", Kind.DIRECTORY),
        ("var/up/./x", "run/x", Kind.MISSING),
        ("bin/../lib", "usr/lib", Kind.DIRECTORY),
        ("top/top/sbin", "usr/bin", Kind.DIRECTORY),
        ("top", "", Kind.DIRECTORY),
        ("nothing", "none/at/all", Kind.MISSING),
        ("file", "usr/bin/tool", Kind.FILE),
        ("below", "usr/bin/tool", Kind.FILE),
        ("one", "other", Kind.LOOP),
    ],
)
def test_links_lead_on_inside_of_the_root(tmp_path, target, path, kind):
    view = OverBase(None, merged_tree(tmp_path, BASE).root)
    found = view.resolve("", target)
    assert found.kind == kind
    if kind != Kind.LOOP:
        assert found.path == path


def test_forty_links_are_followed_and_one_more_is_a_circle(tmp_path):
    links = [(f"l{number}", link(f"l{number + 1}")) for number in range(41)]
    view = OverBase(None, merged_tree(tmp_path, [*links, ("l41", directory())]).root)
    assert view.resolve("", "l1") == Destination("l41", Kind.DIRECTORY)
    assert view.resolve("", "l0").kind == Kind.LOOP


@pytest.mark.parametrize("target", ["x" * 256, "d/" * 1921, "ü" * 128])
def test_where_no_name_can_lead_there_is_no_directory(tmp_path, target):
    root = make_tree(tmp_path / "root")
    view = OverBase(str(root), merged_tree(tmp_path, [("long", link(target))]).root)
    assert view.resolve("", "long").kind == Kind.FILE


@pytest.mark.parametrize(
    ("layer", "target", "found"),
    [
        pytest.param(
            {"usr__bin": ("lib",)}, "bin", ("usr/lib", Kind.DIRECTORY), id="a link of the layer"
        ),
        pytest.param({"usr__bin": "x"}, "bin", ("usr/bin", Kind.FILE), id="a file of the layer"),
        pytest.param({"usr__.wh.bin": ""}, "bin", ("usr/bin", Kind.MISSING), id="whiteout"),
        pytest.param({"usr__.wh..wh..opq": ""}, "bin", ("usr/bin", Kind.MISSING), id="opaque"),
        pytest.param({".wh.bin": ""}, "sbin", ("bin", Kind.MISSING), id="whiteout of a link"),
        pytest.param({"bin__x": ""}, "sbin", ("usr/bin", Kind.DIRECTORY), id="directory at a link"),
    ],
)
def test_what_the_layer_has_comes_first(tmp_path, layer, target, found):
    root = make_tree(tmp_path / "root", **layer)
    view = OverBase(str(root), merged_tree(tmp_path, BASE).root)
    assert view.resolve("", target) == Destination(*found)


def test_a_directory_that_is_settled_is_no_link(tmp_path):
    root = make_tree(tmp_path / "root", bin__x="")
    view = OverBase(str(root), merged_tree(tmp_path, BASE).root, {"bin"})
    assert view.resolve("", "sbin") == Destination("bin", Kind.DIRECTORY)


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (
            [("data/nix/store", directory()), ("nix", link("data/nix"))],
            "/nix as a link to data/nix",
        ),
        ([("data", directory()), ("nix/store", link("/data"))], "/nix/store as a link to /data"),
    ],
)
def test_a_store_behind_a_link_is_refused_with_one_line(tmp_path, base, name):
    with pytest.raises(UserError) as refused:
        check_store(merged_tree(tmp_path, base).root, "/nix/store", what="base.tar")
    assert f"base.tar has {name}, but store paths must be in a directory" in str(refused.value)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ([("nix/store/x", b""), ("bin", link("nix/store"))], ""),
        ([("etc", directory())], ""),
        ([("nix", link("volume/nix"))], "/nix as a link to volume/nix, where no directory is"),
    ],
)
def test_any_other_store_is_taken(tmp_path, capsys, base, said):
    check_store(merged_tree(tmp_path, base).root, "/nix/store", what="base.tar")
    printed = capsys.readouterr().err
    assert said in printed
    assert bool(said) == bool(printed)
