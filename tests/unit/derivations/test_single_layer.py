"""buildImage's layer names root where its owner is given, and no one in a fakeroot session."""

import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from builders.derivations.single_layer import write_single_layer
from builders.tar.header import Owner

GIVEN: Any = SimpleNamespace(copy_engine_files=False, store_dir="/nix/store")


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Owner(0, 0), ("root", "root")),
        (Owner(0, 5), ("root", "")),
        (Owner(1000, 0), ("", "root")),
        (None, ("", "")),
    ],
)
def test_names_of_owners(tmp_path, owner, names):
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    (root / "file").write_text("content")
    write_single_layer(str(root), str(out), GIVEN, owner=owner, owners={}, inherited={})
    with tarfile.open(out / "layer.tar") as archive:
        found = {(info.uname, info.gname) for info in archive}
        numbers = {(info.uid, info.gid) for info in archive.getmembers()}
    assert found == {names}
    status = root.stat()
    assert numbers == {owner[:2] if owner else (status.st_uid, status.st_gid)}
