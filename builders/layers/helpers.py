"""Processes that write entries of a store layer beside the one that streams or hashes it.

Closures have many small files, and each takes microseconds in the interpreter.
So the walk over a layer is cut into batches; the main process writes some
itself, and helper processes write the others.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from builders.layers.entries import EntryWriter, Group
from builders.layers.helper_process import HelperProcess
from builders.tar.sinks import Sink

_BATCH: Final = 256
"""Entries in a helper's batch."""
_OWN_BATCH: Final = 160
"""Entries in the first one of the main process, which also walks and collects."""
_LEAST_OWN: Final = 16
_MORE: Final = 32
"""Entries more in the next batch of the main process when it had to wait for a helper."""
_LESS: Final = 8
"""Entries less when it had not: it may be that the helpers waited."""
_NAMES: Final = 12 << 10
"""Bytes of names after which a batch takes no more groups: most often, two of them fit a pipe."""
_MOST: Final = 3
"""Helpers at most: walking the directories, one process can't keep more of them busy."""


class Helpers:
    """Helper processes for one layer after the other; a context manager, which ends them."""

    def __init__(self, count: int) -> None:
        """At most `count` helpers are started."""
        self._count = min(count, _MOST)
        self._helpers: list[HelperProcess] = []
        self._own = _OWN_BATCH

    def __enter__(self) -> "Helpers":
        """Start none yet: a small image needs no help."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the helpers, whatever they are at."""
        for helper in self._helpers:
            helper.end()
        self._helpers.clear()

    def write(self, groups: Iterable[Group], writer: EntryWriter, sink: Sink) -> int:
        """Write the entries of `groups`, in order: with `writer`, or past it to its `sink`.

        Returns the number of bytes that went past `writer`. Raises `UserError` as `writer` does.
        """
        size = 0
        rounds = self._rounds(groups, sink, writer.hint)
        # With the next round given out before, a helper has work while the last is collected.
        ahead = deque(islice(rounds, 1))
        while ahead:
            ahead.extend(islice(rounds, 1))
            own, helpers = ahead.popleft()
            for group in own:
                writer.add(group)
            if helpers:
                writer.flush()
                self._balance(helpers)
            for helper in helpers:
                size += helper.collect(sink, hint=writer.hint)
        return size

    def _balance(self, helpers: list[HelperProcess]) -> None:
        """See to it that neither the main process nor `helpers` wait for the other much."""
        waits = not all(helper.is_ready() for helper in helpers)
        self._own = min(max(self._own + (_MORE if waits else -_LESS), _LEAST_OWN), _BATCH)

    def _rounds(
        self, groups: Iterable[Group], sink: Sink, hint: str
    ) -> Iterator[tuple[list[Group], list[HelperProcess]]]:
        """Yield what to write oneself, and the helpers that write what comes then."""
        batches = _Batches(groups)
        while own := batches.take(self._own):
            helpers = []
            for number in range(self._count if sink.wants_help else 0):
                batch = batches.take(_BATCH)
                if not batch:
                    break
                helpers.append(self._helper(number))
                helpers[-1].give(batch, sink, hint=hint)
            yield own, helpers

    def _helper(self, number: int) -> HelperProcess:
        if number == len(self._helpers):
            self._helpers.append(HelperProcess(self._helpers))
        return self._helpers[number]


class _Batches:
    """Groups, cut into batches."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = iter(groups)
        self._rest: Group | None = None

    def take(self, entries: int) -> list[Group]:
        """Return the next groups, with about so many `entries`; none at the end."""
        batch: list[Group] = []
        room = _NAMES
        while entries > 0 and room > 0:
            group = self._rest or next(self._groups, None)
            self._rest = None
            if group is None:
                break
            if len(group.names) > entries:
                group, self._rest = _split(group, entries)
            batch.append(group)
            entries -= len(group.names)
            room -= len(group.prefix) + sum(map(len, group.names))
        return batch


def _split(group: Group, count: int) -> tuple[Group, Group]:
    """Return the first `count` entries of `group`, and the others."""
    return (
        replace(group, names=group.names[:count], regular=group.regular[:count]),
        replace(group, names=group.names[count:], regular=group.regular[count:]),
    )
