"""The rules of .editorconfig, as tests/check_text.py reads and checks them."""

import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parents[1] / "check_text.py"

RULES = b"""\
root = true

[*]
charset = utf-8
end_of_line = lf
insert_final_newline = true
trim_trailing_whitespace = true
indent_style = space
max_line_length = 20

# Data
[*.{json,svg}]
insert_final_newline = unset
max_line_length = off

[data/*.txt]
indent_style = tab

[.editorconfig]
max_line_length = off
"""


@pytest.fixture
def check(tmp_path):
    """What is said of a directory with these files, by their paths, beside the rules."""

    def run(files):
        for name, content in {".editorconfig": RULES, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        command = [sys.executable, "-S", PROGRAM, tmp_path]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        assert result.returncode == (1 if result.stdout else 0)
        return result.stdout.splitlines()

    return run


def test_files_that_keep_the_rules_break_none(check):
    assert check({"a.sh": b"two words\n  more\n", "empty": b""}) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\n", "a.sh: is not utf-8"),
        (b"a\nb", "a.sh:2: the last line has no end"),
        (b"a\nb\r\n", "a.sh:2: a carriage return"),
        (b"a\nb \n", "a.sh:2: a blank at the end"),
        (b"  \ta\n", "a.sh:1: a tab in the indentation"),
        (b"a\n" + b"b" * 21 + b"\n", "a.sh:2: 21 columns, more than 20"),
    ],
)
def test_each_breach_is_named_with_its_place(check, content, expected):
    assert expected in check({"a.sh": content})


def test_columns_are_characters(check):
    assert check({"a.sh": "…".encode() * 20 + b"\n"}) == []


def test_later_sections_win(check):
    files = {"b/a.json": b"x" * 30, "a.svg": b"x" * 30, "data/a.txt": b"\ta\n", "a.txt": b"\ta\n"}
    assert check(files) == ["a.txt:1: a tab in the indentation"]


def test_lines_that_can_not_be_broken_may_be_longer(check):
    lines = {
        "row.md": b"| a cell | another one |\n",
        "link.md": b"- [link](https://example.org/page)\n",
        "text.nix": b'throw "a long sentence to read";\n',
        "value.nix": b'throw "with \\" and ${value} in it";\n',
    }
    assert check(lines) == []
    assert len(check({f"{name}.sh": line for name, line in lines.items()})) == len(lines)


def test_lines_that_can_be_broken_may_not(check):
    prose, code = b"many short words in one line", b'f = "a" + "b" + "c" + "d" + e;'
    assert check({"a.md": prose + b"\n", "a.nix": code + b"\n"}) == [
        f"a.md:1: {len(prose)} columns, more than 20",
        f"a.nix:1: {len(code)} columns, more than 20",
    ]


def test_files_of_other_programs_and_links_are_left_out(check, tmp_path):
    (tmp_path / "result").symlink_to("/dev/null/x")
    assert check({".git/config": b"\ta", "b/__pycache__/a.pyc": b"\xff", "a.py": b"a\n"}) == []
