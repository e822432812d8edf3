"""What others call a platform is known by Go's words for it."""

import pytest

from builders.image.platform import Platform, go_architecture, go_system


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("amd64", "amd64"),
        ("x86_64", "amd64"),
        ("x86-64", "amd64"),
        ("x64", "amd64"),
        ("x86_64-linux", "amd64"),
        ("x86_64-unknown-linux-gnu", "amd64"),
        ("amd64/linux", "amd64"),
        ("linux/amd64/v3", "amd64/v3"),
        ("ARM64", "arm64"),
        ("aarch64", "arm64"),
        ("aarch64-darwin", "arm64"),
        ("linux/arm64", "arm64"),
        ("linux/arm64/v8", "arm64"),
        ("arm/v7", "arm/v7"),
        ("linux/arm/v6", "arm/v6"),
        ("armv7l", "arm/v7"),
        ("armv7l-linux", "arm/v7"),
        ("armv6l", "arm/v6"),
        ("armv7l/v8", "arm/v7"),
        ("i686-linux", "386"),
        ("x86", "386"),
        ("powerpc64le", "ppc64le"),
        ("ppc64el", "ppc64le"),
        ("riscv64-linux", "riscv64"),
        ("loongarch64", "loong64"),
        ("", None),
        ("/", None),
        ("linux", None),
        ("arm/v7/more", None),
        ("sparc65", None),
        ("-arm", None),
    ],
)
def test_words_for_architectures(word, meant):
    assert go_architecture(word) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Linux", "linux"),
        ("linux/amd64", "linux"),
        ("x86_64-linux", "linux"),
        ("aarch64-darwin", "darwin"),
        ("macOS", "darwin"),
        ("", None),
        ("gnu", None),
    ],
)
def test_words_for_operating_systems(word, meant):
    assert go_system(word) == meant


def test_a_platform_is_spelled_as_docker_spells_it():
    assert str(Platform("linux", "arm", "v7")) == "linux/arm/v7"
    assert str(Platform("linux", "amd64")) == "linux/amd64"
