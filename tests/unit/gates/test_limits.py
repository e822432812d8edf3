"""Limits of an image."""

import pytest

from builders.accounts.account import account_of
from builders.gates.limits import forbidden, over_budget, parse_size
from tests.unit.accounts.images import chain, diamond, graph, image, path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("500M", 500_000_000),
        ("500 MB", 500_000_000),
        ("1.5G", 1_500_000_000),
        ("0.001k", 1),
        ("512MiB", 512 << 20),
        ("1Ki", 1024),
        ("2T", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "M", "-1", "1.", "1.2345", "5 m", "1e3", "5MiBB", "5\n"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_a_budget_that_is_kept_says_nothing():
    assert list(over_budget(account_of(diamond()), most_bytes=11261, most_layers=3)) == []


def test_an_image_over_its_budget_names_what_goes_with_most():
    account = account_of(diamond())
    size, layers = over_budget(account, most_bytes=1000, most_layers=2)
    assert size.what == (
        "the image has 11.3 kB, 10.3 kB more than the 1.0 kB of its budget; most goes with "
        "base-3.0 (10.0 kB), left-2.0 (1.0 kB), only-left-1.0 (1.0 kB)"
    )
    assert size.lines[:3] == (
        path("app-1.0"),
        f"  → {path('left-2.0')}",
        f"    → {path('base-3.0')}",
    )
    assert layers.what == "the image has 3 layers, more than the 2 of its budget"


@pytest.mark.parametrize(
    ("paths", "names"),
    [([path("left-2.0")], []), ([], ["left"]), ([], ["left-2.0"]), ([path("x")], ["x", "left"])],
)
def test_what_is_forbidden_is_named_with_its_chain(paths, names):
    (found,) = forbidden(account_of(diamond()), paths=paths, names=names)
    assert found.what == "left-2.0 is forbidden, and in the image: app-1.0 → left-2.0"
    assert found.lines == (path("app-1.0"), f"  → {path('left-2.0')}")


def test_a_name_is_a_whole_package_with_all_its_outputs():
    names = ["perl-5.36", "perl-5.36-man", "perl-5", "perlito-1", "libperl-5"]
    account = account_of(image(graph({name: [] for name in names}), [names]))
    found = forbidden(account, paths=[], names=["perl"])
    assert sorted(one.what.split()[0] for one in found) == ["perl-5", "perl-5.36", "perl-5.36-man"]
    found = forbidden(account, paths=[], names=["perl-5.36"])
    assert sorted(one.what.split()[0] for one in found) == ["perl-5.36", "perl-5.36-man"]


def test_what_is_not_there_may_be_forbidden():
    assert list(forbidden(account_of(diamond()), paths=[path("gcc-12")], names=["gcc"])) == []


def test_of_a_long_chain_the_line_has_both_ends():
    (found,) = forbidden(account_of(image(chain(60), [])), paths=[path("p59-1")], names=[])
    assert found.what == (
        "p59-1 is forbidden, and in the image: "
        "p0-1 → p1-1 → p2-1 → p3-1 → … → p56-1 → p57-1 → p58-1 → p59-1"
    )
    assert len(found.lines) == 60
    assert found.lines[-1] == f"{' ' * 20}→ {path('p59-1')}"
