"""Every message is one line that says where, what is wrong, and what to do."""

import errno
import io
import os

import pytest

from builders.console import errors
from builders.console.errors import UserError, begin_messages, explained, print_error, warn
from builders.console.progress import Progress
from builders.console.terminal import tell


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


def test_control_characters_are_seen_and_control_nothing(begin, capsys):
    print_error(UserError("\x1b]0;title\x07\x1b[2J is\rno name\x9b, \udcff", hint="look"))
    warn("a\nb \u202egnp.exe\u2028 f\u00fcr \u65e5\u672c \U0001f433\t")
    said = capsys.readouterr().err
    assert said == (
        "error: \\x1b]0;title\\x07\\x1b[2J is\\x0dno name\\x9b, \\xff; look\n"
        "warning: a\\x0ab \\u202egnp.exe\\u2028 f\u00fcr \u65e5\u672c \U0001f433\\x09\n"
    )


def test_a_name_without_end_fills_no_terminal(begin, capsys):
    print_error(UserError(f"{'n' * 70_000} is no name", hint="give it another"))
    said = capsys.readouterr().err
    assert len(said) < 4100
    assert said.startswith("error: nnn")
    assert said.endswith("nnn is no name; give it another\n")


@pytest.mark.parametrize("moving", [False, True])
def test_control_characters_of_progress_are_seen_too(moving):
    stream = io.StringIO()
    progress = Progress(total=1, layers=1, moving=moving, stream=stream)
    progress.layer("\x1b[31mred")
    progress.finish(1)
    assert ("\\x1b[31mred" in stream.getvalue()) is not moving
    assert "\x1b[31m" not in stream.getvalue()


class Blocked(io.StringIO):
    """A stream that would block at first."""

    def __init__(self, fd):
        super().__init__()
        self.fd = fd
        self.tries = 0

    def fileno(self):
        return self.fd

    def flush(self):
        self.tries += 1
        if self.tries == 1:
            raise BlockingIOError


def test_a_terminal_that_does_not_wait_is_made_to():
    reader, writer = os.pipe2(os.O_NONBLOCK)
    stream = Blocked(writer)
    tell("text", stream=stream)
    assert stream.getvalue() == "text\n"
    assert os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left", "/a"), "/a: No space left; make room on that disk"),
        (OSError(errno.EMFILE, "Too many"), "Too many; raise the limit of open files"),
        (MemoryError(), "there is not enough memory; give it more"),
        (UserError("a", hint="b"), "a; b"),
    ],
)
def test_what_the_machine_lacks_is_explained(error, expected):
    assert str(explained(error)).startswith(expected)


def test_bugs_are_not_explained():
    assert explained(FileNotFoundError(errno.ENOENT, "No such file", "/a")) is None
    assert explained(ValueError("a")) is None


def test_processes_that_are_forked_say_it_too(begin, capfd):
    begin("in docker image app")
    child = os.fork()
    if child == 0:
        warn("it is large")
        os._exit(0)
    os.waitpid(child, 0)
    assert capfd.readouterr().err == "warning: in docker image app: it is large\n"
