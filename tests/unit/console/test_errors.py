"""Every message is one line that says where, what is wrong, and what to do."""

import os

import pytest

from builders.console import errors
from builders.console.errors import UserError, begin_messages, print_error, warn


@pytest.fixture
def begin(monkeypatch):
    monkeypatch.setattr(errors, "_beginning", "")
    return begin_messages


def test_a_program_s_message_begins_with_what_is_wrong(begin, capsys):
    print_error(UserError("no image is named", hint="name one"))
    warn("one is enough")
    begin("")
    warn("two are too many")
    assert capsys.readouterr().err.splitlines() == [
        "error: no image is named; name one",
        "warning: one is enough",
        "warning: two are too many",
    ]


def test_a_build_s_message_says_first_where(begin, capsys):
    begin("in docker image app")
    print_error(UserError("config has two\nlines", hint="write one"))
    warn("it is large")
    assert capsys.readouterr().err.splitlines() == [
        "error: in docker image app: config has two lines; write one",
        "warning: in docker image app: it is large",
    ]


def test_processes_that_are_forked_say_it_too(begin, capfd):
    begin("in docker image app")
    child = os.fork()
    if child == 0:
        warn("it is large")
        os._exit(0)
    os.waitpid(child, 0)
    assert capfd.readouterr().err == "warning: in docker image app: it is large\n"
