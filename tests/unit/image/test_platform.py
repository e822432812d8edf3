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


def platform(text):
    """The platform that is spelled `text`; "-" stands for nothing."""
    os, architecture, variant = ("" if part == "-" else part for part in f"{text}/-".split("/")[:3])
    return Platform(os=os, architecture=architecture, variant=variant or None)


@pytest.mark.parametrize(
    ("own", "base"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/amd64", "-/-"),
        ("linux/amd64", "-/amd64"),
        ("linux/amd64", "linux/-"),
        ("linux/amd64", "Linux/x86_64"),
        ("linux/arm64", "linux/aarch64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/8"),
        ("linux/arm64/v8.2", "linux/arm64/v8"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm/v5"),
        ("linux/amd64/v3", "linux/amd64/v2"),
        ("linux/mips/other", "linux/mips/other"),
    ],
)
def test_a_base_image_that_runs_where_the_image_runs_is_taken(own, base):
    assert platform(own).takes(platform(base))


@pytest.mark.parametrize(
    ("own", "base"),
    [
        ("linux/amd64", "linux/arm64"),
        ("linux/amd64", "windows/amd64"),
        ("linux/amd64", "windows/-"),
        ("linux/amd64", "-/386"),
        ("linux/arm64", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64/v8.1"),
        ("linux/amd64/v9", "linux/amd64/v10"),
        ("linux/mips/some", "linux/mips/other"),
        ("linux/mips/v1", "linux/mips/other"),
    ],
)
def test_another_platform_is_not_taken(own, base):
    assert not platform(own).takes(platform(base))


@pytest.mark.parametrize(
    ("wanted", "offered", "taken"),
    [
        ("amd64", ["arm64", "amd64"], "amd64"),
        ("amd64", ["amd64/v3", "amd64"], "amd64"),
        ("amd64", ["amd64/v3", "amd64/v1"], "amd64/v1"),
        ("amd64/v2", ["amd64/v3", "amd64"], "amd64"),
        ("amd64/v4", ["amd64", "amd64/v3", "amd64/v2"], "amd64/v3"),
        ("arm/v7", ["arm/v6", "arm/v7", "arm/v5"], "arm/v7"),
        ("arm/v7", ["arm/v6", "arm"], "arm"),
        ("arm/v6", ["arm/v7", "arm/v5"], "arm/v5"),
        ("arm/v8", ["arm/v5", "arm/v7", "arm/v6"], "arm/v7"),
        ("arm", ["arm/v5", "arm/v6"], "arm/v6"),
        ("arm/v5", ["arm/v7", "arm/v6", "arm"], None),
        ("arm64", ["arm64/v9", "arm64/v8"], "arm64/v8"),
        ("ppc64le/power9", ["ppc64le", "ppc64le/power8", "ppc64le/power9"], "ppc64le/power9"),
        ("ppc64le/power9", ["ppc64le/power8", "ppc64le"], "ppc64le"),
        ("mips", ["mipsle", "amd64"], None),
        ("mips", [], None),
    ],
)
def test_the_nearest_platform_has_the_variant_or_the_next_lower_one(wanted, offered, taken):
    def platform(text):
        return Platform("linux", *text.split("/"))

    for platforms in (offered, offered[::-1]):
        found = platform(wanted).nearest(list(map(platform, platforms)))
        assert found == (platform(taken) if taken else None)


def test_the_nearest_platform_is_of_the_operating_system():
    windows, linux = Platform("windows", "amd64"), Platform("linux", "amd64")
    unknown = Platform("", "amd64"), Platform("", "")
    assert linux.nearest([windows, *unknown, linux]) == linux
    assert linux.nearest([windows, *unknown]) == unknown[0]
    assert linux.nearest([windows]) is None


def test_some_variants_go_without_saying():
    """Engines take an image without a variant for one with it."""
    for architecture, variant in (("arm64", "v8"), ("arm", "v7"), ("amd64", "v1")):
        assert Platform("linux", architecture, variant).plain == Platform("linux", architecture)
    for other in (
        Platform("linux", "arm64", "v9"),
        Platform("linux", "arm", "v8"),
        Platform("linux", "arm", "v6"),
        Platform("linux", "amd64", "v2"),
        Platform("linux", "ppc64le"),
    ):
        assert other.plain == other
