"""One function on many items, on all cores.

Processes, since most of what is slow here is in the interpreter; forked, since then nothing is
imported or copied again.
"""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def fork_map(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, jobs: int
) -> list[_Result]:
    """Return what `function` makes of each of `items`, in their order; `jobs` run at a time.

    Items and results are pickled, and the function is not. What it raises is raised here,
    and then the other jobs are stopped.
    """
    jobs = min(jobs, len(items))
    if jobs < 2:
        return [function(item) for item in items]
    pool = multiprocessing.get_context("fork").Pool(
        jobs, initializer=_begin_worker, initargs=(function,)
    )
    try:
        results = pool.map(_work, items, chunksize=1)
        pool.close()
    except BaseException:
        pool.terminate()
        raise
    finally:
        # Workers that are done end by themselves: one that only just started may miss a signal.
        pool.join()
    return results


_function: Callable[[Any], Any]


def _begin_worker(function: Callable[[Any], Any]) -> None:
    # The parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    global _function
    _function = function


def _work(item: Any) -> Any:
    return _function(item)
