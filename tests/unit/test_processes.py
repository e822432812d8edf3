"""fork_map: results, errors, and what is left when a process goes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from builders.console.errors import UserError
from builders.processes import fork_map, usable_cores
from tests.unit.support import BUILDERS


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(jobs):
    assert fork_map(lambda number: number * number, range(20), jobs=jobs) == [
        number * number for number in range(20)
    ]
    assert fork_map(str, [], jobs=jobs) == []


def test_items_go_to_other_processes():
    assert os.getpid() not in fork_map(lambda _: os.getpid(), range(4), jobs=2)
    assert fork_map(lambda _: os.getpid(), range(4), jobs=1) == [os.getpid()] * 4


def test_an_error_stops_the_others():
    def work(number):
        if number == 0:
            raise UserError("no", hint="yes")
        time.sleep(60)

    start = time.monotonic()
    with pytest.raises(UserError, match="no; yes"):
        fork_map(work, range(4), jobs=2)
    assert time.monotonic() - start < 30


def test_a_killed_process_is_an_error():
    def work(number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(UserError, match="a process of this build was killed"):
        fork_map(work, range(4), jobs=2)


SIGNALLED = r"""
import os, signal, sys
from builders.processes import end_as_by_ctrl_c, fork_map
from builders.console.errors import UserError

end_as_by_ctrl_c()
# Python ignores what is raised in there, and with it the signal.
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
try:
    print(fork_map(abs, range(4), jobs=2))
except UserError as error:
    print(error)
"""


def test_a_signal_that_comes_before_a_worker_has_begun_ends_it():
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(BUILDERS.parent)},
    )
    assert done.stdout.startswith("a process of this build was killed"), done


PARENT = r"""
import os, time
from builders.processes import fork_map, usable_cores

def work(number):
    os.write(1, b"%d\n" % os.getpid())  # in one piece, beside the other worker's
    time.sleep(600)

fork_map(work, range(2), jobs=2)
"""


def test_nothing_is_left_of_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        try:
            workers = [int(parent.stdout.readline()) for _ in range(2)]
        finally:
            parent.kill()
    deadline = time.monotonic() + 30
    while any(is_there(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_there(process):
    """Whether it is more than a zombie that nobody has waited for."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_limit_of_cores_is_kept_and_0_means_all():
    every = len(os.sched_getaffinity(0))
    assert usable_cores("1") == 1
    assert usable_cores("64") == 64
    assert [usable_cores(limit) for limit in (None, "", "0", "-1", "many")] == 5 * [every]
