"""Names without versions, as Nix divides them, and which of several packages has a name."""

import pytest

from builders.closure.graph import StorePath
from builders.closure.package_names import parse_name, stable_name, stable_names


@pytest.mark.parametrize(
    ("name", "parsed", "stable"),
    [
        ("bash-5.2p37", ("bash", "5.2p37"), "bash"),
        ("openssl-3.0.13-dev", ("openssl", "3.0.13-dev"), "openssl-dev"),
        ("bash-interactive-5.2p37-man", ("bash-interactive", "5.2p37-man"), "bash-interactive-man"),
        ("gcc-12-base", ("gcc", "12-base"), "gcc-base"),
        ("python3.11-numpy-1.24.2", ("python3.11-numpy", "1.24.2"), "python3.11-numpy"),
        ("libfoo", ("libfoo", ""), "libfoo"),
        ("libstdc++6", ("libstdc++6", ""), "libstdc++6"),
        ("g++-12", ("g++", "12"), "g++"),
        ("vim-2024-01-31-unstable-doc", ("vim", "2024-01-31-unstable-doc"), "vim-unstable-doc"),
        ("nix-2.18.1_pre1-lib", ("nix", "2.18.1_pre1-lib"), "nix-lib"),
        ("fetch-_x-1", ("fetch", "_x-1"), "fetch"),
        ("source", ("source", ""), "source"),
        ("-1.0", ("", "1.0"), "-1.0"),
        ("a-", ("a-", ""), "a-"),
        ("hello-2.12.1.tar.gz", ("hello", "2.12.1.tar.gz"), "hello"),
    ],
)
def test_versions_begin_where_nix_says_and_outputs_stay(name, parsed, stable):
    assert parse_name(name) == parsed
    assert stable_name(name) == stable


def test_the_newest_of_one_name_has_it_alone():
    sizes = {
        "1-x-1.9": 1,
        "2-x-1.10": 1,
        "3-x-1.10pre2": 1,
        "4-x-1.10a": 1,
        "5-x-1.10.1": 1,
        "6-x-1.10.1": 7,
        "7-x-1.10.1": 1,
        "8-x-1.10-dev": 1,
    }
    graph = {
        f"/nix/store/{name}": StorePath(f"/nix/store/{name}", (), size)
        for name, size in sizes.items()
    }
    names = stable_names(graph, graph)
    assert {path[11]: name for path, name in names.items()} == {
        "6": "x",
        "5": "x#2",
        "7": "x#3",
        "4": "x#4",
        "2": "x#5",
        "3": "x#6",
        "1": "x#7",
        "8": "x-dev",
    }
    assert stable_names(graph, reversed(graph)) == names
