"""Addresses of web servers, and what is none."""

import pytest

from builders.registry.addresses import WebAddress, is_port, join_address, read_address


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("https://Registry.example/x?y", WebAddress("https", "registry.example", 443), None),
        ("http://registry.example:80", WebAddress("http", "registry.example", 80), None),
        ("https://u:p@a_b.example:80/", WebAddress("https", "a_b.example", 80), "a_b.example:80"),
        ("https://[FD00::1]/x", WebAddress("https", "fd00::1", 443), "[fd00::1]"),
        ("http://127.0.0.1:5000", WebAddress("http", "127.0.0.1", 5000), "127.0.0.1:5000"),
    ],
)
def test_an_address_leads_to_a_server(text, server, shown):
    assert read_address(text) == server
    assert str(server) == (shown or "registry.example")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "//host/", "file:///x", "http:///x", "http://[", "http://[::1", "http://h:x"),
        *("http://h:0/", "http://h:65536/", "http://a..b/", f"http://{'a' * 64}.example/"),
        *("http://h\x1b/", "http://h\u2100/", "http://h\xe9/", "http:// h/"),
    ],
)
def test_what_is_no_address_of_a_web_server_leads_nowhere(text):
    assert read_address(text) is None


def test_ports_have_an_end():
    assert [is_port(text) for text in ("0", "1", "65535", "65536", "9" * 5000)] == [
        *(False, True, True, False, False)
    ]


def test_a_location_is_relative_or_nothing():
    assert join_address("https://host/a/b", "../c?d") == "https://host/c?d"
    assert join_address("https://host/a", "http://[") == ""
