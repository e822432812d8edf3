"""Scripts and programs for people run Python as builders do, whatever their environment says."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.support import BUILDERS


@pytest.fixture
def build(tmp_path):
    """Run a builder with these arguments, and return the path of its output."""

    def run(builder, **arguments):
        attributes = {"outputs": {"out": str(tmp_path / "out")}, "arguments": arguments}
        (tmp_path / ".attrs.json").write_text(json.dumps(attributes))
        command = [sys.executable, "-I", "-B", str(BUILDERS), builder]
        subprocess.run(command, env={"NIX_BUILD_TOP": str(tmp_path)}, check=True)
        return tmp_path / "out"

    return run


@pytest.fixture
def library(tmp_path):
    """A package that tells how it is run."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library/__main__.py").write_text(
        "import sys\n"
        "flags = sys.flags\n"
        "print(flags.utf8_mode, flags.isolated, flags.dont_write_bytecode, *sys.argv[1:])\n"
    )
    return str(tmp_path / "library")


def said(*command):
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, env=environment).stdout


def test_a_stream_script_runs_python_so_that_nothing_has_a_say(build, library):
    arguments = {"shell": "/bin/sh", "python": sys.executable, "plan": "PLAN", "program": "x"}
    script = build("stream_script", library=library, **arguments)
    assert said(str(script), "-t", "x:1") == "1 1 1 stream PLAN -t x:1\n"


def test_a_program_runs_python_so_that_nothing_has_a_say(build, library):
    arguments = {"program": "prefetch", "command": ["nix_prefetch_docker", "SETTING"]}
    others = {"python": sys.executable, "variables": {}, "image": None}
    out = build("program", library=library, **arguments, **others, completions=False)
    assert said(str(out / "bin/prefetch"), "a") == "1 1 1 nix_prefetch_docker SETTING a\n"
