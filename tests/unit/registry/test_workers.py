"""Threads that do what is given to them."""

import threading
from functools import partial

import pytest

from builders.registry.workers import Workers
from tests.unit.support import deadline


def test_all_is_done_in_the_end():
    done = []
    with Workers(3) as workers:
        for number in range(20):
            workers.submit(0, partial(done.append, number))
    assert sorted(done) == list(range(20))


def test_no_thread_is_left():
    before = set(threading.enumerate())
    with Workers(3) as workers:
        for number in range(20):
            workers.submit(number, partial(str, number))
        begun = set(threading.enumerate()) - before
    assert begun
    for thread in begun:
        thread.join(10)
    assert not any(thread.is_alive() for thread in begun)


def test_the_most_urgent_is_done_first():
    done = []
    begin = threading.Event()
    with Workers(1) as workers:
        workers.submit(9, begin.wait)
        for urgency in (1, 3, 2):
            workers.submit(urgency, partial(done.append, urgency))
        begin.set()
    assert done == [3, 2, 1]


def fail():
    raise ValueError("failed")


def test_a_failure_ends_it_and_is_told():
    told = []
    with (
        pytest.raises(ValueError, match="failed"),
        Workers(1, on_failure=lambda: told.append(1)) as w,
    ):
        w.submit(0, fail)
        with deadline(10):
            w.join()
    assert told == [1]


def test_what_was_first_counts_where_others_only_stopped():
    stopped = threading.Event()
    with pytest.raises(ValueError, match="failed"), Workers(1, on_failure=stopped.set) as workers:
        workers.submit(0, fail)
        assert stopped.wait(10)
        raise RuntimeError("stopped")


def test_an_interruption_waits_for_nobody():
    forever = threading.Event()
    with deadline(10), pytest.raises(KeyboardInterrupt), Workers(1) as workers:
        workers.submit(0, forever.wait)
        raise KeyboardInterrupt
