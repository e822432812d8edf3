"""What tests/conftest.py does when tests/run passes on that it was interrupted."""

import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parents[2]

TESTS = """
import os, pathlib, signal, pytest

@pytest.fixture(scope="session")
def daemon():
    yield
    # After a terminal has told all, tests/run tells its parts.
    os.kill(os.getpid(), signal.SIGTERM)
    pathlib.Path("torn-down").touch()

def test_one(daemon):
    try:
        os.kill(os.getpid(), signal.{number})
    except KeyboardInterrupt:
        {then}

def test_two():
    pathlib.Path("began").touch()
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("then", ["raise", "raise OSError('of cleaning up') from None", "pass"])
def test_no_other_test_begins_and_fixtures_are_torn_down(number, then, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS.format(number=number, then=then))
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("--rootdir", tmp_path, "-c", "/dev/null", tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == pytest.ExitCode.INTERRUPTED, result.stdout
    assert not (tmp_path / "began").exists()
    assert (tmp_path / "torn-down").exists()
