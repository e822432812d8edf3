"""Proxies as the environment names them."""

import pytest

from builders.console.errors import UserError
from builders.registry.proxies import Proxy, find_proxy


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_may_lack_its_scheme(monkeypatch):
    assert find_proxy("https", "registry.example") is None
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    assert find_proxy("https", "registry.example") == Proxy("http://proxy.example:3128")
    assert find_proxy("http", "registry.example") is None
    monkeypatch.setenv("ALL_PROXY", "https://other.example")
    assert find_proxy("http", "registry.example") == Proxy("https://other.example")


def test_user_and_password_are_escaped_there_and_not_in_what_the_proxy_gets(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://us%40er:p%3A%C3%A9@proxy.example:3128")
    found = find_proxy("https", "registry.example")
    assert found == Proxy("http://proxy.example:3128", "us@er:p:é")
    assert found.headers == {"proxy-authorization": "Basic dXNAZXI6cDrDqQ=="}
    assert "us@er" not in repr(found)


@pytest.mark.parametrize("named", ["http://[", "http://secret:secret@host:port", "http://h:99999"])
def test_what_is_no_address_is_refused_without_being_shown(named, monkeypatch):
    monkeypatch.setenv("https_proxy", named)
    with pytest.raises(UserError, match="whose address can't be read; set https_proxy") as error:
        find_proxy("https", "registry.example")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "named", "direct"),
    [
        ("localhost:5000", "", True),
        ("[::1]:5000", "", True),
        ("registry.example", "*", True),
        ("registry.example:5000", ".example", True),
        ("registry.example:5000", "other.example, registry.example", True),
        ("registry.example:5000", "registry.example:5000", True),
        ("registry.example", "gistry.example", False),
        ("10.1.2.3:5000", "10.0.0.0/8", True),
        ("10.1.2.3", "a.example, 10.0.0.0/8 ,b.example", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::5]:5000", "fd00::/8", True),
        ("[fd00::5]:5000", "[fd00::5]", True),
        ("[fd00::5]:5000", "10.0.0.0/8", False),
        ("registry.example", "10.0.0.0/8", False),
    ],
)
def test_exceptions_are_names_domains_addresses_and_networks(host, named, direct, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    monkeypatch.setenv("no_proxy", named)
    assert (find_proxy("https", host) is None) == direct
