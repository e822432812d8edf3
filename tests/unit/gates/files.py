"""Small images on disk, of which some files are programs."""

import contextlib
import io
import pathlib
import subprocess
import tarfile

from builders.gates.image_files import open_image_files
from builders.image.layer_kinds import StoreLayer, TarLayer

LOADER = "/lib64/ld.so"


def write_tar(path, members):
    """Write a layer: bytes are executable files, text plain ones, a tuple's only member a link."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.mode = 0o644
            data = b""
            if content is None:
                header.type, header.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, tuple):
                header.type, header.linkname = tarfile.SYMTYPE, content[0]
            elif isinstance(content, bytes):
                header.mode, data = 0o755, content
            else:
                data = content.encode()
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))


@contextlib.contextmanager
def image_files(directory, *layers, store=(), given=()):
    """The files of an image of these layers, the lowest first, and the store paths `store`."""
    made = []
    for number, members in enumerate(layers):
        path = directory / f"layer{number}.tar"
        write_tar(path, members)
        made.append(TarLayer(path=str(path), diff_id="sha256:0", size=path.stat().st_size))
    held = StoreLayer(tuple(map(str, store)), 1, 0, 0, "root", "root", str(directory))
    options = {"directory": str(directory), "what": "base", "given": given}
    with open_image_files([*made, held], **options) as files:
        yield files


def linked(directory, name, *options, needs=(), loader=LOADER):
    """The bytes of a program of gcc that needs the libraries `needs`; without a loader, of one."""
    source = pathlib.Path(directory) / "source.c"
    source.write_text("int answer(void) { return 42; }\n")
    kind = ["-shared", f"-Wl,-soname,{name}"] if loader is None else ["-pie", "-Wl,-e,answer"]
    if loader:
        kind.append(f"-Wl,--dynamic-linker={loader}")
    stubs = []
    for library in needs:
        stub = pathlib.Path(directory) / library
        stub.write_bytes(linked_library(directory, library))
        stubs.append(str(stub))
    out = pathlib.Path(directory) / f"out-{name}"
    command = ["gcc", "-nostdlib", "-fPIC", *kind, "-o", out, source, "-Wl,--no-as-needed"]
    subprocess.run([*map(str, command), *stubs, *options], check=True)
    return out.read_bytes()


def linked_library(directory, name):
    """The bytes of a library without needs."""
    source = pathlib.Path(directory) / "stub.c"
    source.write_text("int stub(void) { return 0; }\n")
    out = pathlib.Path(directory) / f"stub-{name}"
    options = ["-shared", "-nostdlib", "-fPIC", f"-Wl,-soname,{name}"]
    subprocess.run(["gcc", *options, "-o", out, source], check=True)
    return out.read_bytes()


def for_machine(data, number):
    """The ELF file with another e_machine."""
    return data[:18] + number.to_bytes(2, "little") + data[20:]
