"""What the history of an image tells of its layers."""

import pytest

from builders.accounts.registry_images import paths_in_comment
from builders.image.layer_kinds import StoreLayer
from tests.unit.accounts.images import LEFT, RIGHT


def test_the_comment_that_we_write_names_the_paths():
    layer = StoreLayer(
        paths=(LEFT, RIGHT),
        mtime=1,
        uid=0,
        gid=0,
        uname="root",
        gname="root",
        store_dir="/nix/store",
    )
    comment = layer.history("1970-01-01T00:00:01Z")["comment"]
    assert comment == f"store paths: ['{LEFT}', '{RIGHT}']"
    assert paths_in_comment(comment) == (LEFT, RIGHT)


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "customisation layer",
        f"['{LEFT}']",
        "store paths: ",
        f"store paths: '{LEFT}'",
        f"store paths: ['{LEFT}', 7]",
        f"store paths: ['{LEFT}\\n']",
        "store paths: ['/etc/passwd']",
        f"store paths: {{'{LEFT}': 1}}",
        f"store paths: [open('{LEFT}')]",
        "store paths: " + "[" * 100_000,
        "store paths: [" + "-" * 100_000,
        "store paths: ['\\ud800']",
    ],
)
def test_comments_of_others_name_none(comment):
    assert paths_in_comment(comment) == ()


def test_a_path_that_is_listed_twice_is_one():
    assert paths_in_comment(f"store paths: ['{LEFT}', '{LEFT}']") == (LEFT,)
