"""Finding what can't run in an image, before it runs.

Looked at are the programs that the configuration names, those in the directories of PATH, in the
directories bin and sbin of the store paths that the image needs by itself, and all executable files
outside of the store; and with each, what starts it.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from builders.elf.dynamic import MACHINES, Machine
from builders.gates.image_files import ImageFile, ImageFiles
from builders.gates.loading import Programs

_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where the image has no PATH."""
MADE_BY_ENGINES: Final = ("/proc", "/dev", "/sys")
"""What engines put into each container."""
_SHELL: Final = ("/bin/sh",)
_NUMBER: Final = re.compile(r"[0-9]+")


def lint(
    files: ImageFiles,
    config: Mapping[str, Any],
    *,
    architecture: str | None,
    roots: Sequence[str],
) -> Iterator[str]:
    """Yield what is wrong, a line each.

    `config` is the container configuration, `architecture` in Go's words, and `roots` the store
    paths that the image needs by itself. Of the base image, which is as it is, nothing is looked at
    but what the rest needs.
    """
    environment = _environment(config)
    known = MACHINES.get(architecture or "")
    programs = Programs(files, Machine(*known) if known else None, environment)
    yield from _Linter(files, programs, config).configuration()
    seen: set[str] = set()
    for name in _candidates(files, environment, roots):
        file = files.find(name)
        if file is None or file.is_directory or not file.is_executable or file.is_of_base:
            continue
        if file.path not in seen:
            seen.add(file.path)
            shown = name if name == file.path else f"{name} ({file.path})"
            for problem in programs.problems(file):
                yield f"{shown} can't run: {problem}"


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    variables = {"PATH": _USUAL_PATH}
    for variable in config.get("Env") or ():
        name, _, value = variable.partition("=")
        variables[name] = value
    return variables


def _candidates(
    files: ImageFiles, environment: Mapping[str, str], roots: Iterable[str]
) -> Iterator[str]:
    for directory in environment["PATH"].split(":"):
        if directory.startswith("/"):
            yield from files.list(directory)
    for root in roots:
        for directory in ("bin", "sbin"):
            yield from files.list(posixpath.join(root, directory))
    yield from files.outside_of_store()


class _Linter:
    """Looks at what the configuration names."""

    def __init__(
        self,
        files: ImageFiles,
        programs: Programs,
        config: Mapping[str, Any],
    ) -> None:
        self._files = files
        self._programs = programs
        self._config = config

    def configuration(self) -> Iterator[str]:
        """Yield what is wrong with the configuration."""
        entrypoint, command = self._words("Entrypoint"), self._words("Cmd")
        if entrypoint:
            yield from self._program("Entrypoint", entrypoint[0])
        elif command:
            yield from self._program("Cmd", command[0])
        yield from self._healthcheck()
        yield from self._working_directory()
        yield from self._user()

    def _words(self, key: str) -> Sequence[str]:
        return self._config.get(key) or ()

    def _program(self, key: str, name: str) -> Iterator[str]:
        if "/" in name:
            path = posixpath.join("/", self._config.get("WorkingDir") or "", name)
            if self._files.is_given(path):
                return
            file = self._files.find(path)
            if file is None:
                yield f"config.{key} names {name}, which is not in the image"
                return
        else:
            file = self._programs.on_path(name)
            if file is None:
                yield f"config.{key} names {name}, which is in no directory of PATH"
                return
        yield from self._can_run(key, name, file)

    def _can_run(self, key: str, name: str, file: ImageFile) -> Iterator[str]:
        if file.is_directory:
            yield f"config.{key} names {name}, which is a directory"
            return
        if not file.is_executable:
            yield f"config.{key} names {name}, which is not executable"
            return
        for problem in self._programs.problems(file):
            yield f"config.{key} names {name}, which can't run: {problem}"

    def _healthcheck(self) -> Iterator[str]:
        check = self._config.get("Healthcheck")
        words = list(check.get("Test") or ()) if isinstance(check, Mapping) else []
        if words[:1] == ["CMD"] and len(words) > 1:
            yield from self._program("Healthcheck.Test", words[1])
        elif words[:1] == ["CMD-SHELL"]:
            shell = self._words("Shell") or _SHELL
            yield from self._program("Healthcheck.Test (by its shell)", shell[0])

    def _working_directory(self) -> Iterator[str]:
        name = self._config.get("WorkingDir")
        if not name or self._files.is_given(name):
            return
        found = self._files.find(posixpath.join("/", name))
        if found is None:
            yield (
                f"config.WorkingDir is {name}, which is not in the image; engines make it, "
                "and it belongs to root"
            )
        elif not found.is_directory:
            yield f"config.WorkingDir is {name}, which is no directory"

    def _user(self) -> Iterator[str]:
        user, _, group = str(self._config.get("User") or "").partition(":")
        for name, kind, file in ((user, "user", "/etc/passwd"), (group, "group", "/etc/group")):
            # Also for root: without its name, engines take the number alone.
            if name and not _NUMBER.fullmatch(name) and name not in self._names_in(file):
                yield f"config.User names the {kind} {name}, which {file} of the image lacks"

    def _names_in(self, path: str) -> set[str]:
        found = self._files.find(path)
        if found is None or found.is_directory:
            return set()
        with self._files.open(found) as opened:
            lines = opened.read().decode(errors="replace").splitlines()
        return {line.partition(":")[0] for line in lines}
