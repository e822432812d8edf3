"""Looking into store paths on this machine."""

import os

import pytest

from builders.accounts.known import Evidence
from builders.accounts.store_files import (
    content_without_hashes,
    equal_files,
    evidence_on_way,
    find_evidence,
)
from tests.unit.accounts.images import path

OTHER = path("other-1")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "one/bin").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    return tmp_path


def test_the_first_place_of_a_reference_is_found_in_a_file_or_a_link(store):
    one = str(store / "one")
    (store / "one/link").symlink_to(f"{OTHER}/x")
    assert find_evidence(one, OTHER) == Evidence(f"{one}/link", 11)
    (store / "one/bin/a").write_text(f"12345{OTHER}")
    assert find_evidence(one, OTHER) == Evidence(f"{one}/bin/a", 16)
    assert find_evidence(one, path("another-1")) is None
    assert evidence_on_way((one, OTHER, "/nowhere")) == {(one, OTHER): Evidence(f"{one}/bin/a", 16)}


def test_files_are_equal_across_paths_and_not_within_one(store):
    for name in ("one/a", "one/b", "two/c"):
        (store / name).write_bytes(b"x" * 5000)
    (store / "two/d").write_bytes(b"y" * 5000)
    (store / "one/e").write_bytes(b"z" * 6000)
    (store / "one/f").write_bytes(b"z" * 6000)
    (found,) = equal_files([str(store / "one"), str(store / "two"), "/nowhere"])
    assert found.files == tuple(str(store / name) for name in ("one/a", "one/b", "two/c"))
    assert (found.size, found.more) == (5000, 10000)


@pytest.fixture
def unreadable(store, monkeypatch):
    """Files `secret` and directories `closed` of both paths that even root can't read."""
    for path_ in ("one", "two"):
        (store / path_ / "secret").write_bytes(b"x" * 5000)
        (store / path_ / "closed").mkdir()
    opened, listed = open, os.scandir

    def refuse(function):
        def refused(name, *arguments, **more):
            if os.path.basename(os.fsdecode(name)) in ("secret", "closed"):
                raise PermissionError(13, "Permission denied", name)
            return function(name, *arguments, **more)

        return refused

    monkeypatch.setattr("builtins.open", refuse(opened))
    monkeypatch.setattr(os, "scandir", refuse(listed))
    return store


def test_what_cannot_be_read_is_passed_over(unreadable):
    one, two = str(unreadable / "one"), str(unreadable / "two")
    assert equal_files([one, two]) == ()
    assert find_evidence(one, OTHER) is None
    # Half of it would be the same as half of another one.
    assert content_without_hashes(one) is None


def test_small_files_are_not_worth_it(store):
    for name in ("one/a", "two/a"):
        (store / name).write_bytes(b"x" * 4095)
    assert equal_files([str(store / "one"), str(store / "two")]) == ()


def test_content_is_the_same_where_only_hashes_differ(store):
    def digest(hash_, *, text="text", mode=0o644):
        file = store / "one/file"
        file.write_text(f"{text} /nix/store/{hash_ * 32}-x-1/bin")
        file.chmod(mode)
        (store / "one/link").unlink(missing_ok=True)
        (store / "one/link").symlink_to(f"/nix/store/{hash_ * 32}-x-1")
        return content_without_hashes(str(store / "one"))

    first = digest("a")
    assert digest("b") == first
    assert digest("b", text="other") != first
    assert digest("b", mode=0o755) != first
    assert content_without_hashes("/nowhere") is None
