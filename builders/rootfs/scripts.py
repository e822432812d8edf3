"""Running the scripts that an image's author gives."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from builders.console.errors import die, warn
from builders.elf.static import static_programs
from builders.rootfs.namespaces import call_past_modes


@dataclass(frozen=True)
class Environment:
    """Where scripts run in: a bash with the derivation's own environment.

    `shell` is bash, `stdenv` the standard environment whose setup gives `PATH`
    and the well-known functions, `top` the build's temporary directory.
    """

    shell: str
    stdenv: str
    top: str

    def write(self, name: str, text: str, *, directory: str) -> str:
        """Write a program that runs the script `text` in `directory`; return its path.

        bash names the file where it complains of a line, so the file has the `name` that the
        user knows the script by, and its lines are those of the user.
        """
        script = os.path.join(self.top, name)
        with open(script, "w", encoding="utf-8") as file:
            file.write(text)
        program = os.path.join(self.top, f".{name}.sh")
        attributes = os.path.join(self.top, ".attrs.sh")
        with open(program, "w", encoding="utf-8") as file:
            file.write(
                f"cd {shlex.quote(self.top)}\n"
                f"if [ -e {shlex.quote(attributes)} ]; then . {shlex.quote(attributes)}; fi\n"
                f". {shlex.quote(self.stdenv)}/setup\n"
                f"cd {shlex.quote(directory)}\n"
                f'echo "$PATH" > {shlex.quote(self._path_file)}\n'
                f". {shlex.quote(script)}\n"
                f'echo "$PATH" >> {shlex.quote(self._path_file)}\n'
            )
        return program

    def search_path(self) -> list[str]:
        """Return the directories of PATH at the start and at the end of the last script."""
        try:
            with open(self._path_file, encoding="utf-8", errors="surrogateescape") as file:
                return list(dict.fromkeys(file.read().replace("\n", ":").strip(":").split(":")))
        except FileNotFoundError:
            return []

    @property
    def _path_file(self) -> str:
        return os.path.join(self.top, ".path")

    def command(self, program: str) -> Sequence[str]:
        """Return the command that runs what `write` returned."""
        return [self.shell, "-e", program]

    def run(self, name: str, text: str, *, directory: str) -> None:
        """Run the script `text`, called `name`, in `directory`, whatever modes say of that.

        Raises `UserError` where it fails.
        """
        program = self.write(name, text, directory=directory)
        check_status(call_past_modes(self.command(program)), name=name)


def check_status(status: int, *, name: str) -> None:
    """Raise `UserError` where the exit `status` of the script `name` is not 0."""
    if status == 0:
        return
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
