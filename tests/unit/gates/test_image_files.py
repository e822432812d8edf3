"""The files of an image, as a container finds them."""

import pytest

from tests.unit.gates.files import image_files


@pytest.fixture
def files(tmp_path):
    (tmp_path / "aaa-tool/bin").mkdir(parents=True)
    (tmp_path / "aaa-tool/bin/tool").write_text("tool")
    (tmp_path / "aaa-tool/bin/tool").chmod(0o755)
    (tmp_path / "aaa-tool/bin/alias").symlink_to("tool")
    (tmp_path / "outside").write_text("no part of the image")
    lower = {"bin": ("usr/bin",), "usr/bin/sh": b"sh", "etc/gone": "x", "etc/stays": "y"}
    upper = {
        "etc/.wh.gone": "",
        "usr/bin/tool": (f"{tmp_path}/aaa-tool/bin/alias",),
        "usr/bin/loop": ("loop",),
        "usr/bin/out": (f"{tmp_path}/outside",),
        "srv": None,
    }
    with image_files(tmp_path, lower, upper, store=[tmp_path / "aaa-tool"]) as found:
        yield found


def test_links_are_followed_into_the_store(files, tmp_path):
    found = files.find("/bin/tool")
    assert found.path == f"{tmp_path}/aaa-tool/bin/tool"
    assert found.is_executable
    with files.open(found) as opened:
        assert opened.read() == b"tool"


def test_files_of_layers_are_found_and_read(files):
    found = files.find("/bin/../bin/./sh")
    assert (found.path, found.is_executable) == ("/usr/bin/sh", True)
    with files.open(found) as opened:
        assert opened.read() == b"sh"
    assert not files.find("/etc/stays").is_executable


@pytest.mark.parametrize("path", ["/etc/gone", "/bin/loop", "/bin/out", "/bin/sh/x", "/nowhere"])
def test_what_is_not_there_is_not_found(files, path):
    assert files.find(path) is None


def test_directories_are_listed_by_the_name_that_they_were_asked_by(files, tmp_path):
    assert files.list("/bin") == ["/bin/loop", "/bin/out", "/bin/sh", "/bin/tool"]
    tool = f"{tmp_path}/aaa-tool/bin"
    assert files.list(tool) == [f"{tool}/alias", f"{tool}/tool"]
    assert files.list("/etc/stays") == []
    assert files.find("/srv").is_directory
    assert files.find(str(tmp_path)).is_directory


def test_regular_files_outside_of_the_store_are_listed(files):
    assert sorted(files.outside_of_store()) == ["/etc/stays", "/usr/bin/sh"]


def test_an_image_of_store_paths_alone_has_a_root(tmp_path):
    (tmp_path / "aaa-tool").mkdir()
    with image_files(tmp_path, store=[tmp_path / "aaa-tool"]) as files:
        assert files.find("/").is_directory
        assert files.find("/bin") is None
        assert list(files.outside_of_store()) == []
