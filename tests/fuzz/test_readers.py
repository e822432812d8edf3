"""Every reader takes any input, or refuses it in one line: no traceback, no hang, little memory.

`LONGSHORE_FUZZ_SECONDS` is how long all kinds of inputs are tried, 30 s where it is not set, and
`LONGSHORE_FUZZ_SEED` chooses other inputs. What is found becomes a test of its reader.
"""

import itertools
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback

import pytest

from builders.console.errors import UserError
from tests.fuzz.readers import KINDS, skopeo_takes

SECONDS = float(os.environ.get("LONGSHORE_FUZZ_SECONDS", "30"))
SEED = os.environ.get("LONGSHORE_FUZZ_SEED", "15")
PATIENCE = 20
"""Seconds for one input."""
MEMORY = 1 << 30
SHARES = {
    "layer": 0.3,
    "image": 0.4,
    "answer": 0.05,
    "stored": 0.05,
    "graph": 0.1,
    "plan": 0.05,
    "stream": 0.05,
}
"""Of the time, by kind."""
SAMPLE = 50
"""Of so many images that are accepted, one is shown to skopeo."""


def test_every_kind_has_a_share():
    assert SHARES.keys() == KINDS.keys()
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_accepted_whole_or_refused_in_one_line(kind, tmp_path):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _try_inputs(kind, tmp_path, SECONDS * SHARES[kind])
            status = 0
        except BaseException:
            (tmp_path / "fault").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    status = _wait(child, tmp_path, SECONDS * SHARES[kind])
    if status:
        said = (tmp_path / "fault").read_text() if (tmp_path / "fault").exists() else ""
        pytest.fail(
            f"{kind} {(tmp_path / 'number').read_text()} of seed {SEED}, kept as {tmp_path}/input: "
            f"{said or f'killed, status {status}'}",
            pytrace=False,
        )
    accepted, refused = map(int, (tmp_path / "counts").read_text().split())
    print(f"{kind}: {accepted} accepted, {refused} refused")
    # Else it is not the reader that is tried.
    assert accepted >= 3
    assert refused >= 3


def _wait(child, directory, seconds):
    """Wait for the process; kill it where one input takes it too long."""
    deadline = time.monotonic() + seconds + 3 * PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (directory / "fault").write_text("it hangs where no signal comes through")
    return 1


def _try_inputs(kind, directory, seconds):
    make, read = KINDS[kind]
    _limit_memory()
    signal.signal(signal.SIGALRM, _late)
    # Lines of progress.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = sys.__stderr__
    end = time.monotonic() + seconds
    counts = [0, 0]
    path = directory / "input"
    for number in itertools.count():
        if time.monotonic() > end and min(counts) >= 3:
            break
        data = make(random.Random(f"{SEED} {kind} {number}"))
        path.write_bytes(data)
        (directory / "number").write_text(str(number))
        work = directory / "work"
        work.mkdir()
        signal.alarm(PATIENCE)
        try:
            read(str(path), str(work))
            counts[0] += 1
            if kind == "image" and counts[0] % SAMPLE == 1 and shutil.which("skopeo"):
                signal.alarm(0)
                taken, said = skopeo_takes(work / "streamed", work)
                assert taken, said
        except UserError as error:
            counts[1] += 1
            assert "\n" not in str(error)
        signal.alarm(0)
        shutil.rmtree(work)
    (directory / "counts").write_text(f"{counts[0]} {counts[1]}")


def _late(*_):
    raise TimeoutError(f"not done after {PATIENCE} s")


def _limit_memory():
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    # The soft one alone: skopeo, which is not tested here, lifts it.
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, most))
