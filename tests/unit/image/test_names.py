"""Names of images in registries."""

import pytest

from builders.image.names import RemoteImage, is_name, is_tag

DIGEST = "sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("name", "registry", "repository"),
    [
        ("hello", "docker.io", "hello"),
        ("nixos/nix", "docker.io", "nixos/nix"),
        ("registry.example/app", "registry.example", "app"),
        ("localhost/group/app", "localhost", "group/app"),
        ("host:5000/group/app", "host:5000", "group/app"),
        ("[::1]:5000/app", "[::1]:5000", "app"),
        ("Host/app", "Host", "app"),
        ("a-b.c--d.example:1/app", "a-b.c--d.example:1", "app"),
    ],
)
def test_a_name_begins_with_its_registry_or_is_of_the_default_one(name, registry, repository):
    image = RemoteImage(name, "latest")
    assert (image.registry, image.repository) == (registry, repository)
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "App",
        "a//b",
        "a:1",
        f"a@{DIGEST}",
        "docker://a",
        "a b",
        "-a",
        "a/",
        "a\n",
        "..",
        "../a",
        "a../b",
        "./a",
        "-a.b/c",
        "a.-b/c",
        "a/../b",
    ],
)
def test_these_are_no_names(name):
    assert not is_name(name)


@pytest.mark.parametrize("tag", ["", ".a", "a/b", "a:b", "a\n", 129 * "a"])
def test_these_are_no_tags(tag):
    assert not is_tag(tag)


def test_an_image_is_written_with_its_tag_or_digest():
    assert str(RemoteImage("a/b", "v1")) == "a/b:v1"
    assert str(RemoteImage("a/b", DIGEST)) == f"a/b@{DIGEST}"
