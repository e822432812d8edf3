"""One function on many items, on all cores.

Processes, since most of what is slow here is in the interpreter; forked, since then nothing is
imported or copied again.
"""

import ctypes
import gc
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from builders.console.errors import UserError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_PR_SET_PDEATHSIG: Final = 1
"""From linux/prctl.h."""


def usable_cores(limit: str | None = None) -> int:
    """Return the number of processors to use: `limit`, where 0 or no number means all there are."""
    wanted = int(limit) if limit and limit.isdecimal() else 0
    return wanted if wanted > 0 else len(os.sched_getaffinity(0))


@contextmanager
def without_collector() -> Iterator[None]:
    """Let Python not look for garbage in cycles: of many objects that stay, it takes a fifth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a program from outside, as its user's Ctrl-C does."""


def end_as_by_ctrl_c() -> None:
    """Let signals that end this process raise `KeyboardInterrupt`: no child and no file stays.

    Those that whoever started it has it ignore, as nohup does, stay ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def fork_map(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, jobs: int
) -> list[_Result]:
    """Return what `function` makes of each of `items`, in their order; `jobs` run at a time.

    Items and results are pickled, and the function is not. What it raises is
    raised here, and then the other jobs are stopped. Raises `UserError` where a process is killed.
    """
    jobs = min(jobs, len(items))
    if jobs < 2:
        return [function(item) for item in items]

    # Not above: to import them is a sixth of the start of a stream script, which needs none.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_begin_worker,
        initargs=(function,),
    ) as pool:
        try:
            with _held_signals():
                results = pool.map(_work, items)
            return list(results)
        except BrokenProcessPool:
            raise UserError(
                "a process of this build was killed",
                hint="see whether the machine has memory enough, or use fewer cores",
            ) from None
        except BaseException:
            for child in multiprocessing.active_children():
                child.kill()
            raise


_HELD: Final = (signal.SIGINT, *ENDING)


@contextmanager
def _held_signals() -> Iterator[None]:
    """Hold back signals that end a process.

    A worker that begins has the parent's handlers at first, and may go on after a signal that comes
    in that time.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_function: Callable[[Any], Any]


def _begin_worker(function: Callable[[Any], Any]) -> None:
    # The parent decides when to stop, and where it is killed there is nobody to work for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    global _function
    _function = function


def _work(item: Any) -> Any:
    return _function(item)
