"""Running the scripts that an image's author gives."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from builders.console.errors import die, warn
from builders.elf.static import static_programs
from builders.rootfs.hearing import overhear
from builders.rootfs.namespaces import call_past_modes
from builders.rootfs.store_links import is_refusal, refused_link, replacement

_PATH: Final = ".path"
"""The file in the build's directory in which a script leaves its PATH."""


@dataclass(frozen=True)
class Environment:
    """Where scripts run in: a bash with the derivation's own environment.

    `shell` is bash, `stdenv` the standard environment whose setup gives `PATH`
    and the well-known functions, `top` the build's temporary directory, which scripts see as
    `inside`. `store_dir` is the directory of the store.
    """

    shell: str
    stdenv: str
    top: str
    inside: str
    store_dir: str

    def write(self, name: str, text: str, *, directory: str) -> str:
        """Write a program that runs the script `text` in `directory`; return its path.

        bash names the file where it complains of a line, so the file has the `name` that the
        user knows the script by, and its lines are those of the user.
        """
        with open(os.path.join(self.top, name), "w", encoding="utf-8") as file:
            file.write(text)
        script, program, attributes, path = (
            os.path.join(self.inside, file) for file in (name, f".{name}.sh", ".attrs.sh", _PATH)
        )
        with open(os.path.join(self.top, f".{name}.sh"), "w", encoding="utf-8") as file:
            file.write(
                f"cd {shlex.quote(self.inside)}\n"
                f"if [ -e {shlex.quote(attributes)} ]; then . {shlex.quote(attributes)}; fi\n"
                f". {shlex.quote(self.stdenv)}/setup\n"
                f"cd {shlex.quote(directory)}\n"
                f'echo "$PATH" > {shlex.quote(path)}\n'
                f". {shlex.quote(script)}\n"
                f'echo "$PATH" >> {shlex.quote(path)}\n'
            )
        return program

    def search_path(self) -> list[str]:
        """Return the directories of PATH at the start and at the end of the last script."""
        try:
            with open(
                os.path.join(self.top, _PATH), encoding="utf-8", errors="surrogateescape"
            ) as file:
                return list(dict.fromkeys(file.read().replace("\n", ":").strip(":").split(":")))
        except FileNotFoundError:
            return []

    def variables(self) -> dict[str, str]:
        """Return the environment variables that name the build's directory, as scripts see it."""
        return {
            name: self.inside + value[len(self.top) :]
            for name, value in os.environ.items()
            if f"{value}/".startswith(f"{self.top}/")
        }

    def command(self, program: str) -> Sequence[str]:
        """Return the command that runs what `write` returned."""
        return [self.shell, "-e", program]

    def run(self, name: str, text: str, *, directory: str) -> None:
        """Run the script `text`, called `name`, in `directory`, whatever modes say of that.

        Raises `UserError` where it fails.
        """
        program = self.write(name, text, directory=directory)
        with checked(name, root=directory, store_dir=self.store_dir) as result:
            result.status = call_past_modes(self.command(program))


@dataclass
class Result:
    """The exit status of a script."""

    status: int = 0


@contextmanager
def checked(name: str, *, root: str, store_dir: str) -> Iterator[Result]:
    """Raise `UserError` where the script `name`, whose status is put into what this gives, fails.

    The error says so where the script may not write to a link into the store, in the tree `root`.
    """
    result = Result()
    with overhear(is_refusal) as refusals:
        yield result
    status = result.status
    if status == 0:
        return
    refused = refused_link(refusals, root, store_dir=store_dir)
    if refused:
        link, target = refused
        die(
            f"{name} failed to write to {link}, which is a link to {target}: "
            "files of the store can't be changed",
            hint="replace the link by a copy before that line: "
            f"{replacement(link)} && chmod -R u+w {link}",
        )
    how = f"exit code {status}" if status > 0 else f"signal {-status}"
    die(
        f"{name} failed with {how}",
        hint=f"see its output above (a line of it is shown as '{name}: line N')",
    )


def warn_of_static_programs(
    script: str, search_path: Sequence[str], *, root: str, name: str
) -> None:
    """Warn of each program that `script`, called `name`, names and that fakeroot can't see."""
    for word, path in static_programs(script, search_path, root=root):
        warn(
            f"{name} names {word}, which is "
            f"statically linked ({path}): fakeroot can't see its chown, chmod or mknod; "
            "use a dynamically linked program for these"
        )
