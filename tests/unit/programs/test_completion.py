"""`longshore completion`: each shell completes what the parsers know, as if a user typed."""

import os
import pty
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from builders.programs.longshore import SUBCOMMANDS
from tests.unit.support import BUILDERS

BASH = """
. "$HOME/completion"
show() { printf '%s\\n' "$READLINE_LINE" >>"$HOME/shown"; READLINE_LINE= READLINE_POINT=0; }
bind 'set bell-style none'
bind -x '"\\C-xs": show'
"""

ZSH = """
fpath=("$HOME/functions" $fpath)
autoload -Uz compinit && compinit -D -u
[[ ! -e $HOME/completion ]] || . "$HOME/completion"
unsetopt beep list_beep
show() { printf '%s\\n' "$BUFFER" >>"$HOME/shown"; BUFFER= }
zle -N show
bindkey '^Xs' show
"""


def script(shell):
    command = [sys.executable, BUILDERS, "longshore", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=["bash", "zsh", "zsh, where the package has it", "fish"])
def typed(request, tmp_path_factory):
    """What stands on the command line when a text and a tab were typed, in a directory of files."""
    name = request.param.partition(",")[0]
    home = tmp_path_factory.mktemp("home")
    if name == request.param:
        (home / "completion").write_text(script(name))
    else:
        (home / "functions").mkdir()
        (home / "functions/_longshore").write_text(script(name))
    (home / ".bashrc").write_text(BASH)
    (home / ".zshrc").write_text(ZSH)
    files = home / "files"
    files.mkdir()
    for file in ("image.tar", "push"):
        (files / file).touch()
    if name == "fish":
        yield lambda text: fish(home, text)
        return
    command = {"bash": ["bash", "--rcfile", home / ".bashrc", "-i"], "zsh": ["zsh", "-d", "-i"]}
    with on_a_terminal(command[name], home) as typed:
        yield typed


@contextmanager
def on_a_terminal(command, home):
    shown = home / "shown"
    shown.touch()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=home / "files",
        env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb"},
    )
    os.close(theirs)
    said = b""

    def typed(text):
        nonlocal said
        before = shown.read_text()
        os.write(ours, f"{text}\t\x18s".encode())
        while (now := shown.read_text()) == before:
            assert process.poll() is None, said.decode()
            # Whatever it prints has to be taken.
            if select.select([ours], [], [], 0.02)[0]:
                said += os.read(ours, 4096)
        return now.removeprefix(before).rstrip("\n")

    yield typed
    os.close(ours)
    process.wait()


def fish(home, text):
    """As fish would do it where only one completion fits; it edits no line without a terminal."""
    found = subprocess.run(
        ["fish", "--no-config", "-c", 'source "$HOME/completion"; complete -C "$argv"', text],
        capture_output=True,
        text=True,
        cwd=home / "files",
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
    )
    assert (found.returncode, found.stderr) == (0, "")
    lines = [line.split("\t")[0] for line in found.stdout.splitlines()]
    if len(lines) != 1:
        return text
    return f"{text.rpartition(' ')[0]} {lines[0]} "


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_subcommands_are_completed(typed, name):
    assert typed(f"longshore {name[:-1]}") == f"longshore {name} "


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("longshore --he", "longshore --help "),
        ("longshore push --mount", "longshore push --mount-from "),
        ("longshore push --tag 1 image.tar --inse", "longshore push --tag 1 image.tar --insecure "),
        ("longshore load --strat", "longshore load --strategy "),
        ("longshore completion --he", "longshore completion --help "),
    ],
)
def test_options_are_completed(typed, text, completed):
    assert typed(text).replace("=", " ") == completed


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("longshore push --compress zs", "longshore push --compress zstd "),
        ("longshore push --compress=zs", "longshore push --compress=zstd "),
        ("longshore load --into po", "longshore load --into podman "),
        ("longshore completion fi", "longshore completion fish "),
    ],
)
def test_values_are_completed(typed, text, completed):
    assert typed(text) == completed


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("longshore push im", "longshore push image.tar "),
        (
            "longshore push image.tar --digest-file im",
            "longshore push image.tar --digest-file image.tar ",
        ),
        ("longshore explain im", "longshore explain image.tar "),
    ],
)
def test_files_are_completed(typed, text, completed):
    assert typed(text) == completed


def test_a_file_that_goes_by_the_name_of_a_subcommand_is_none(typed):
    assert typed("longshore diff push --mount-f") == "longshore diff push --mount-f"


def test_no_files_are_completed_for_a_subcommand(typed):
    assert typed("longshore im") == "longshore im"
