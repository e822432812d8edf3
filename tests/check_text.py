"""Checks all text files against .editorconfig.

    check_text.py DIRECTORY

Prints a line for each breach and exits with 1 where there is one. Lines may be longer than
`max_line_length` where they can't be broken: rows of tables and single words, such as links, in
Markdown; strings in Nix. Source: EditorConfig specification 0.17.
"""

import configparser
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

Rules = Mapping[str, str]

SKIPPED: Final = frozenset((".git", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"))
"""Directories that hold nothing of ours."""


def read_rules(text: str) -> list[tuple[str, Rules]]:
    """Return the sections of an .editorconfig: the pattern of names, and what it says of them."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.read_string(f"[DEFAULT]\n{text}")
    defaults = parser.defaults()
    return [
        (pattern, {key: value for key, value in parser[pattern].items() if key not in defaults})
        for pattern in parser.sections()
    ]


def rules_of(path: str, sections: Sequence[tuple[str, Rules]]) -> Rules:
    """Return what `sections` say of the file `path`, named from the .editorconfig; later ones win.

    Patterns are shell patterns of names, with alternatives in braces; one with a slash is of whole
    paths.
    """
    rules: dict[str, str] = {}
    for pattern, said in sections:
        name = path if "/" in pattern else os.path.basename(path)
        if any(fnmatchcase(name, one) for one in _alternatives(pattern)):
            rules |= said
    return rules


def breaches(path: str, data: bytes, rules: Rules) -> Iterator[str]:
    """Yield a sentence for each breach of `rules` in a file with the content `data`."""
    try:
        text = data.decode(rules.get("charset", "utf-8"))
    except UnicodeDecodeError:
        yield f"{path}: is not {rules['charset']}"
        return
    lines = text.split("\n")
    if rules.get("insert_final_newline") == "true" and lines[-1]:
        yield f"{path}:{len(lines)}: the last line has no end"
    limit = rules.get("max_line_length", "off")
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if rules.get("end_of_line") == "lf" and "\r" in line:
            yield f"{where}: a carriage return"
        if rules.get("trim_trailing_whitespace") == "true" and line != line.rstrip():
            yield f"{where}: a blank at the end"
        if rules.get("indent_style") == "space" and re.match(r" *\t", line):
            yield f"{where}: a tab in the indentation"
        if limit.isdecimal() and _breakable_length(path, line) > int(limit):
            yield f"{where}: {len(line)} columns, more than {limit}"


def _alternatives(pattern: str) -> list[str]:
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [one for word in match[1].split(",") for one in _alternatives(f"{before}{word}{after}")]


def _breakable_length(path: str, line: str) -> int:
    """Return the columns of `line` without what can't be broken."""
    if path.endswith(".md"):
        is_row = line.lstrip().startswith("|")
        is_word = len(re.sub(r"^\s*([-*>]|\d+\.)?\s*", "", line).split()) == 1
        return 0 if is_row or is_word else len(line)
    if path.endswith(".nix"):
        return len(re.sub(r'"(?:[^"\\]|\\.)*"', '""', line))
    return len(line)


def text_files(directory: str) -> Iterator[str]:
    """Yield the paths of all files below `directory`, from there on; links are none."""
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(set(directories) - SKIPPED)
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                yield os.path.relpath(path, directory)


def main(directory: str) -> int:
    """Print the breaches in all files below `directory`."""
    with open(os.path.join(directory, ".editorconfig"), encoding="utf-8") as file:
        sections = read_rules(file.read())
    found = 0
    for path in text_files(directory):
        with open(os.path.join(directory, path), "rb") as file:
            data = file.read()
        for breach in breaches(path, data, rules_of(path, sections)):
            print(breach)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
