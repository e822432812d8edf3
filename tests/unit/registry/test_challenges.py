"""The header WWW-Authenticate."""

import pytest

from builders.registry.challenges import Challenge, read_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "r",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        ("Basic realm=x", [Challenge("basic", {"realm": "x"})]),
        ('BASIC Realm="a \\"b\\""', [Challenge("basic", {"realm": 'a "b"'})]),
        (
            'Negotiate, Basic realm="x", Bearer realm="y"',
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y"}),
            ],
        ),
        ("", []),
        ("=,=", []),
    ],
)
def test_challenges_are_read(header, expected):
    assert read_challenges([header]) == expected
