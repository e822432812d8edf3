"""The file system of an image as one archive, beside GNU tar's of the unpacked layers."""

import hashlib
import io
import os
import subprocess
import tarfile
import threading
import time

import pytest

from builders.console.errors import UserError
from builders.rootfs.base_tree import open_layers
from builders.rootfs.export import write_file_system
from builders.rootfs.merge_layers import merge_layers
from builders.tar.sinks import FileSink
from tests.unit.archives import (
    COMPRESSORS,
    SPARSE_FORMS,
    gnu_tar,
    layer_of,
    link,
    oci_image,
    oci_members,
    plain_members,
    saved_members,
    sha256,
    sparse,
    tar,
    write_sparse,
)
from tests.unit.support import read_base

MTIME = 315532800


def directory(mode=0o755, **facts):
    header = tarfile.TarInfo()
    header.type = tarfile.DIRTYPE
    header.mode = mode
    for fact, value in facts.items():
        setattr(header, fact, value)
    return header


LAYERS = [
    tar(
        [
            ("d", directory(0o750)),
            ("d/b", b"b" * 600),
            ("d/a.b", b""),
            ("d/a", link("b")),
            ("d-e", b"x"),
            ("n" * 90 + "/" + "m" * 90, b"long"),
        ],
        mtime=77,
    ),
    tar([("d/c", link("d/b", tarfile.LNKTYPE)), (".wh.d-e", b""), ("é", b"1" * 3_000_000)]),
]


def export(tmp_path, archive, *, spool=False, **choice):
    """What is written for the image in `archive`, the bytes of an archive."""
    path = tmp_path / "image.tar"
    path.write_bytes(archive)
    out = tmp_path / "out.tar"
    image = read_base(path, spool=str(tmp_path / "spool.tar") if spool else None, **choice)
    with (
        open_layers(image.layers, directory=str(tmp_path), what=f"fromImage {path}") as layers,
        out.open("wb", buffering=0) as file,
    ):
        sink = FileSink(file.fileno())
        write_file_system(sink, merge_layers(layers), mtime=MTIME)
        sink.flush()
    return out.read_bytes()


def test_the_bytes_are_gnu_tar_s(tmp_path):
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d").chmod(0o750)
    (root / "d" / "b").write_bytes(b"b" * 600)
    (root / "d" / "a.b").write_bytes(b"")
    (root / "d" / "a").symlink_to("b")
    os.link(root / "d" / "b", root / "d" / "c")
    (root / ("n" * 90)).mkdir()
    (root / ("n" * 90) / ("m" * 90)).write_bytes(b"long")
    (root / "é").write_bytes(b"1" * 3_000_000)
    for path in (root, *root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o644)
        elif path.is_dir() and path.name != "d":
            path.chmod(0o755)
    command = ["tar", "-C", root, "--sort=name", "--format=gnu", "--numeric-owner"]
    command += ["--owner=0", "--group=0", f"--mtime=@{MTIME}", "-cf", "-", "."]
    expected = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    assert export(tmp_path, tar(plain_members(LAYERS))) == expected


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("spool", [False, True])
def test_every_compression_gives_the_same_bytes(tmp_path, compression, spool):
    plain = tar(plain_members(LAYERS))
    expected = export(tmp_path, plain)
    assert export(tmp_path, COMPRESSORS[compression](plain), spool=spool) == expected


@pytest.mark.parametrize("outer", ["none", "gz"])
@pytest.mark.parametrize("spool", [False, True])
def test_compressed_layers_give_the_same_bytes(tmp_path, outer, spool):
    expected = export(tmp_path, tar(plain_members(LAYERS)))
    stored = [COMPRESSORS["gz"](LAYERS[0]), COMPRESSORS["zstd"](LAYERS[1])]
    for members in (
        saved_members(LAYERS, stored=stored),
        oci_members([(oci_image(LAYERS, stored=stored), {})]),
    ):
        archive = COMPRESSORS[outer](tar(members))
        assert export(tmp_path, archive, spool=spool) == expected


def test_a_layer_that_an_image_has_twice(tmp_path):
    layers = [LAYERS[0], LAYERS[1], LAYERS[0]]
    for outer in ("none", "gz"):
        archive = COMPRESSORS[outer](tar(plain_members(layers)))
        with tarfile.open(fileobj=io.BytesIO(export(tmp_path, archive))) as found:
            assert "./d-e" in found.getnames()


def test_owners_modes_and_attributes_are_the_layers(tmp_path):
    header = tarfile.TarInfo()
    header.mode, header.uid, header.gid = 0o4711, 1000, 100
    header.uname, header.gname = "some", "users"
    header.pax_headers = {"SCHILY.xattr.user.a": "b"}
    layers = [tar([("x", header), ("y", link("x", tarfile.LNKTYPE))])]
    data = export(tmp_path, tar(plain_members(layers)))
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        first, second = found.getmembers()[1:]
    assert (first.mode, first.uid, first.gid) == (0o4711, 1000, 100)
    assert (first.uname, first.gname, first.mtime) == ("some", "users", MTIME)
    assert first.pax_headers["SCHILY.xattr.user.a"] == "b"
    assert (second.type, second.linkname) == (tarfile.LNKTYPE, "./x")


def test_an_image_without_layers_is_an_empty_root(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(export(tmp_path, tar(plain_members([]))))) as found:
        assert found.getnames() == ["."]


def test_a_bad_layer_names_the_archive_the_layer_and_the_file(tmp_path):
    layers = [tar([("l", link("/missing")), ("l/x", b"")])]
    name = f"{sha256(layers[0])}/layer.tar"
    for outer in ("none", "zstd"):
        with pytest.raises(UserError) as caught:
            export(tmp_path, COMPRESSORS[outer](tar(plain_members(layers))))
        assert str(caught.value).startswith(
            f"fromImage {tmp_path}/image.tar: layer {name}: /l/x lies below"
        )


def test_a_name_without_its_tag_lists_what_the_archive_has(tmp_path):
    with pytest.raises(UserError, match="fromImageName is given without fromImageTag; it holds"):
        export(tmp_path, tar(plain_members(LAYERS)), name="base")


def test_a_full_disk_is_one_clear_line(tmp_path):
    path = tmp_path / "image.tar.gz"
    path.write_bytes(COMPRESSORS["gz"](tar(plain_members(LAYERS))))
    with pytest.raises(UserError, match="make room for it in the build directory"):
        read_base(path, spool="/dev/full")


@pytest.mark.parametrize("form", SPARSE_FORMS)
def test_sparse_files_are_written_whole(tmp_path, form):
    root = tmp_path / "root"
    root.mkdir()
    write_sparse(root / "holes", 5 << 20, [(0, b"a"), (1 << 20, b"b" * 9000), (2 << 20, b"c")])
    write_sparse(root / "large", 9 << 20, [(2 << 20, b"l" * (3 << 20))])
    write_sparse(root / "none", (1 << 20) + 1, [])
    (root / "plain").write_bytes(b"p" * 600)
    layer = gnu_tar(root, *SPARSE_FORMS[form], "--owner=0", "--group=0", "--mode=0644")
    found = export(tmp_path, tar(plain_members([layer])))
    command = ["tar", "-C", root, "--sort=name", "--format=gnu", f"--mtime=@{MTIME}"]
    command += ["--owner=0", "--group=0", "--mode=0644", "-cf", "-", "."]
    assert found == subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def test_a_hole_of_gigabytes_takes_no_memory(tmp_path):
    layer = layer_of(sparse("hole", b"end", size=2 << 30, extents=[((2 << 30) - 3, 3)]))
    path = tmp_path / "image.tar"
    path.write_bytes(tar(plain_members([layer])))
    image = read_base(path)
    before = _resident()
    peak = 0

    def watch(written):
        nonlocal peak
        peak = max(peak, _resident())

    with (
        open_layers(image.layers, directory=str(tmp_path), what="bomb") as layers,
        open("/dev/null", "wb", buffering=0) as file,
    ):
        sink = FileSink(file.fileno(), on_written=watch)
        write_file_system(sink, merge_layers(layers), mtime=0)
        sink.flush()
    assert sink.written > 2 << 30
    assert peak
    assert peak - before < 16 << 20


def _resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_gigabyte_of_zeros_in_a_megabyte_of_gzip_takes_no_memory(tmp_path):
    size = 1 << 30
    header = tarfile.TarInfo("zeros")
    header.size = size
    head, tail = header.tobuf(), bytes(1024)
    digest = hashlib.sha256(head)
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    digest.update(tail)
    layer_size = len(head) + size + len(tail)
    members = plain_members([b""])
    config = members[1][1].replace(sha256(b"").encode(), digest.hexdigest().encode())
    config_name = f"{sha256(config)}.json"
    manifest = members[2][1].replace(members[1][0].encode(), config_name.encode())
    layer_name = next(iter(members))[0]
    outer = tarfile.TarInfo(layer_name)
    outer.size = layer_size
    path = tmp_path / "bomb.tar.gz"
    with path.open("wb") as file:
        pack = subprocess.Popen(["gzip", "-9"], stdin=subprocess.PIPE, stdout=file)
        assert pack.stdin
        pack.stdin.write(outer.tobuf() + head)
        for _ in range(size >> 20):
            pack.stdin.write(bytes(1 << 20))
        pack.stdin.write(tail + bytes(-layer_size % 512))
        pack.stdin.write(tar([(config_name, config), ("manifest.json", manifest)]))
        pack.stdin.close()
        assert pack.wait() == 0
    assert path.stat().st_size < 2 << 20

    peak = before = _resident()
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.is_set():
            peak = max(peak, _resident())
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        image = read_base(path, spool=str(tmp_path / "spool"))
        with open_layers(image.layers, directory=str(tmp_path), what="bomb") as layers:
            tree = merge_layers(layers)
            with (tmp_path / "out").open("wb", buffering=0) as file:
                sink = FileSink(file.fileno())
                write_file_system(sink, tree, mtime=0)
                sink.flush()
    finally:
        done.set()
        thread.join()
    assert (tmp_path / "out").stat().st_size > size
    assert peak - before < 64 << 20
