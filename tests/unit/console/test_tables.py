"""Tables that fit a terminal."""

import fcntl
import os
import struct
import termios

import pytest

from builders.console.tables import Column, cut, display_width, table, terminal_width, wrapped

COLUMNS = (Column("a"), Column("bb", 1), Column("ccc", 2), Column("name"))
ROWS = [("1", "22", "333", "x" * 20), ("10", "2", "3", "short")]


def test_columns_are_aligned():
    assert table(COLUMNS, ROWS, width=80) == [
        " a  bb  ccc  name",
        " 1  22  333  xxxxxxxxxxxxxxxxxxxx",
        "10   2    3  short",
    ]


def test_where_room_is_scarce_columns_give_way_in_turn_and_the_last_is_cut():
    assert table(COLUMNS, ROWS, width=25)[1] == " 1  22  xxxxxxxxxxxxxxxx…"
    assert table(COLUMNS, ROWS, width=21)[1] == " 1  xxxxxxxxxxxxxxxx…"
    assert table(COLUMNS, ROWS, width=10)[1] == " 1  xxxxx…"


def test_a_wide_character_takes_two_columns_and_a_combining_one_none():
    assert display_width("a漢e\u0301") == 4
    assert cut("漢漢漢", 5) == "漢漢…"


def test_control_characters_are_shown():
    assert table([Column("name")], [["\x1b[2Jx\n"]], width=80)[1] == "\\x1b[2Jx\\x0a"


def test_a_sentence_is_wrapped_between_words():
    assert wrapped("  one two three", 9) == ["  one two", "    three"]
    assert wrapped("short", 80) == ["short"]
    assert wrapped("a muchtoolongword b", 8) == ["a", "  mucht…", "  b"]
    assert wrapped("", 8) == [""]


@pytest.mark.parametrize(
    ("given", "expected"), [("123", 123), ("0", 1 << 16), ("wide", 1 << 16), ("", 1 << 16)]
)
def test_the_width_is_what_is_said_or_that_of_the_terminal(monkeypatch, capfd, given, expected):
    """A pipe has none."""
    monkeypatch.setenv("COLUMNS", given)
    assert terminal_width() == expected


def test_a_terminal_says_its_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    parent, child = os.openpty()
    with os.fdopen(child, "w") as terminal, os.fdopen(parent):
        monkeypatch.setattr("sys.stdout", terminal)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 57, 0, 0))
        assert terminal_width() == 57
