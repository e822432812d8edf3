"""The mode of an image's root directory, which programs such as sshd look at."""

import stat
import tarfile

import pytest

from tests.nix.images import archive
from tests.unit.archives import plain_members, tar


def a_base(tmp_path, mode):
    """A base image whose root directory has `mode`, or is in no layer."""
    root = tarfile.TarInfo()
    root.type = tarfile.DIRTYPE
    root.mode = mode or 0
    members = ([("./", root)] if mode else []) + [("./file", b"")]
    path = tmp_path / "base.tar"
    path.write_bytes(tar(plain_members([tar(members)])))
    return f'fromImage = builtins.path {{ path = {path}; name = "base.tar"; }};'


def mode_of_root(attributes):
    """The mode in the topmost layer, None where that has no root directory."""
    image = archive(f'buildImage {{ name = "app"; {attributes} }}')
    root = image.layer(len(image.manifest["Layers"]) - 1).get("") or image.layer(
        len(image.manifest["Layers"]) - 1
    ).get(".")
    return root and oct(stat.S_IMODE(root.mode))


@pytest.mark.parametrize("copied", ["", "copyToRoot = hello;", "copyToRoot = [ hello bash ];"])
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o1775])
def test_over_a_base_it_is_that_of_the_base(copied, mode, tmp_path):
    base = a_base(tmp_path, mode)
    assert mode_of_root(f"{base} {copied}") == oct(mode)


def test_over_a_base_that_says_nothing_of_it_it_is_that_of_engines(tmp_path):
    assert mode_of_root(f"{a_base(tmp_path, None)} copyToRoot = hello;") == "0o755"


@pytest.mark.parametrize("copied", ["", "copyToRoot = hello;"])
def test_run_as_root_leaves_that_of_the_base(copied, tmp_path):
    base = a_base(tmp_path, 0o755)
    assert mode_of_root(f'{base} {copied} runAsRoot = "touch /x";') in (None, "0o755")


def test_scripts_may_change_it(tmp_path):
    base = a_base(tmp_path, 0o755)
    assert mode_of_root(f'{base} extraCommands = "chmod 700 .";') == "0o700"
    assert mode_of_root(f'{base} runAsRoot = "chmod 700 /";') == "0o700"


@pytest.mark.parametrize(
    ("attributes", "mode"),
    [
        # `chmod ug+w` of a directory that mkdir made, or that rsync gave the store's mode.
        ("", "0o775"),
        ("copyToRoot = hello;", "0o775"),
        ('runAsRoot = "touch /x";', "0o755"),
        ('copyToRoot = hello; runAsRoot = "touch /x";', "0o775"),
    ],
)
def test_without_a_base_it_is_as_in_nixpkgs(attributes, mode):
    assert mode_of_root(attributes) == mode
