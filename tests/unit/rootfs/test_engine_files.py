"""Files that engines read by themselves, and links into the store."""

import os
import stat

import pytest

from builders.rootfs.engine_files import copy_engine_files, escaping
from builders.rootfs.store_links import refused_link, target_of


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "store"
    (directory / "nss/etc").mkdir(parents=True)
    (directory / "nss/etc/passwd").write_text("root\n")
    os.chmod(directory / "nss/etc/passwd", 0o444)
    (directory / "nss/etc/extra").write_text("x")
    return str(directory)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root/etc").mkdir(parents=True)
    return str(tmp_path / "root")


@pytest.mark.parametrize(
    ("target", "escapes"),
    [
        ("/etc/other", True),
        ("other", False),
        ("../etc/other", False),
        ("../../etc/other", True),
        ("loop", True),
        ("nothing", False),
    ],
)
def test_what_leads_out_of_the_root_on_its_way_escapes(root, target, escapes):
    with open(f"{root}/etc/other", "w"):
        os.symlink(target, f"{root}/etc/group")
    os.symlink("loop", f"{root}/etc/loop")
    assert escaping(root) == (["etc/group"] if escapes else [])


def test_a_link_into_the_store_becomes_a_copy_even_in_a_directory_that_is_not_writable(root, store):
    os.symlink(f"{store}/nss/etc/passwd", f"{root}/etc/passwd")
    os.chmod(f"{root}/etc", 0o555)
    copy_engine_files(root, store_dir=store)
    status = os.lstat(f"{root}/etc/passwd")
    assert stat.S_ISREG(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert stat.S_IMODE(os.stat(f"{root}/etc").st_mode) == 0o555
    assert escaping(root) == []


def test_a_link_to_a_directory_of_the_store_becomes_a_directory(root, store):
    os.rmdir(f"{root}/etc")
    os.symlink(f"{store}/nss/etc", f"{root}/etc")
    assert escaping(root) == ["etc/passwd"]
    copy_engine_files(root, store_dir=store)
    assert os.readlink(f"{root}/etc/extra") == f"{store}/nss/etc/extra"
    assert os.path.isfile(f"{root}/etc/passwd")
    assert not os.path.islink(f"{root}/etc/passwd")


def test_links_that_lead_elsewhere_stay(root, store):
    os.symlink("/run/resolv.conf", f"{root}/etc/resolv.conf")
    copy_engine_files(root, store_dir=store)
    assert os.readlink(f"{root}/etc/resolv.conf") == "/run/resolv.conf"
    assert escaping(root) == ["etc/resolv.conf"]


@pytest.mark.parametrize(
    "line",
    [
        "extraCommands: line 1: etc/passwd: Permission denied",
        "touch: cannot touch 'etc/passwd': Permission denied",
        "tee: /etc/passwd: Read-only file system",
        "script: line 2: passwd: Permission denied",
        "useradd: cannot open /etc/passwd",
        "chmod: changing permissions of 'etc/passwd': Operation not permitted",
    ],
)
def test_what_programs_say_of_a_link_is_understood(root, store, line):
    target = f"{store}/nss/etc/passwd"
    os.symlink(target, f"{root}/etc/passwd")
    assert refused_link(["noise", line], root, store_dir=store) == ("etc/passwd", target)
    assert refused_link(["noise", "x: No such file"], root, store_dir=store) is None


def test_a_file_of_the_image_is_no_link_into_the_store(root, store):
    with open(f"{root}/etc/passwd", "w"):
        assert target_of(root, f"{root}/etc/passwd", store) is None
    os.symlink("passwd", f"{root}/etc/group")
    assert target_of(root, f"{root}/etc/group", store) is None
