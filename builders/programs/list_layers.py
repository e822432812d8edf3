"""Prints which layers a closure is cut into: for tests, and for people who compare.

    layers GRAPH.json --layering NAME --store-layers N [--exclude PATH]…
        [--lock FILE] [--volatile PATH]… [--min-layer-size BYTES]

GRAPH.json is what exportReferencesGraph makes of a closure, a list of objects with `path`,
`references` and `narSize`, or the `graph` of an image. What is printed is a JSON list of lists of
store paths: at most N layers, in order. The options of the second line are those of the layering
co-change: a layering lock, paths that change with every build, and the size below which a layer
gives way to larger ones.
"""

import argparse
import json
import os

from builders.closure.graph import Graph
from builders.closure.layering_lock import read_lock
from builders.console.errors import UserError, die, writing
from builders.formats.closure_graphs import read_closure_graph
from builders.formats.json_values import parse_json
from builders.image.layering import CO_CHANGE, LAYERINGS, CoChange, assign_layers
from builders.processes import without_collector

LOCK_HINT = "write it anew with update_layers, or take the one of before"
"""About a layering lock that can't be read."""

_HINT = "give the graph of a whole closure, as exportReferencesGraph makes it"


@without_collector()
def main(arguments: list[str]) -> None:
    """Print the layers of the graph that the command line names."""
    parser = argparse.ArgumentParser(
        prog="layers", description="Print the layers that a closure is cut into, as JSON."
    )
    parser.add_argument("--layering", choices=LAYERINGS, required=True)
    parser.add_argument("--lock", metavar="FILE")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    check_arguments(parser, given)
    own = given.lock or given.volatile or given.min_layer_size
    if own and given.layering != CO_CHANGE:
        parser.error(f"--lock, --volatile and --min-layer-size are for --layering {CO_CHANGE}")
    graph = load_graph(given.graph)
    require_paths(given, graph)
    layers = assign_layers(
        graph,
        exclude=frozenset(given.exclude),
        limit=given.store_layers,
        layering=given.layering,
        jobs=len(os.sched_getaffinity(0)),
        co_change=CoChange(
            volatile=frozenset(given.volatile),
            min_layer_size=given.min_layer_size,
            lock=read_lock(given.lock, what="--lock", hint=LOCK_HINT) if given.lock else None,
            lock_name=f"--lock {given.lock}",
        ),
    )
    with writing("standard output"):
        print(json.dumps(layers, indent=2))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is cut into layers."""
    parser.add_argument("graph", metavar="GRAPH.json")
    parser.add_argument("--store-layers", type=int, metavar="N", required=True)
    parser.add_argument("--exclude", action="append", default=[], metavar="PATH")
    parser.add_argument("--volatile", action="append", default=[], metavar="PATH")
    parser.add_argument("--min-layer-size", type=int, default=0, metavar="BYTES")


def check_arguments(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse numbers that are too small."""
    if given.store_layers < 1:
        parser.error("--store-layers must be 1 or more")
    if given.min_layer_size < 0:
        parser.error("--min-layer-size must be 0 or more")


def require_paths(given: argparse.Namespace, graph: Graph) -> None:
    """Raise `UserError` where a path on the command line is not in `graph`."""
    for option in ("exclude", "volatile"):
        for path in getattr(given, option):
            if path not in graph:
                die(f"--{option} {path} is not in {given.graph}", hint="name a path of the graph")


def load_graph(path: str) -> Graph:
    """Return the graph in the file `path`; raises `UserError` where it is none, or not whole."""
    try:
        with open(path, "rb") as file:
            document = parse_json(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"can't read the graph {path}: {reason}", hint=_HINT) from None
    return read_closure_graph(document, what=path).graph
