"""What all kinds of tests have in common."""

import json
import pathlib
import signal
import subprocess
from types import FrameType

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]


_interrupted = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    if _interrupted and number == signal.SIGTERM:
        # A terminal tells all programs at once, and tests/run again.
        return
    _interrupted = True
    raise KeyboardInterrupt


def pytest_runtest_logfinish() -> None:
    """End after a test that made another exception of the interrupt, as a clean-up may."""
    if _interrupted:
        raise KeyboardInterrupt


def pytest_configure() -> None:
    """End in order, fixtures torn down, when tests/run passes on that it was interrupted.

    Shells start what runs in the background with SIGINT ignored, and all that it starts; programs
    that the tests interrupt would go on.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)


@pytest.fixture(scope="session")
def sandboxed_nix() -> None:
    """Nix is set up as tests/run does it: without the sandbox, a build would prove nothing."""
    hint = "run the tests with tests/run"
    config = json.loads(_output("nix", "show-config", "--json"))
    assert config["sandbox"]["value"] is True, f"Nix builds without its sandbox; {hint}"
    assert not config["sandbox-paths"]["value"], f"Nix lets paths into the sandbox; {hint}"
    nixpkgs = _output("nix-instantiate", "--eval", "--json", "-E", "toString <nixpkgs>")
    assert json.loads(nixpkgs) == str(REPOSITORY / "nix/debian"), (
        f"<nixpkgs> is not nix/debian; {hint}"
    )


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
