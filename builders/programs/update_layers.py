"""Writes the layering lock of an image: which packages share a layer, so that they go on doing so.

    update_layers GRAPH.json --store-layers N [--exclude PATH]… [--volatile PATH]…
        [--min-layer-size BYTES] [--lock OLD] [--name FILE] [--anew] [FILE]

Without FILE it is --name in the current directory. Layers of the lock that is there already, or of
OLD, stay as they are, unless --anew says that all may change. The file is written whole or not at
all.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Final

from builders.closure.changes import find_changes
from builders.closure.layering_lock import (
    LayeringLock,
    lock_of,
    read_lock,
    warn_of_others,
    write_lock,
)
from builders.closure.locked_layers import LOCK_EVENTS, lockable_layers, locked_layers
from builders.closure.package_names import stable_names
from builders.console.errors import warn, writing
from builders.console.progress import announce
from builders.console.terminal import visible
from builders.processes import without_collector
from builders.programs.list_layers import (
    add_arguments,
    check_arguments,
    load_graph,
    require_paths,
)

_NAME: Final = "image.layers.json"


@without_collector()
def main(arguments: list[str]) -> None:
    """Write the lock that the command line names, and say what is in it."""
    parser = argparse.ArgumentParser(
        prog="update-layers", description="Write the layering lock of an image."
    )
    add_arguments(parser)
    parser.add_argument("--lock", metavar="OLD", help="taken if FILE is not there")
    parser.add_argument("--name", default=_NAME, help="FILE, if none is named")
    parser.add_argument("--anew", action="store_true", help="let all layers change")
    parser.add_argument("file", metavar="FILE", nargs="?")
    given = parser.parse_intermixed_args(arguments)
    check_arguments(parser, given)
    graph = load_graph(given.graph)
    require_paths(given, graph)
    file = given.file or given.name
    exclude, volatile = frozenset(given.exclude), frozenset(given.volatile)
    names = stable_names(graph, [path for path in graph if path not in exclude])
    old = None if given.anew else _old_lock(file, given.lock)
    if old and old.names.isdisjoint(names.values()):
        warn_of_others(old, names, what=file)
        old = None
    limit = given.store_layers
    announce("Dividing", len(graph))
    if old:
        changes = find_changes(graph, exclude=exclude, volatile=volatile)
        layers = locked_layers(changes, old, names, limit)
    else:
        changes = find_changes(graph, exclude=exclude, volatile=volatile, most=LOCK_EVENTS)
        layers = lockable_layers(changes, limit, min_layer_size=given.min_layer_size)
    lock = lock_of(graph, layers)
    write_lock(file, lock)
    with writing("standard output"):
        print(_report(file, lock, old, limit - len(layers)))
    if old and len(layers) >= limit and lock.names - old.names:
        warn(f"no layer is left for new packages; {file} has some again after --anew")


def _old_lock(file: str, other: str | None) -> LayeringLock | None:
    """Return the lock that is there, or else `other`."""
    path = file if os.path.lexists(file) else other
    hint = "take the one of before, or say --anew: all layers may change then"
    return read_lock(path, what="the old lock", hint=hint) if path else None


def _report(file: str, lock: LayeringLock, old: LayeringLock | None, left: int) -> str:
    """Return what was done, in a few lines."""
    lines = [
        f"wrote {file}: {_count(lock.names, 'package')} in {_count(lock.layers, 'layer')}, "
        f"{left} in reserve"
    ]
    if old:
        for what, names in (
            ("new", lock.names - old.names),
            ("gone", old.names - lock.names),
        ):
            if names:
                lines.append(f"{what}: {visible(', '.join(sorted(names)))}")
        if len(lines) == 1:
            lines.append("the packages are those that it had")
    return "\n".join(lines)


def _count(items: Sequence[object] | frozenset[str], what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"
