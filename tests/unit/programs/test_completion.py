"""`longshore completion`: each shell completes what the parsers know."""

import shutil
import subprocess
import sys

import pytest

from builders.programs.longshore import SUBCOMMANDS
from tests.unit.support import BUILDERS


def script(shell):
    command = [sys.executable, BUILDERS, "longshore", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def completed(*words):
    """What bash completes the last of `words` to."""
    code = (
        f"{script('bash')}\n"
        f"COMP_WORDS=({' '.join(map(repr, words))})\n"
        f"COMP_CWORD={len(words) - 1}\n"
        "_longshore\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    result = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, check=True)
    return result.stdout.split()


def test_bash_completes_subcommands():
    assert completed("longshore", "") == [*SUBCOMMANDS, "--help"]
    assert completed("longshore", "compl") == ["completion"]


def test_bash_completes_arguments_and_options():
    assert completed("longshore", "completion", "") == ["bash", "fish", "zsh"]
    assert completed("longshore", "completion", "--h") == ["--help"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_can_read(shell):
    made = script(shell)
    for name in SUBCOMMANDS:
        assert name in made
    # Debian's machines have bash; the others are looked at where they are there.
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=made, text=True, check=True)
