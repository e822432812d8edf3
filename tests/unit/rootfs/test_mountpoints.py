"""Directories to mount on exist only while something is mounted."""

import os
import shutil

import pytest

from builders.console.errors import UserError
from builders.rootfs.mountpoints import mountpoints


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir(mode=0o755)
    return path


def test_mountpoints_go_away_but_what_scripts_left_stays(root):
    (root / "nix").mkdir()
    with mountpoints(str(root), ["/proc", "/nix/store", "/dev"], what="fakeRootCommands"):
        assert (root / "nix/store").is_dir()
        (root / "dev/left").touch()
    assert sorted(os.listdir(root)) == ["dev", "nix"]
    assert os.listdir(root / "nix") == []


def test_a_mountpoint_whose_mode_a_script_changes_stays(root):
    with mountpoints(str(root), ["/nix/store", "/dev"], what="fakeRootCommands"):
        (root / "nix").chmod(0o700)
    assert os.listdir(root) == ["nix"]
    assert os.listdir(root / "nix") == []


def test_a_link_in_the_way_of_a_mount_is_an_error(root):
    (root / "proc").symlink_to("/elsewhere")
    with (
        pytest.raises(UserError, match="/proc"),
        mountpoints(str(root), ["/proc"], what="fakeRootCommands"),
    ):
        pass
    shutil.rmtree(root)
