"""Fixtures of the tests that build with Nix."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _sandboxed(sandboxed_nix: None) -> None:
    """Every test here is about builds in the sandbox."""
