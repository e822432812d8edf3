"""Running stream scripts as images."""

import pytest

from builders.console.errors import UserError
from builders.formats.stream_scripts import is_script, run_stream


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "stream"
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return write


def test_only_what_is_said_to_be_a_program_is_one(script, tmp_path):
    path = script("#!/bin/sh\n")
    assert is_script(path, is_program=True)
    assert not is_script(path, is_program=False)
    (tmp_path / "archive").write_bytes(b"\x1f\x8b")
    assert not is_script(str(tmp_path / "archive"), is_program=True)
    assert not is_script(str(tmp_path), is_program=True)


def test_what_it_streams_is_written(script, tmp_path):
    run_stream(script("#!/bin/sh\necho log >&2\necho image\n"), str(tmp_path / "out"), what="x")
    assert (tmp_path / "out").read_bytes() == b"image\n"


def test_a_script_that_fails_is_one_line_with_its_reason(script, tmp_path):
    path = script("#!/bin/sh\necho a >&2\necho 'error: no such path' >&2\nexit 3\n")
    with pytest.raises(UserError) as caught:
        run_stream(path, str(tmp_path / "out"), what="fromImage x")
    assert str(caught.value).startswith("fromImage x failed: no such path; ")
    with pytest.raises(UserError, match="x failed: exit code 4"):
        run_stream(script("#!/bin/sh\nexit 4\n"), str(tmp_path / "out"), what="x")


def test_a_script_without_its_interpreter_is_one_line(script, tmp_path):
    with pytest.raises(UserError, match="can't run x: No such file"):
        run_stream(script("#!/missing/shell\n"), str(tmp_path / "out"), what="x")
