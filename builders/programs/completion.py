"""`longshore completion`: what lets a shell complete the words of `longshore`.

It is made of the parsers of the subcommands, so that it knows what they do.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.programs.longshore import SUBCOMMANDS, parser_of

DESCRIPTION: Final = "Print completion for a shell."
EXAMPLES: Final = (
    ("source <(longshore completion bash)", "Complete in this bash; zsh works in the same way."),
    ("longshore completion fish | source", "Complete in this fish."),
)

_PROGRAM: Final = "longshore"


@dataclass(frozen=True)
class Option:
    """An option by all its `names`; `choices` are what its value can be, if that is known."""

    names: Sequence[str]
    takes_value: bool
    choices: Sequence[str]
    help: str


@dataclass(frozen=True)
class Words:
    """What can follow a subcommand."""

    name: str
    description: str
    options: Sequence[Option]
    choices: Sequence[str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=sorted(_SHELLS), help="the shell")


def run(given: argparse.Namespace) -> None:
    """Print the script for the shell."""
    print(_SHELLS[given.shell]([words_of(name) for name in SUBCOMMANDS]), end="")


def words_of(name: str) -> Words:
    """Return what can follow the subcommand `name`."""
    parser = parser_of(name)
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    options = [
        Option(
            names=action.option_strings,
            takes_value=action.nargs != 0,
            choices=list(map(str, action.choices or ())),
            help=action.help or "",
        )
        for action in shown
        if action.option_strings
    ]
    positional = [action for action in shown if not action.option_strings]
    choices = [str(choice) for action in positional for choice in action.choices or ()]
    return Words(name, parser.description or "", options, choices)


def _bash(subcommands: Sequence[Words]) -> str:
    cases = []
    for words in subcommands:
        names = " ".join(name for option in words.options for name in option.names)
        values = "".join(
            f"        {'|'.join(option.names)}) words='{' '.join(option.choices)}' ;;\n"
            for option in words.options
            if option.takes_value
        )
        cases.append(
            f"    {words.name})\n"
            "      case $before in\n"
            f"{values}"
            f"        *) words='{' '.join(words.choices)}'\n"
            f"          [[ $word != -* ]] || words='{names}' ;;\n"
            "      esac ;;\n"
        )
    listed = " ".join(words.name for words in subcommands)
    return (
        f"_{_PROGRAM}() {{\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
        # Of --option=value, which is three words to bash.
        "  [[ $word != = ]] || word=\n"
        "  [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "  if ((COMP_CWORD == 1)); then\n"
        # No files here.
        "    compopt +o default\n"
        f"    words='{listed} --help'\n"
        "  else case ${COMP_WORDS[1]} in\n"
        f"{''.join(cases)}"
        "  esac; fi\n"
        "  # shellcheck disable=SC2207\n"
        '  COMPREPLY=($(compgen -W "$words" -- "$word"))\n'
        "}\n"
        # Files where no word fits.
        f"complete -o default -F _{_PROGRAM} {_PROGRAM}\n"
    )


def _zsh(subcommands: Sequence[Words]) -> str:
    described = "\n".join(
        f"    {_quoted(f'{words.name}:{words.description}')}" for words in subcommands
    )
    cases = []
    for words in subcommands:
        arguments = [_quoted(_zsh_option(option)) for option in words.options]
        rest = f"({' '.join(words.choices)})" if words.choices else "_files"
        lines = " \\\n        ".join([*arguments, _quoted(f"*:argument:{rest}")])
        cases.append(f"    {words.name})\n      _arguments \\\n        {lines} ;;\n")
    return (
        f"#compdef {_PROGRAM}\n"
        f"_{_PROGRAM}() {{\n"
        "  local -a subcommands=(\n"
        f"{described}\n"
        "  )\n"
        "  if ((CURRENT == 2)); then\n"
        "    _arguments '--help[show what there is]' '1:subcommand:->subcommand'\n"
        "    [[ $state != subcommand ]] || _describe subcommand subcommands\n"
        "    return\n"
        "  fi\n"
        "  local subcommand=$words[2]\n"
        "  shift words\n"
        "  ((CURRENT--))\n"
        "  case $subcommand in\n"
        f"{''.join(cases)}"
        "  esac\n"
        "}\n"
        # Called by the completion system where it is a file of it, and sourced elsewhere.
        f'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _{_PROGRAM} "$@"\n'
        f"else compdef _{_PROGRAM} {_PROGRAM}; fi\n"
    )


def _zsh_option(option: Option) -> str:
    # The longest name says most, and one is enough where the others are short for it.
    name = max(option.names, key=len)
    text = re.sub(r"([\[\]:])", r"\\\1", option.help)
    value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
    # The value may be the next word, or come behind an equals sign.
    return f"*{name}=[{text}]{value}" if option.takes_value else f"*{name}[{text}]"


def _fish(subcommands: Sequence[Words]) -> str:
    # Subcommands are known by their place: what follows may be a file of the same name.
    first, within = (f"__fish_{_PROGRAM}_{what}" for what in ("first", "within"))
    lines = [
        f"function {first}; test (count (commandline -opc)) -eq 1; end",
        f'function {within}; test "$(commandline -opc)[2]" = $argv[1]; end',
        # No files there.
        f"complete -c {_PROGRAM} -n {first} -f",
        f"complete -c {_PROGRAM} -n {first} -l help -d 'show what there is'",
    ]
    for words in subcommands:
        lines.append(
            f"complete -c {_PROGRAM} -n {first} -a {words.name} -d {_quoted(words.description)}"
        )
        condition = f"complete -c {_PROGRAM} -n '{within} {words.name}'"
        if words.choices:
            lines.append(f"{condition} -f -a '{' '.join(words.choices)}'")
        for option in words.options:
            names = "".join(
                f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
                for name in option.names
            )
            value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r"
            lines.append(
                f"{condition}{names}{value if option.takes_value else ''} -d {_quoted(option.help)}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # As all three shells read it: the quote ends, an escaped one follows, and a new one begins.
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: Final = {"bash": _bash, "fish": _fish, "zsh": _zsh}
