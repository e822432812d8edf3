"""nix/debian/fetch: what happens when it is interrupted, and run again."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.nix.images import REPOSITORY

PACKAGES = """
{
  base = {
    glibc = { debs = [ "libc6" ]; shell = false; };
    bash.debs = [ "bash" ];
    hello.debs = [ "hello" ];
  };
}
"""


@pytest.fixture
def start(tmp_path):
    """Start a fetch of a few packages into a cache of its own."""
    (tmp_path / "packages.nix").write_text(PACKAGES)
    cache = tmp_path / "cache"
    cache.mkdir()
    command = ["/usr/bin/python3", "-B", str(REPOSITORY / "nix/debian/index.py")]
    running = []

    def start():
        process = subprocess.Popen(
            [*command, str(cache), str(tmp_path / "packages.nix"), "base"],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    start.cache = cache  # type: ignore[attr-defined]
    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def debs(cache):
    return {path: path.stat().st_mtime_ns for path in cache.glob("*.deb")}


def wait_for(line, process):
    for said in process.stderr:
        if line in said:
            return
    raise AssertionError(f"fetch never said {line}")


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Fetching packages: 0 of 3", signal.SIGINT),
        ("Reading packages: 1 of 3", signal.SIGINT),
        ("Reading packages: 1 of 3", signal.SIGTERM),
        ("Fetched 3 packages", signal.SIGKILL),
    ],
)
def test_an_interrupted_fetch_goes_on_where_it_was(start, moment, number):
    first = start()
    wait_for(moment, first)
    time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(first.pid, number)
    else:
        first.send_signal(number)
    said = first.communicate(timeout=20)[1]
    assert first.returncode != 0
    if number != signal.SIGKILL:
        assert "Traceback" not in said
        assert said.splitlines()[-1] == "error: interrupted; run it again, and it goes on from here"
    assert not list(start.cache.glob("base-*.json"))
    before = debs(start.cache)

    second = start()
    said = second.communicate(timeout=120)[1]
    assert second.returncode == 0, said
    (index,) = start.cache.glob("base-*.json")
    units = json.loads(index.read_text())["units"]
    assert {"glibc", "bash", "hello"} <= set(units)
    after = debs(start.cache)
    assert before.items() <= after.items()
    for path in after:
        subprocess.run(["dpkg-deb", "--info", path], check=True, stdout=subprocess.DEVNULL)
    assert not list(start.cache.glob(".fetch-*"))

    third = start()
    said = third.communicate(timeout=60)[1]
    assert third.returncode == 0
    assert "Fetching" not in said


def test_a_second_fetch_waits_for_the_first(start):
    first = start()
    wait_for("Fetching packages: 0 of 3", first)
    second = start()
    wait_for("Waiting for another fetch to end", second)
    first.stderr.read()
    assert first.wait(timeout=120) == 0
    assert "Fetching" not in second.stderr.read()
    assert second.wait(timeout=60) == 0
