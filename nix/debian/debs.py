"""What is in a .deb: its libraries, its links, and what it needs."""

import hashlib
import io
import lzma
import os
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

ELF_MAGIC = b"\x7fELF"
AR_MAGIC = b"!<arch>\n"


@dataclass
class Facts:
    """What is in one .deb.

    `file` and `sha256` are of the .deb in the cache, `offered` is the digest that apt gives.
    `depends` are names of packages; `provides` maps sonames to directories,
    `links` relative file names to the targets of symlinks that lead out of the package.
    Names are relative to the root, without `usr/` in front; `usr_merged` says whether lib/ is
    below it in the package.
    """

    name: str
    version: str
    file: str
    sha256: str
    offered: str
    depends: list[str]
    needed: list[str] = field(default_factory=list)
    provides: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    usr_merged: bool = True


def stripped(path: str) -> str:
    """Return a file's name in the package's store path."""
    path = posixpath.normpath(path.lstrip("./")) if path.strip("./") else "."
    path = path.removeprefix("usr/")
    top, _, rest = path.partition("/")
    if top in ("sbin", "games"):
        path = f"bin/{rest}" if rest else "bin"
    return path


def read_deb(path: str, offer: dict[str, str]) -> Facts:
    """Return the facts about the .deb at `path`, which apt offers as `offer`."""
    relations = ", ".join(offer.get(key, "") for key in ("Depends", "Pre-Depends"))
    file = with_xz(path)
    facts = Facts(
        name=offer["Package"],
        version=offer["Version"].rpartition(":")[2],
        file=os.path.basename(file),
        sha256=offer["SHA256"] if file == path else digest_of(file),
        offered=offer["SHA256"],
        depends=sorted(set(re.findall(r"(?:^|[,|]) *([a-z0-9][a-z0-9.+-]+)", relations))),
    )
    needed: set[str] = set()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as data:
        assert data.stdout
        with tarfile.open(fileobj=data.stdout, mode="r|") as archive:
            for member in archive:
                needed |= read_member(archive, member, facts)
    facts.needed = sorted(needed - set(facts.provides))
    facts.provides = {
        name: directory
        for name, directory in facts.provides.items()
        if ".so" in name and directory.startswith("lib")
    }
    own = set(facts.files)
    facts.links = {
        path: target for path, target in facts.links.items() if resolved(path, target) not in own
    }
    return facts


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, facts: Facts) -> set[str]:
    """Add a member of a .deb's archive to `facts`; return the libraries that it names."""
    own = stripped(member.name)
    if not member.isdir():
        facts.files.append(own)
        if member.name.removeprefix("./").startswith("lib/"):
            facts.usr_merged = False
    if member.issym():
        facts.links[own] = member.linkname
        facts.provides.setdefault(posixpath.basename(own), posixpath.dirname(own))
    elif member.isfile() and member.size > 64:
        file = archive.extractfile(member)
        assert file
        if file.read(len(ELF_MAGIC)) == ELF_MAGIC:
            soname, needs = dynamic_names(ELF_MAGIC + file.read())
            name = soname or posixpath.basename(own)
            if ".so" in name:
                facts.provides[name] = posixpath.dirname(own)
            return needs
    return set()


def resolved(path: str, target: str) -> str:
    """Return the name, in store-path terms, that a symlink at `path` to `target` leads to."""
    if target.startswith("/"):
        return stripped(target)
    return stripped(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))


def dynamic_names(content: bytes) -> tuple[str | None, set[str]]:
    """Return the SONAME of an ELF file, if it has one, and the DT_NEEDED names."""
    soname, needs = None, set()
    try:
        for segment in ELFFile(io.BytesIO(content)).iter_segments():
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        needs.add(tag.needed)  # type: ignore[attr-defined]
                    elif tag.entry.d_tag == "DT_SONAME":
                        soname = tag.soname  # type: ignore[attr-defined]
    except ELFError:
        pass
    return soname, needs


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_xz(path: str) -> str:
    """Return a .deb with the files of the one at `path` that nothing but xz is needed to unpack.

    The sandbox begins with busybox and Python, which read no zstd, and Ubuntu's packages are
    compressed with that. What is not xz is written beside the original, as NAME.xz.deb.
    """
    with open(path, "rb") as file:
        members = list(members_of_ar(file))
        if any(name == "data.tar.xz" for name, _, _ in members):
            return path
        contents = {}
        for name, start, size in members:
            file.seek(start)
            contents[name] = file.read(size)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as data:
        assert data.stdout
        plain = data.stdout.read()
    target = f"{path.removesuffix('.deb')}.xz.deb"
    with open(f"{target}.new", "wb") as file:
        file.write(AR_MAGIC)
        for name, content in contents.items():
            if name.startswith("data.tar"):
                name, content = "data.tar.xz", lzma.compress(plain, preset=1)
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    os.rename(f"{target}.new", target)
    return target


def members_of_ar(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Yield names, offsets and sizes of the members of an ar archive, as a .deb is one (deb(5))."""
    file.seek(len(AR_MAGIC))
    while len(header := file.read(60)) == 60:
        size = int(header[48:58])
        yield header[:16].decode().strip().rstrip("/"), file.tell(), size
        file.seek(size + size % 2, os.SEEK_CUR)
