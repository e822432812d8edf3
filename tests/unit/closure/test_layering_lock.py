"""The layering lock as a file: what is written is read again, and what is none is refused."""

import json
import os

import pytest

from builders.closure.graph import StorePath
from builders.closure.layering_lock import LayeringLock, lock_of, read_lock, write_lock
from builders.console.errors import UserError

LOCK = LayeringLock((("glibc",), ("bash", "bash-man", "bash#2")))


def read(path):
    return read_lock(str(path), what="layeringLock", hint="write it anew")


def test_a_lock_has_names_without_versions_and_hashes(tmp_path):
    paths = ["/nix/store/a-bash-5.2", "/nix/store/b-bash-5.1", "/nix/store/c-glibc-2.36-bin"]
    graph = {path: StorePath(path, ()) for path in paths}
    lock = lock_of(graph, [paths[2:], paths[:2]])
    assert lock.layers == (("glibc-bin",), ("bash", "bash#2"))
    file = tmp_path / "image.layers.json"
    write_lock(str(file), lock)
    assert file.read_text() == (
        '{\n  "version": 1,\n  "layers": [\n    ["glibc-bin"],\n    ["bash", "bash#2"]\n  ]\n}\n'
    )
    assert read(file) == lock


def test_a_lock_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "lock.json"
    write_lock(str(file), LOCK)
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
    file.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to("lock.json")
    write_lock(str(link), LayeringLock((("one",),)))
    assert link.is_symlink()
    assert read(file).layers == (("one",),)
    assert file.stat().st_mode & 0o777 == 0o640

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(UserError, match=r"can't write .*No space left on device; make room"):
        write_lock(str(file), LOCK)
    assert read(file).layers == (("one",),)
    assert sorted(os.listdir(tmp_path)) == ["link.json", "lock.json"]


def test_where_no_file_can_be_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"can't write .*: No such file or directory; name a file"):
        write_lock(str(tmp_path / "nowhere/lock.json"), LOCK)


def test_a_lock_takes_the_place_of_nothing_but_files(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path):
        with pytest.raises(UserError, match=r"can't write .*: it is no file; name a file"):
            write_lock(str(place), LOCK)
    assert pipe.is_fifo()


def test_a_device_without_an_end_is_not_read_to_it():
    with pytest.raises(UserError, match="has more than 67108864 bytes"):
        read("/dev/zero")


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"version": 1, "lay', "can't be read as JSON"),
        ("", "can't be read as JSON"),
        ("[" * 100_000, "can't be read as JSON"),
        ("[]", "is no layering lock"),
        ('{"layers": []}', "its version should be a number"),
        ('{"version": true, "layers": []}', "its version should be a number"),
        ('{"version": "1", "layers": []}', "its version should be a number"),
        ('{"version": 2, "layers": []}', "has version 2, and only 1 is known"),
        ('{"version": 1}', "layers should be a list of lists of names"),
        ('{"version": 1, "layers": {"a": 1}}', "layers should be a list of lists of names"),
        ('{"version": 1, "layers": ["a"]}', "layers should be a list of lists of names"),
        ('{"version": 1, "layers": [["a"], [1]]}', "layer 2 should be a list of names"),
        ('{"version": 1, "layers": [[""]]}', "layer 1 should be a list of names"),
        ('{"version": 1, "layers": [["a", "b"], ["a"]]}', "has a twice; leave it in one layer"),
        ('{"version": 1, "layers": [["a", "a"]]}', "has a twice"),
        ('{"version": 1, "layers": [["a"]], "layers": []}', "the key layers is there twice"),
        ('{"version": 1, "layers": [["a\\ud800"]]}', "layer 1 has half a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
        ('{"version": 1' + "0" * 5000 + "}", "a number has 5001 digits"),
    ],
)
def test_what_is_no_lock_is_one_line(tmp_path, text, expected):
    file = tmp_path / "lock.json"
    file.write_text(text)
    with pytest.raises(UserError) as failed:
        read(file)
    assert str(failed.value).startswith(f"layeringLock: {file}")
    assert expected in str(failed.value)


def test_bytes_that_are_no_text_and_files_that_are_missing(tmp_path):
    file = tmp_path / "lock.json"
    with pytest.raises(UserError, match="No such file or directory; write it anew"):
        read(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="can't be read as JSON"):
        read(file)
    with pytest.raises(UserError, match="Is a directory"):
        read(tmp_path)


def test_other_keys_are_for_people(tmp_path):
    file = tmp_path / "lock.json"
    file.write_text(json.dumps({"version": 1, "about": "the web image", "layers": [["a"]]}))
    assert read(file).layers == (("a",),)
