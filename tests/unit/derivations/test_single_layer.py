"""buildImage's layer names root where its owner is given, and no one in a fakeroot session."""

import tarfile

import pytest

from builders.derivations.single_layer import write_single_layer
from builders.tar.header import Owner


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
    write_single_layer(str(root), str(out), owner=owner, inherited={})
    with tarfile.open(out / "layer.tar") as archive:
        found = {(info.uname, info.gname) for info in archive}
        numbers = {(info.uid, info.gid) for info in archive.getmembers()}
    assert found == {names}
    status = root.stat()
    assert numbers == {owner[:2] if owner else (status.st_uid, status.st_gid)}
