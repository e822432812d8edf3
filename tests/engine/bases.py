"""Base images by hand, for what engines do with layers over them."""

import pathlib
import tarfile

from tests.unit.archives import directory, layer_of, link_to, member, plain_members, symlink, tar

_LOWER = layer_of(
    directory("etc"),
    member("etc/keep", b"keep"),
    member("etc/gone", b"gone"),
    member("etc/other", b"other", uid=1234, gid=4321, mode=0o640),
    directory("srv"),
    member("srv/a", b"a"),
    member("srv/b", b"b"),
    directory("srv/deep"),
    member("srv/deep/c", b"c"),
    directory("opt"),
    member("opt/one", b"linked"),
    link_to("opt/two", "opt/one"),
    member("opt/setuid", b"#!", mode=0o4755, uid=7),
    symlink("opt/absolute", "/etc/keep"),
    symlink("opt/up", "../../../../etc/keep"),
    member("opt/null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
)
_MIDDLE = layer_of(
    member("etc/.wh.gone"),
    directory("srv"),
    member("srv/.wh..wh..opq"),
    member("srv/new", b"new"),
)


def base_with_whiteouts(path: pathlib.Path) -> str:
    """Write an image with whiteouts, owners, hard links and odd symlinks to the new file `path`.

    Returns it as a Nix expression.
    """
    config = {"Env": ["BASE=1", "PATH=/base"]}
    path.write_bytes(tar(plain_members([_LOWER, _MIDDLE], config=config)))
    return f'builtins.path {{ path = {path}; name = "base.tar"; }}'
