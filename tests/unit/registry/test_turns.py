"""Turns at what can only be read forwards."""

import threading
import time

from builders.registry.turns import Turns
from tests.unit.support import deadline


def test_those_that_wait_are_let_in_in_the_order_of_what_they_read():
    turns, order = Turns(), []
    entered, leave = threading.Event(), threading.Event()

    def first():
        with turns.turn(10):
            entered.set()
            leave.wait()

    def other(position):
        with turns.turn(position):
            order.append(position)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    entered.wait()
    for number, position in enumerate((40, 5, 20, 30), 1):
        threads.append(threading.Thread(target=other, args=(position,)))
        threads[-1].start()
        while len(turns._waiting) < number:
            time.sleep(0.001)
    leave.set()
    with deadline(30):
        for thread in threads:
            thread.join()
    # What lies behind the reader's place comes last, since it has to begin anew for it.
    assert order == [20, 30, 40, 5]


def test_a_reader_that_fails_lets_the_next_one_in():
    turns = Turns()
    try:
        with turns.turn(1):
            raise KeyError
    except KeyError:
        pass
    with deadline(30), turns.turn(0):
        pass
