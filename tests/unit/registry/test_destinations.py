"""Names of places that images are pushed to."""

import pytest

from builders.console.errors import UserError
from builders.registry.destinations import (
    Repository,
    TagReference,
    is_loopback,
    read_destination,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example/app:1", ("registry.example", "app", "1")),
        ("registry.example/app", ("registry.example", "app", "own")),
        ("localhost:5000/a/b", ("localhost:5000", "a/b", "own")),
        ("localhost:5000/a/b:x", ("localhost:5000", "a/b", "x")),
        ("docker://registry.example/app:1", ("registry.example", "app", "1")),
        ("user/app:1", ("docker.io", "user/app", "1")),
        ("123/app:1", ("docker.io", "123/app", "1")),
        ("docker.io/user/app:1", ("docker.io", "user/app", "1")),
        ("[::1]:5000/app:1", ("[::1]:5000", "app", "1")),
    ],
)
def test_a_reference_names_registry_repository_and_tag(text, expected):
    registry, path, tag = expected
    assert read_destination(text, tag="own") == TagReference(Repository(registry, path), tag)


def test_docker_hub_is_asked_at_another_host():
    assert Repository("docker.io", "user/app").host == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("registry.example/App:1", "has letters in upper case.*; write registry.example/app"),
        ("registry.example/app:" + "x" * 129, "has 129 characters, and tags have at most 128"),
        ("registry.example/app:-x", "'-x' is no tag of an image"),
        ("registry.example/app@sha256:00", "is a digest, which only the registry can give"),
        ("https://registry.example/app:1", "is an address, .*; leave out https://"),
        ("app:1", "names no registry, and on Docker Hub no user either"),
        ("registry.example/", "is no name of an image"),
        ("", "is no name of an image"),
        ("registry.example/app:", "ends where its tag should begin"),
        ("localhost:0/app:1", "names port 0; ports are 1 to 65535"),
        ("localhost:99999/app:1", "names port 99999; ports are 1 to 65535"),
        (f"{'a' * 64}.example/app:1", "names a registry that can't be one"),
    ],
)
def test_what_names_no_place_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        read_destination(text, tag="own")


def test_an_image_without_a_tag_needs_one():
    with pytest.raises(UserError, match="has no tag, and the image has none"):
        read_destination("registry.example/app", tag=None)


def test_loopback_is_this_machine():
    for host in ("localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]:5000"):
        assert is_loopback(host)
    for host in ("localhost.example", "127.0.0.1.example", "10.0.0.1", "registry.example:5000"):
        assert not is_loopback(host)
