"""Platforms are compared as engines compare them."""

import pytest

from builders.image.platform import Platform


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
