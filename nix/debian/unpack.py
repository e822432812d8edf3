"""Makes a store path of Debian packages, inside the sandbox.

    unpack.py ATTRIBUTES.JSON

Unpacks the .debs, strips `usr/` and merges sbin and games into bin; then points
what they name in absolute terms at store paths: the loader and the library
directories of ELF files, the interpreters of scripts, symlinks, the package's
own paths in scripts.
"""

import compileall
import glob
import io
import json
import lzma
import os
import posixpath
import py_compile
import re
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TOP_MERGED = ("sbin", "games")
DROPPED = ("usr/share/doc/", "usr/share/man/", "usr/share/lintian/", "usr/share/locale/")
OWN_PATH = re.compile(r"(?<![\w.$}/])/(?:usr/|etc/|lib|bin/|sbin/)[\w./+@-]*[\w+@-]")


def stripped(path: str) -> str:
    """Return a file's name in the store path, given its name in the package."""
    path = posixpath.normpath(path.lstrip("./")) if path.strip("./") else "."
    path = path.removeprefix("usr/")
    if path == "usr":
        return "."
    top, slash, rest = path.partition("/")
    return f"bin{slash}{rest}" if top in TOP_MERGED else path


def members_of_ar(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of an ar archive, which is what a .deb is."""
    with open(path, "rb") as file:
        file.read(8)
        while len(header := file.read(60)) == 60:
            size = int(header[48:58])
            yield header[:16].decode().strip().rstrip("/"), file.read(size)
            file.read(size % 2)


def unpack(deb: str, out: str, keep: tuple[str, ...]) -> None:
    """Unpack the files of a .deb below `out`."""
    for name, content in members_of_ar(deb):
        if not name.startswith("data.tar"):
            continue
        data = lzma.decompress(content) if name.endswith(".xz") else content
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                place(archive, member, out, keep)


def place(
    archive: tarfile.TarFile, member: tarfile.TarInfo, out: str, keep: tuple[str, ...]
) -> None:
    """Put one member of a package where it belongs."""
    plain = member.name.removeprefix("./") + ("/" if member.isdir() else "")
    if plain.startswith(DROPPED) and not plain.startswith(keep):
        return
    target = os.path.join(out, stripped(member.name))
    if member.isdir():
        if not os.path.islink(target):
            os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        if member.issym():
            return
        if os.path.isdir(target) and not os.path.islink(target):
            return
        os.unlink(target)
    if member.issym():
        if member.linkname.startswith("/") and stripped(member.linkname) == stripped(member.name):
            return  # sbin/x -> /bin/x, which are one now
        os.symlink(member.linkname, target)
    elif member.islnk():
        os.link(os.path.join(out, stripped(member.linkname)), target)
    elif member.isfile():
        source = archive.extractfile(member)
        assert source
        with open(target, "wb") as file:
            file.write(source.read())
        # The sandbox refuses setuid bits on real files.
        os.chmod(target, 0o755 if member.mode & 0o111 else 0o644)


def files_below(out: str) -> Iterator[str]:
    """Yield all files and symlinks, sorted."""
    for directory, directories, names in os.walk(out):
        directories.sort()
        for name in sorted(
            [*names, *(d for d in directories if os.path.islink(f"{directory}/{d}"))]
        ):
            yield os.path.join(directory, name)


class Unit:
    """One store path in the making; `attributes` are the derivation's."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.out: str = attributes["outputs"]["out"]
        self.attributes = attributes
        self.patchelf: list[str] = attributes["patchelf"]
        self.libraries: dict[str, str] = attributes["libraries"]
        self.own: dict[str, str] = {}

    def run(self) -> None:
        """Make it."""
        os.makedirs(self.out)
        for deb in self.attributes["debs"]:
            unpack(deb, self.out, tuple(self.attributes.get("keep", ())))
        elves, seen = [], set()
        for path in files_below(self.out):
            if os.path.islink(path):
                self.relink(path)
                continue
            status = os.lstat(path)
            with open(path, "rb") as file:
                start = file.read(64)
            if start.startswith(b"\x7fELF"):
                if status.st_ino not in seen:
                    elves.append(path)
                seen.add(status.st_ino)
            elif start.startswith(b"#!"):
                self.patch_script(path)
            elif start.startswith(b"/* GNU ld script"):
                self.patch_text(path)
        for path in files_below(self.out):
            name = os.path.basename(path)
            if ".so" in name:
                self.own.setdefault(name, os.path.dirname(path))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.patch_elf, elves))
        for path, target in self.attributes["symlinks"].items():
            os.symlink(target, os.path.join(self.out, path))
        for path, variables in self.attributes["wrappers"].items():
            self.wrap(os.path.join(self.out, path), variables)
        for directory in sorted(glob.glob("lib/python3*", root_dir=self.out)):
            if os.path.isdir(f"{self.out}/{directory}"):
                compileall.compile_dir(
                    f"{self.out}/{directory}",
                    quiet=2,
                    stripdir=self.out,
                    prependdir=self.out,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )

    def place_of(self, path: str) -> str | None:
        """Return where the absolute `path` of a Debian system is now; None if it isn't here."""
        own = stripped(path)
        if own != "." and os.path.lexists(os.path.join(self.out, own)):
            return os.path.join(self.out, own)
        return None

    def relink(self, path: str) -> None:
        """Point a symlink at where its target is now."""
        own = os.path.relpath(path, self.out)
        target = os.readlink(path)
        new = self.attributes["links"].get(own)
        if new is None:
            absolute = target if target.startswith("/") else None
            if absolute:
                new = self.place_of(absolute)
            elif not os.path.lexists(os.path.join(os.path.dirname(path), target)):
                # usr/ is gone, and with it one step of `../../..`.
                new = self.place_of(posixpath.normpath(f"/usr/{posixpath.dirname(own)}/{target}"))
        if new:
            os.unlink(path)
            os.symlink(new, path)

    def patch_script(self, path: str) -> None:
        """Point a script's interpreter, and what it says of its own package, at the store."""
        with open(path, "rb") as file:
            content = file.read()
        line, newline, rest = content.partition(b"\n")
        words = line[2:].strip().decode("utf-8", "replace").split()
        if words and os.path.basename(words[0]) == "env":
            words = words[1:]
        interpreter = self.attributes["interpreters"].get(
            os.path.basename(words[0]) if words else ""
        )
        if interpreter:
            line = f"#!{' '.join([interpreter, *words[1:]])}".encode()
        with open(path, "wb") as file:
            file.write(line + newline + self.own_paths(rest))

    def patch_text(self, path: str) -> None:
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(self.own_paths(content))

    def own_paths(self, content: bytes) -> bytes:
        """Return `content` with absolute paths to files of this package in the store's terms."""
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content

        def replace(match: re.Match[str]) -> str:
            path = match.group()
            name = posixpath.basename(path)
            if name in self.libraries and path.startswith("/lib"):
                return f"{self.libraries[name]}/{name}"
            return self.place_of(path) or path

        return OWN_PATH.sub(replace, text).encode()

    def wrap(self, path: str, variables: dict[str, str]) -> None:
        """Put a script before the program at `path` that sets `variables`."""
        real = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}-wrapped")
        os.rename(path, real)
        lines = [
            f"export {name}={value.replace('@out@', self.out)}" for name, value in variables.items()
        ]
        with open(path, "w", encoding="utf-8") as file:
            shell = self.attributes["interpreters"]["sh"]
            file.write("\n".join([f"#!{shell}", *lines, f'exec "{real}" "$@"', ""]))
        os.chmod(path, 0o755)

    def elf(self, *arguments: str) -> str | None:
        """Run patchelf; None where it can't."""
        result = subprocess.run(
            [*self.patchelf, *arguments], capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else None

    def patch_elf(self, path: str) -> None:
        """Set loader and RUNPATH of an ELF file."""
        own = os.path.relpath(path, self.out)
        for library in self.attributes["needed"].get(own, ()):
            self.elf("--add-needed", library, path)
        needed = self.elf("--print-needed", path)
        if not needed:
            return
        directories: list[str] = []
        for name in needed.split():
            place = self.own.get(name) if name in self.own else self.libraries.get(name)
            if place:
                directories.append(place)
        for entry in (self.elf("--print-rpath", path) or "").split(":"):
            if entry.startswith("$ORIGIN"):
                directories.append(entry)
            elif entry and (place := self.place_of(entry)):
                directories.append(place)
        interpreter = self.elf("--print-interpreter", path)
        if self.attributes["loader"] and interpreter:
            self.elf("--set-interpreter", self.attributes["loader"], path)
        self.elf("--set-rpath", ":".join(dict.fromkeys(directories)), path)


def main() -> None:
    """Read the attributes and make the store path."""
    with open(sys.argv[1], encoding="utf-8") as file:
        Unit(json.load(file)).run()


if __name__ == "__main__":
    os.umask(stat.S_IWGRP | stat.S_IWOTH)
    main()
