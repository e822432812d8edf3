"""The rules of .editorconfig, as tests/check_text.py reads and checks them."""

import pytest

from tests.check_text import breaches, read_rules, rules_of, text_files

RULES = """\
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
"""


def check(path, content):
    return list(breaches(path, content, rules_of(path, read_rules(RULES))))


def test_a_file_that_keeps_the_rules_breaks_none():
    assert check("a.sh", b"two words\n  more\n") == []
    assert check("a.sh", b"") == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\n", "a.sh: is not utf-8"),
        (b"a\nb", "a.sh:2: the last line has no end"),
        (b"a\r\n", "a.sh:1: a carriage return"),
        (b"a\nb \n", "a.sh:2: a blank at the end"),
        (b"  \ta\n", "a.sh:1: a tab in the indentation"),
        (b"a\n" + b"b" * 21 + b"\n", "a.sh:2: 21 columns, more than 20"),
    ],
)
def test_each_breach_is_named_with_its_place(content, expected):
    assert expected in check("a.sh", content)


def test_columns_are_characters():
    assert check("a.sh", "…".encode() * 20 + b"\n") == []


def test_later_sections_win():
    assert check("b/a.json", b"x" * 30) == []
    assert check("a.svg", b"x" * 30) == []
    assert check("data/a.txt", b"\ta\n") == []
    assert check("a.txt", b"\ta\n") == ["a.txt:1: a tab in the indentation"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.md", "| a cell | another one |"),
        ("a.md", "- [link](https://example.org/page)"),
        ("a.nix", 'throw "a long sentence to read";'),
        ("a.nix", 'throw "with \\" and ${value} in it";'),
    ],
)
def test_lines_that_can_not_be_broken_may_be_longer(path, line):
    assert check(path, f"{line}\n".encode()) == []
    assert check("a.sh", f"{line}\n".encode())


@pytest.mark.parametrize(
    ("path", "line"),
    [("a.md", "many short words in one line"), ("a.nix", 'f = "a" + "b" + "c" + "d" + e;')],
)
def test_lines_that_can_be_broken_may_not(path, line):
    assert check(path, f"{line}\n".encode()) == [f"{path}:1: {len(line)} columns, more than 20"]


def test_files_of_other_programs_and_links_are_left_out(tmp_path):
    for name in ("a.py", "b/c.md", ".git/config", "b/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "result").symlink_to("/nix/store/x")
    assert list(text_files(str(tmp_path))) == ["a.py", "b/c.md"]
