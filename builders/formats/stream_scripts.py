"""Running stream scripts: images that are programs, as streamLayeredImage makes them."""

import os
import subprocess
import tempfile

from builders.console.errors import UserError, die


def is_script(path: str, *, is_program: bool) -> bool:
    """Whether the image at `path` is a script, which `is_program` says that it may be.

    nixpkgs says so of some archives, too. Nothing is run that only looks like a script.
    """
    if not is_program or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def run_stream(script: str, target: str, *, what: str) -> None:
    """Write the archive that the stream script streams to the file `target`.

    Raises `UserError` where it fails; `what` names the image in it.
    """
    with open(target, "wb") as file, tempfile.TemporaryFile() as log:
        try:
            status = subprocess.run([script], stdout=file, stderr=log, check=False).returncode
        except OSError as error:
            die(f"can't run {what}: {error.strerror}", hint="build the image again")
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()
    if status:
        reason = said[-1].removeprefix("error: ") if said else f"exit code {status}"
        raise UserError(f"{what} failed: {reason}", hint="run it by itself to see all it says")
