"""What tests of pushes begin with."""

import pytest

from tests.unit.plans import make_plan
from tests.unit.registry.quirks import Quirks, running


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path_factory):
    """The user's own credentials, proxies and cache have no say."""
    home = tmp_path_factory.mktemp("home")
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture
def plan(tmp_path):
    """A plan of two store layers, one of them of 3 MiB, and a customisation layer."""
    return make_plan(tmp_path)


@pytest.fixture
def registry():
    """A registry without peculiarities."""
    with running(Quirks()) as quirks:
        yield quirks


@pytest.fixture
def registry_with():
    """Run a registry with these attributes."""
    contexts = []

    def run(kind=Quirks, *, certificate=None, key=None, **attributes):
        quirks = kind()
        vars(quirks).update(attributes)
        context = running(quirks, certificate=certificate, key=key)
        contexts.append(context)
        return context.__enter__()

    yield run
    for context in contexts:
        context.__exit__(None, None, None)
