"""How Docker and podman are spoken to."""

import pytest

from builders.engines.client import EngineClient
from builders.engines.docker import Docker, Podman

CLIENT = EngineClient("engine", ("client",), start="", permission="")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app:1", "localhost/app:1"),
        ("group/app:1", "localhost/group/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("registry.example/app:1", "registry.example/app:1"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("docker.io/library/app:1", "docker.io/library/app:1"),
    ],
)
def test_podman_puts_localhost_before_names_without_a_registry(name, expected):
    assert Podman(CLIENT).full_name(name) == expected
    assert Docker(CLIENT).full_name(name) == name


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (Docker, ("pull", "--quiet", "--platform=linux/arm64", "x@sha256:1")),
        (
            Podman,
            ("pull", "--quiet", "--tls-verify=false", "--platform=linux/arm64", "x@sha256:1"),
        ),
    ],
)
def test_the_platform_of_a_foreign_image_is_named(engine, expected):
    assert tuple(engine(CLIENT).pull("x@sha256:1", "linux/arm64")) == expected
    without = [word for word in expected if not word.startswith("--platform")]
    assert list(engine(CLIENT).pull("x@sha256:1", None)) == without
