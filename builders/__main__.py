"""Run one command: `python3 builders NAME [ARGUMENT…]`, as the table says.

Failures that a user can cause end here, as one line on stderr and exit code 1.
"""

import importlib
import io
import os
import sys
from typing import Final

# A directory given to the interpreter becomes sys.path[0]; the package is one level up.
sys.path[0] = os.path.dirname(os.path.abspath(os.path.dirname(__file__)))

from builders.console.errors import UserError, explained, print_error  # noqa: E402
from builders.console.terminal import discard, takes_output  # noqa: E402

COMMANDS: Final = {
    # What runs in the sandbox of a derivation. nix/build.nix gives the name.
    "base_image": "builders.derivations.base_image",
    "base_names": "builders.derivations.base_names",
    "closure_layer": "builders.derivations.closure_layer",
    "compressed_layers": "builders.derivations.compressed_layers",
    "compile_library": "builders.derivations.compile_library",
    "customisation_layer": "builders.derivations.customisation_layer",
    "export_image": "builders.derivations.export_image",
    "image_file": "builders.derivations.image_file",
    "hidden_plan": "builders.derivations.hidden_plan",
    "image_gates": "builders.derivations.image_gates",
    "image_plan": "builders.derivations.image_plan",
    "image_report": "builders.derivations.image_report",
    "layer_metadata": "builders.derivations.layer_metadata",
    "merge_images": "builders.derivations.merge_images",
    "oci_layout": "builders.derivations.oci_layout",
    "oci_manifest": "builders.derivations.oci_manifest",
    "program": "builders.derivations.program",
    "pull_image": "builders.derivations.pull_image",
    "single_layer": "builders.derivations.single_layer",
    "store_layers": "builders.derivations.store_layers",
    "stream_script": "builders.derivations.stream_script",
    "update_layers_program": "builders.derivations.update_layers_program",
    # What people run.
    "layers": "builders.programs.list_layers",
    "longshore": "builders.programs.longshore",
    "nix_prefetch_docker": "builders.programs.nix_prefetch_docker",
    "stream": "builders.programs.stream",
    "update_layers": "builders.programs.update_layers",
}
"""The module of each command. It is imported when it runs: a stream starts without the rest."""


def main() -> int:
    """Run the command that the first argument names with the others."""
    if not takes_output(2):
        # As with 2>&-: nobody reads it, and no file that is opened later may get its number.
        null = os.open(os.devnull, os.O_WRONLY)
        if null != 2:
            os.dup2(null, 2)
            os.close(null)
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
    unseen = io.StringIO()
    if sys.stdout is None:
        sys.stdout = unseen
    name, *arguments = sys.argv[1:] or [""]
    if name not in COMMANDS:
        print_error(
            UserError(f"there is no command {name!r}", hint=f"known are {', '.join(COMMANDS)}")
        )
        return 1
    command = importlib.import_module(COMMANDS[name])
    try:
        command.main(arguments)
        _finish_output()
        if unseen.getvalue():
            raise UserError("standard output is closed", hint="let it go somewhere")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        found = explained(error)
        if found is None:
            raise
        print_error(found)
        try:
            sys.stdout.flush()
        except OSError:
            discard(sys.stdout)
        return 1
    return 0


def _finish_output() -> None:
    """Write out what stdout holds back; raise `UserError` where nobody takes it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise UserError(
            f"can't write to standard output: {error.strerror}",
            hint="see to the place that it goes to",
        ) from None


def _leave_locale() -> None:
    """Begin again where Python takes names of files for what the user's locale says.

    Derivations and scripts say so at once, but people run this file, too.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    _leave_locale()
    sys.exit(main())
