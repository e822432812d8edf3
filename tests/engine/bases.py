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


def three_deep(compressor: str) -> str:
    """A stream on a compressed image on an image that a stream wrote, each of another owner."""
    return f"""
      let
        lower = streamLayeredImage {{
          name = "lower"; uid = 1000; gid = 100; contents = [ bash ];
        }};
        saved = runCommand "lower.tar" {{ }} "${{lower}} > $out";
        middle = buildLayeredImage {{
          name = "middle"; compressor = "{compressor}"; fromImage = saved;
          contents = [ bash coreutils ];
        }};
      in
      streamLayeredImage {{
        name = "top"; tag = "1"; uid = 7; gid = 8; fromImage = middle;
        contents = [ bash coreutils hello ];
        config = {{
          Env = [ "PATH=/bin" ];
          Cmd = [ "/bin/bash" "-c" "hello; stat -Lc %u:%g /bin/bash /bin/stat /bin/hello" ];
        }};
      }}
    """


THREE_DEEP_SHOWN = "Hello, world!\n1000:100\n0:0\n7:8\n"
"""What a container of it prints: store paths have the owner of the image that brought them."""
