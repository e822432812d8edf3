"""Which store paths somebody means."""

import pytest

from builders.accounts.account import account_of
from builders.accounts.choosing import chosen_paths
from builders.console.errors import UserError
from tests.unit.accounts.images import diamond, graph, image, path

LEFT = path("left-2.0")


@pytest.mark.parametrize(
    "wanted", [LEFT, f"{LEFT}/bin/x", LEFT.removeprefix("/nix/store/"), "left-2.0", "left"]
)
def test_a_path_is_found_by_any_of_its_names(wanted):
    assert tuple(chosen_paths(account_of(diamond()), wanted)) == (LEFT,)


def test_a_package_is_all_of_its_versions_and_outputs():
    nodes = graph({"z-1.2": [], "z-1.3": [], "z-1.3-dev": []})
    account = account_of(image(nodes, [["z-1.2", "z-1.3", "z-1.3-dev"]], roots=["z-1.2"]))
    assert len(chosen_paths(account, "z")) == 3
    assert chosen_paths(account, "z-1.3") == [path("z-1.3")]


def test_what_is_not_there_brings_the_nearest_names():
    with pytest.raises(UserError, match=r"no store path of app:1 is called 'lift'; perhaps left"):
        chosen_paths(account_of(diamond()), "lift")
    with pytest.raises(UserError, match="leave it out to see all of them"):
        chosen_paths(account_of(diamond()), "0123456789")
