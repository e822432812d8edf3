"""Tables that fit a terminal."""

import pytest

from builders.console.tables import Column, cut, display_width, table, terminal_width

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


@pytest.mark.parametrize(("given", "expected"), [("123", 123), ("0", 80), ("wide", 80), ("", 80)])
def test_the_width_is_what_is_said_or_the_usual_one(monkeypatch, given, expected):
    monkeypatch.setenv("COLUMNS", given)
    assert terminal_width() == expected
