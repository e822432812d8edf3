"""Whether programs could be started: their interpreters, loaders and libraries are in the image.

Libraries are looked for as ld.so(8) does: the directories of DT_RPATH, of LD_LIBRARY_PATH, of
DT_RUNPATH, and then the usual ones. A library that is loaded already is not looked for again.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from builders.elf.dynamic import MAGIC, ElfFile, Machine, read_elf
from builders.gates.image_files import ImageFile, ImageFiles

_SHEBANG_MAX: Final = 256
"""Bytes of the first line that Linux reads."""
_USUAL: Final = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_CONFIGURED: Final = "/etc/ld.so.conf.d"
_TOKEN: Final = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")


class Programs:
    """Looks into the programs of an image.

    `machine` is what they have to be for, None where nobody knows; `environment` are the
    container's variables.
    """

    def __init__(
        self, files: ImageFiles, machine: Machine | None, environment: Mapping[str, str]
    ) -> None:
        self._files = files
        self._machine = machine
        self._environment = environment
        self._elf: dict[str, ElfFile | None] = {}
        self._usual = [*_USUAL, *self._configured()]
        self._checked: dict[str, tuple[str, ...]] = {}

    def on_path(self, name: str) -> ImageFile | None:
        """Return the program `name` in the directories of PATH."""
        for directory in self._environment.get("PATH", "").split(":"):
            found = self._files.find(posixpath.join(directory, name)) if directory else None
            if found and not found.is_directory and found.is_executable:
                return found
        return None

    def problems(self, file: ImageFile) -> tuple[str, ...]:
        """Return what is missing to start `file`; nothing where it is no program."""
        if file.path not in self._checked:
            # A script may name itself.
            self._checked[file.path] = ()
            self._checked[file.path] = tuple(self._problems(file))
        return self._checked[file.path]

    def _problems(self, file: ImageFile) -> Iterator[str]:
        with self._files.open(file) as opened:
            first = opened.read(_SHEBANG_MAX)
        if first.startswith(b"#!"):
            yield from self._script(first)
        elif first.startswith(MAGIC):
            elf = self._read(file)
            if elf:
                yield from self._program(file, elf)

    def _script(self, first: bytes) -> Iterator[str]:
        words = first[2:].partition(b"\n")[0].decode(errors="replace").split()
        if not words:
            yield "its first line names no interpreter"
            return
        interpreter = self._files.find(words[0]) if words[0].startswith("/") else None
        if interpreter is None and self._files.is_given(words[0]):
            return
        if interpreter is None or interpreter.is_directory:
            yield f"its interpreter {words[0]} is not in the image"
            return
        if not interpreter.is_executable:
            yield f"its interpreter {words[0]} is not executable"
        for problem in self.problems(interpreter):
            yield f"its interpreter {words[0]} can't run: {problem}"
        if posixpath.basename(words[0]) == "env":
            yield from self._by_env(words[1:])

    def _by_env(self, words: Iterable[str]) -> Iterator[str]:
        program = next(
            (word for word in words if not word.startswith("-") and "=" not in word), None
        )
        if program is None or "/" in program:
            return
        found = self.on_path(program)
        if found is None:
            if any(map(self._files.is_given, self._environment.get("PATH", "").split(":"))):
                return
            yield f"its interpreter {program}, which env looks for, is in no directory of PATH"
            return
        for problem in self.problems(found):
            yield f"its interpreter {program} can't run: {problem}"

    def _program(self, file: ImageFile, elf: ElfFile) -> Iterator[str]:
        if self._machine and not elf.machine.runs_on(self._machine):
            # Plugins and the like may be for what emulates another machine.
            if elf.interpreter or not elf.soname:
                yield f"it is for {elf.machine}, and the image is for {self._machine}"
            return
        if elf.interpreter is None:
            return
        loader = self._files.find(elf.interpreter)
        if loader is None and self._files.is_given(elf.interpreter):
            return
        if loader is None or loader.is_directory:
            yield f"its loader {elf.interpreter} is not in the image"
            return
        yield from self._libraries(file, elf, loader)

    def _libraries(self, file: ImageFile, elf: ElfFile, loader: ImageFile) -> Iterator[str]:
        """Yield the libraries that the loader would not find, in the order in which it looks."""
        loaded = {posixpath.basename(elf.interpreter or ""), posixpath.basename(loader.path)}
        # With each object the DT_RPATHs of those that brought it in.
        queue: list[tuple[ImageFile, ElfFile, tuple[str, ...]]] = [(file, elf, ())]
        usual = [posixpath.dirname(loader.path), *self._usual]
        while queue:
            holder, one, inherited = queue.pop(0)
            own = () if one.runpath else tuple(self._expanded(one.rpath, holder))
            rpath = (*own, *inherited)
            before = () if one.runpath else rpath
            places = [
                *before,
                *self._environment.get("LD_LIBRARY_PATH", "").split(":"),
                *self._expanded(one.runpath, holder),
                *usual,
            ]
            for name in one.needed:
                if name in loaded:
                    continue
                loaded.add(name)
                found = self._library(name, places, one.machine)
                if found is None:
                    if any(self._files.is_given(place) for place in places if place):
                        continue
                    by = "" if holder is file else f", which {holder.path} needs,"
                    yield f"its library {name}{by} is not in the image, or not where it is sought"
                    continue
                library = self._read(found)
                if library:
                    if library.soname:
                        loaded.add(library.soname)
                    queue.append((found, library, rpath))

    def _library(self, name: str, places: Iterable[str], machine: Machine) -> ImageFile | None:
        candidates = (
            [name] if "/" in name else [posixpath.join(place, name) for place in places if place]
        )
        for candidate in candidates:
            found = self._files.find(candidate) if candidate.startswith("/") else None
            if found and not found.is_directory:
                elf = self._read(found)
                # The loader passes over what is for another machine.
                if elf and elf.machine == machine:
                    return found
        return None

    def _expanded(self, directories: Iterable[str], holder: ImageFile) -> Iterator[str]:
        """Yield directories with what $ORIGIN stands for; $LIB has two meanings."""
        origin = posixpath.dirname(holder.path)
        for directory in directories:
            for lib in ("lib64", "lib") if "LIB" in directory else ("lib",):
                yield _substituted(directory, {"ORIGIN": origin, "LIB": lib, "PLATFORM": ""})

    def _configured(self) -> Iterator[str]:
        """Yield the directories that the files of /etc/ld.so.conf.d name."""
        for name in self._files.list(_CONFIGURED):
            file = self._files.find(name)
            if file is None or file.is_directory or not name.endswith(".conf"):
                continue
            with self._files.open(file) as opened:
                for line in opened.read(1 << 16).decode(errors="replace").splitlines():
                    if line.strip().startswith("/"):
                        yield line.strip()

    def _read(self, file: ImageFile) -> ElfFile | None:
        if file.path not in self._elf:
            with self._files.open(file) as opened:
                self._elf[file.path] = read_elf(opened)
        return self._elf[file.path]


def _substituted(directory: str, values: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda found: values[found[1] or found[2]], directory)
