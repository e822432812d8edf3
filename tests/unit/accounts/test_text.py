"""The account of an image as text."""

import pytest

from builders.accounts.account import account_of
from builders.accounts.known import GRAPH, Evidence
from builders.accounts.text import MOST, image_lines, path_lines
from builders.console.tables import display_width
from tests.unit.accounts.images import chain, diamond, graph, image, path

WHOLE = """\
app:1: linux/amd64, 3 layers, 11.3 kB, 5 store paths

layer     size  paths  changes  holds
    1  10.1 kB      1      20%  base-3.0
    2   1.1 kB      2      60%  only-left-1.0, right-2.0
    3     61 B      2     100%  left-2.0, app-1.0

    own  closure    alone   update  layer  store path
10.0 kB  10.0 kB  10.0 kB  11.3 kB      1  base-3.0
 1.0 kB   1.0 kB   1.0 kB   1.2 kB      2  only-left-1.0
  100 B  10.1 kB    100 B   1.2 kB      2  right-2.0
   10 B  11.0 kB   1.0 kB     61 B      3  left-2.0
    1 B  11.1 kB  11.1 kB     61 B      3  app-1.0

Sizes of store paths are those of their NARs, the files as Nix packs them; the
layers have 150 B more."""

ONE = """\
{path}
  1.0 kB  its own bytes (NAR)
  1.0 kB  its closure
  1.0 kB  would go with it
  1.2 kB  in the layers that an update of it changes
       2  layer that holds it
       0  store paths that it refers to
       1  store paths that refer to it
  in the image through:
    app-1.0 (1 B)
      byte 1,234 of bin/app
      → left-2.0 (10 B)
        (not found in the store of this machine)
        → only-left-1.0 (1.0 kB)"""


def test_an_image_is_explained_by_layers_and_paths():
    assert "\n".join(image_lines(account_of(diamond()), width=80)) == WHOLE


def test_a_path_is_explained_with_its_way_and_where_the_references_stand():
    app = path("app-1.0")
    evidence = {(app, path("left-2.0")): Evidence(f"{app}/bin/app", 1234)}
    wanted = path("only-left-1.0")
    lines = path_lines(account_of(diamond()), [wanted], width=80, evidence=evidence)
    assert "\n".join(lines) == ONE.format(path=wanted)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_every_line_fits_the_width(width):
    names = [f"{'long-' * 20}{number}-1.0" for number in range(30)]
    account = account_of(image(graph({name: [] for name in names}), [names], roots=names[:1]))
    assert all(display_width(line) <= width for line in image_lines(account, width=width))


def test_the_largest_are_shown_and_all_on_demand():
    names = [f"p{number}-1" for number in range(MOST + 5)]
    account = account_of(image(graph({name: [] for name in names}), [names], roots=names[:1]))
    assert "and 5 smaller ones; --all shows them" in list(image_lines(account, width=80))
    every = list(image_lines(account, width=80, every=True))
    assert not any("smaller ones" in line for line in every)
    assert sum(line.endswith("-1") for line in every[4:]) == MOST + 5


def test_columns_of_what_is_not_known_are_left_out_and_it_is_said_why():
    account = account_of(diamond(graph=None, roots=(), unknown=("nobody knows",)))
    text = "\n".join(image_lines(account, width=80))
    assert "closure" not in text.replace("closure to", "")
    assert "Note: nobody knows." in text


def test_what_would_control_a_terminal_is_shown_instead():
    evil = "/nix/store/" + "a" * 32 + "-\x1b[31mred"
    nodes = {evil: graph({"a-1": []})[path("a-1")].__class__(evil, (), 5)}
    account = account_of(image(nodes, [[evil.partition("-")[2]]], roots=[evil.partition("-")[2]]))
    assert "\x1b" not in "".join(image_lines(account, width=80))
    assert "\x1b" not in "".join(path_lines(account, [evil], width=80))


def test_names_on_a_long_way_have_room():
    lines = list(
        path_lines(account_of(image(chain(60), [], source=GRAPH)), [path("p59-1")], width=60)
    )
    assert lines[-1] == f"{' ' * 24}→ p59-1 (100 B)"
