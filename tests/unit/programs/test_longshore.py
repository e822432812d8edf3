"""The program `longshore`: its subcommands, what it says of them, and what it refuses."""

import importlib
import subprocess
import sys

import pytest

from builders.programs.longshore import SUBCOMMANDS, parser_of
from tests.unit.support import BUILDERS


def longshore(*arguments):
    command = [sys.executable, BUILDERS, "longshore", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_lists_the_subcommands_with_an_example_of_each():
    shown = longshore("--help").stdout
    assert shown == longshore().stdout
    for name, module in SUBCOMMANDS.items():
        assert f"\n  {name} " in shown
        assert importlib.import_module(module).EXAMPLES[0][0] in shown


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_a_subcommand_shows_its_examples(name):
    shown = longshore(name, "--help")
    assert shown.returncode == 0, shown.stderr
    module = importlib.import_module(SUBCOMMANDS[name])
    assert module.DESCRIPTION in shown.stdout
    for command, does in module.EXAMPLES:
        assert f"\n  {command}\n      {does}\n" in shown.stdout


def test_help_that_nobody_takes_is_a_failure_of_one_line():
    command = [sys.executable, str(BUILDERS), "longshore", "push", "--help"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "No space left on device; " in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_argument_of_a_subcommand_is_explained(name):
    actions = parser_of(name)._actions
    assert [action.dest for action in actions if not action.help] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pussh"], "error: longshore has no subcommand 'pussh'; use one of "),
        (["completion", "csh"], "'longshore completion --help' lists what it takes\n"),
        (["completion", "--fast"], "'longshore completion --help' lists what it takes\n"),
    ],
)
def test_wrong_words_are_refused_in_one_line(arguments, said):
    result = longshore(*arguments)
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
