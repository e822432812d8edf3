"""Layers go to any sink, and say what is wrong with the remedy that they are given."""

import pytest

from builders.console.errors import UserError
from builders.image.layer_kinds import StoreLayer, TarLayer, TarWithClosure
from builders.layers.resources import Resources
from builders.layers.tar_with_closure import Closure
from builders.tar.header import Attributes, Owner
from tests.unit.support import Collected


def store_layer(path, size):
    return StoreLayer(
        paths=(str(path),),
        mtime=5,
        uid=1,
        gid=2,
        uname="user",
        gname="group",
        store_dir=str(path.parent),
        diff_id="sha256:0",
        size=size,
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "store/a-b"
    path.mkdir(parents=True)
    (path / "file").write_text("content")
    return path


def test_a_store_layer_has_its_owner_and_time(path):
    assert store_layer(path, 0).attributes == Attributes(Owner(1, 2, "user", "group"), mtime=5)


def test_a_store_layer_of_another_size_is_an_error(path):
    with Resources(helpers=0, hint="look there") as resources, pytest.raises(UserError) as failed:
        store_layer(path, 512).write(Collected(), resources)
    assert failed.value.message.endswith("a-b has 10240 bytes, but 512 when the image was planned")
    assert failed.value.hint == "look there"


def test_each_kind_says_what_is_missing_with_the_given_remedy(path):
    missing = str(path / "none")
    closure = Closure(paths=(), parents=(), present=frozenset(), offset=512, mtime=1)
    for layer in (
        store_layer(path / "none", 10240),
        TarLayer(missing, "sha256:0", 1024),
        TarWithClosure(missing, "sha256:0", 1024, closure),
    ):
        with (
            Resources(helpers=0, hint="look there") as resources,
            pytest.raises(UserError) as failed,
        ):
            layer.write(Collected(), resources)
        assert failed.value.message.endswith(f"{missing} is missing")
        assert failed.value.hint == "look there"


def test_no_remedy_of_the_library_speaks_of_nix(path):
    with Resources(helpers=0) as resources, pytest.raises(UserError) as failed:
        store_layer(path, 512).write(Collected(), resources)
    assert "nix" not in failed.value.hint
