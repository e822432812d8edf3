"""The merged tree beside what a Docker daemon makes of the same layers."""

import os
import tarfile
from contextlib import contextmanager

import pytest

from builders.console.errors import UserError
from builders.rootfs.base_tree import open_layers
from builders.rootfs.export import write_file_system
from builders.rootfs.merge_layers import merge_layers
from builders.tar.sinks import FileSink
from tests.engine.engines import Docker, EngineError
from tests.unit.archives import directory_header as directory
from tests.unit.archives import hard, link, plain_members, special, tar
from tests.unit.support import read_base

# What Docker puts into every container, or leaves behind.
ITS_OWN = {"dev", "proc", "sys", "etc", ".dockerenv", ".wh..wh.plnk"}


LOWER = [
    ("bin", link("usr/bin")),
    ("usr", directory()),
    ("usr/bin", directory()),
    ("usr/bin/tool", b"tool"),
    ("usr/bin/same", hard("usr/bin/tool")),
    ("home", directory()),
    ("home/user", directory(0o700, uid=1000, gid=100)),
    ("home/user/file", b"lower"),
    ("data", directory()),
    ("data/old", b"old"),
    ("data/deep", directory()),
    ("data/deep/old", b"old"),
    ("empty", directory(0o1777)),
]

TAKEN = {
    "one layer": [LOWER],
    "whiteouts": [LOWER, [("data/.wh.old", b""), (".wh.home", b""), (".wh.missing", b"")]],
    "opaque directories": [
        LOWER,
        [("data", directory()), ("data/.wh..wh..opq", b""), ("data/new", b"new")],
    ],
    "a directory replaced": [LOWER, [(".wh.data", b""), ("data", directory()), ("data/x", b"x")]],
    "files of lower layers": [LOWER, [("usr/bin/tool", b"new"), ("home/user/more", b"more")]],
    "a directory named again": [LOWER, [("home/user", directory(0o755, uid=5))]],
    "a file where a directory was": [LOWER, [("data", b"file")]],
    "a directory where a file was": [
        LOWER,
        [("data/old", directory()), ("data/old/x", b"x")],
    ],
    "a link where a directory was": [LOWER, [("data", link("/home"))]],
    "a directory where a link was": [LOWER, [("bin", directory()), ("bin/x", b"x")]],
    "a file below a link": [LOWER, [("bin/x", b"x"), ("bin/new/y", b"y")]],
    "a whiteout below a link": [LOWER, [("bin/.wh.tool", b"")]],
    "a hard link across layers": [LOWER, [("data/link", hard("usr/bin/tool"))]],
    "a hard link through a link": [LOWER, [("data/link", hard("bin/tool"))]],
    "a hard link to a symlink": [LOWER, [("data/link", hard("bin"))]],
    "a hard link with ..": [LOWER, [("data/link", hard("../../usr/bin/tool"))]],
    "names with ..": [LOWER, [("../../outside", b"x"), ("data/../../up", b"y")]],
    "absolute names": [LOWER, [("/data/absolute", b"x"), ("//data//./twice", b"y")]],
    "links out of the root": [
        [("up", link("../../data")), ("data", directory()), ("up/x", b"x"), ("abs", link("/data"))],
        [("abs/y", b"y")],
    ],
    "a file where the layer has a directory": [[("d/x", b""), ("d", b"file")]],
    "special files": [
        [
            ("null", special(tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)),
            ("disk", special(tarfile.BLKTYPE, devmajor=8, devminor=1)),
            ("pipe", special(tarfile.FIFOTYPE)),
        ]
    ],
    "setuid, setgid and sticky": [
        [
            ("su", special(tarfile.REGTYPE, mode=0o6755, uid=3, gid=4)),
            ("tmp", directory(0o1777)),
        ]
    ],
    "names of every kind": [
        [("é", b"1"), ("a b\nc", b"2"), ("'\"\\", b"3"), ("x" * 255, b"4"), ("d" * 90 + "/é", b"5")]
    ],
    "AUFS": [
        [
            (".wh..wh.aufs", b""),
            (".wh..wh.plnk/1.2", b"content"),
            ("bin", directory()),
            ("bin/a", hard(".wh..wh.plnk/1.2")),
        ]
    ],
}

REFUSED = {
    "a hard link to nothing": [("a", hard("missing"))],
    "a hard link to outside": [("a", hard("../../etc/passwd"))],
    "a hard link to a directory": [("d", directory()), ("a", hard("d"))],
    "a file twice": [("a", b"1"), ("a", b"2")],
    "a file twice under two spellings": [("a", b"1"), ("./a", b"2")],
    "a file below a file": [("f", b""), ("f/x", b"")],
    "a file below a link to nothing": [("l", link("missing")), ("l/x", b"")],
    "a file below a loop": [("a", link("b")), ("b", link("a")), ("a/x", b"")],
    "a path of 10,000 directories": [("a/" * 10_000 + "x", b"")],
    "a name of 256 bytes": [("a" * 256, b"")],
    "a symlink without a target": [("a", link(""))],
    "an unknown type": [("a", special(b"Z"))],
}


def image(tmp_path, layers):
    """Write an image of `layers` as an archive and return its path."""
    path = tmp_path / "image.tar"
    path.write_bytes(tar(plain_members([tar(layer, mtime=1000) for layer in layers])))
    return path


@contextmanager
def exported(tmp_path, path):
    """The file system of the image in the archive at `path`, as we write it."""
    base = read_base(path)
    out = tmp_path / "exported.tar"
    with (
        open_layers(base.layers, directory=str(tmp_path), what="image") as layers,
        out.open("wb", buffering=0) as file,
    ):
        sink = FileSink(file.fileno())
        write_file_system(sink, merge_layers(layers), mtime=1000)
        sink.flush()
    with tarfile.open(out) as archive:
        yield archive


def facts(archive):
    """All that a tar archive says of each file but times and names of owners."""
    found = {}
    for member in archive:
        name = os.path.normpath(member.name).lstrip("/")
        if member.islnk():
            found[name] = found[os.path.normpath(member.linkname)]
            continue
        content = None
        if member.isfile():
            file = archive.extractfile(member)
            assert file
            content = file.read()
        found[name] = (
            member.type,
            0o777 if member.issym() else member.mode & 0o7777,
            (member.uid, member.gid),
            member.linkname,
            content,
            (member.devmajor, member.devminor) if member.isdev() else None,
        )
    return found


@contextmanager
def container(docker: Docker, name, tmp_path):
    """The file system of a container, as Docker exports it."""
    created = docker.command("create", name, "/none").strip()
    out = tmp_path / "container.tar"
    docker.command("export", "-o", out, created)
    with tarfile.open(out) as archive:
        yield archive


def facts_of_docker(docker: Docker, name, tmp_path):
    with container(docker, name, tmp_path) as archive:
        found = facts(archive)
    for own in ITS_OWN:
        found = {name: fact for name, fact in found.items() if not f"{name}/".startswith(f"{own}/")}
    # Before Docker 25, directories that no layer names have a mode that nobody can use.
    return {
        name: (kind, 0o755 if kind == tarfile.DIRTYPE and mode == 0o600 else mode, *more)
        for name, (kind, mode, *more) in found.items()
    }


@pytest.mark.parametrize("case", TAKEN)
def test_the_tree_is_docker_s(docker: Docker, tmp_path, case):
    path = image(tmp_path, TAKEN[case])
    theirs = facts_of_docker(docker, docker.load(path), tmp_path)
    with exported(tmp_path, path) as archive:
        assert {name: fact for name, fact in facts(archive).items() if name != "."} == theirs


@pytest.mark.parametrize("case", REFUSED)
def test_docker_refuses_what_we_refuse(docker: Docker, tmp_path, case):
    path = image(tmp_path, [REFUSED[case]])
    with pytest.raises(UserError), exported(tmp_path, path):
        pass
    with pytest.raises(EngineError):
        docker.load(path)


def test_docker_imports_what_we_export(docker: Docker, tmp_path):
    capable = special(tarfile.REGTYPE, mode=0o755)
    # CAP_NET_RAW, permitted and effective: linux/capability.h, struct vfs_cap_data.
    capability = bytes([1, 0, 0, 2, 0, 0x20, *bytes(14)]).decode("latin-1")
    capable.pax_headers = {"SCHILY.xattr.security.capability": capability}
    path = image(tmp_path, [LOWER, [("usr/bin/ping", capable)]])
    with exported(tmp_path, path) as archive:
        ours = {name: fact for name, fact in facts(archive).items() if name != "."}
        assert isinstance(archive.name, str)
        imported = docker.command("import", "--change", "CMD /none", archive.name).strip()
    assert facts_of_docker(docker, imported, tmp_path) == ours
    with container(docker, imported, tmp_path) as archive:
        ping = archive.getmember("usr/bin/ping")
        assert ping.pax_headers["SCHILY.xattr.security.capability"] == capability
        assert archive.getmember("usr/bin/tool").islnk()
        assert archive.getmember("usr/bin/tool").linkname == "usr/bin/same"
