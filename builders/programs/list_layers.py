"""Prints which layers a closure is cut into: for tests, and for people who compare.

    layers GRAPH.json --layering NAME --store-layers N [--exclude PATH]…

GRAPH.json is what exportReferencesGraph makes of a closure, a list of objects with `path`,
`references` and `narSize`, or the `graph` of an image. What is printed is a JSON list of lists of
store paths: at most N layers, in order.
"""

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from builders.closure.graph import Graph, read_graph, referrers_first
from builders.console.errors import UserError, die, writing
from builders.formats.json_values import JsonValue, parse_json
from builders.image.layering import LAYERINGS, assign_layers

_HINT = "give the graph of a whole closure, as exportReferencesGraph makes it"


def main(arguments: list[str]) -> None:
    """Print the layers of the graph that the command line names."""
    parser = argparse.ArgumentParser(
        prog="layers", description="Print the layers that a closure is cut into, as JSON."
    )
    parser.add_argument("graph", metavar="GRAPH.json")
    parser.add_argument("--layering", choices=LAYERINGS, required=True)
    parser.add_argument("--store-layers", type=int, metavar="N", required=True)
    parser.add_argument("--exclude", action="append", default=[], metavar="PATH")
    given = parser.parse_args(arguments)
    if given.store_layers < 1:
        parser.error("--store-layers must be 1 or more")
    graph = load_graph(given.graph)
    for path in given.exclude:
        if path not in graph:
            die(f"--exclude {path} is not in {given.graph}", hint="name a path of the graph")
    layers = assign_layers(
        graph,
        exclude=frozenset(given.exclude),
        limit=given.store_layers,
        layering=given.layering,
        jobs=len(os.sched_getaffinity(0)),
    )
    with writing("standard output"):
        print(json.dumps(layers, indent=2))


def load_graph(path: str) -> Graph:
    """Return the graph in the file `path`; raises `UserError` where it is none, or not whole."""
    try:
        with open(path, "rb") as file:
            document = parse_json(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"can't read the graph {path}: {reason}", hint=_HINT) from None
    value = JsonValue(document, path, hint=_HINT)
    nodes = (value["paths"] if isinstance(document, dict) else value).elements()
    graph = read_graph(complete([read_node(node) for node in nodes], path))
    try:
        referrers_first(graph)
    except ValueError as error:
        raise UserError(f"{path}: {error}", hint=_HINT) from None
    return graph


def read_node(node: JsonValue) -> dict[str, Any]:
    """Return a checked node of the graph."""
    return {
        "path": node["path"].string(),
        "references": node["references"].strings(),
        "narSize": node["narSize"].natural(),
        "narHash": node["narHash"].string_or_none() or "",
    }


def complete(nodes: list[dict[str, Any]], what: str) -> list[Mapping[str, Any]]:
    """Return `nodes`; raises `UserError` where one is missing, or there twice."""
    paths: set[str] = set()
    for node in nodes:
        if node["path"] in paths:
            die(f"{what}: {node['path']} is there twice", hint=_HINT)
        paths.add(node["path"])
    for node in nodes:
        for reference in node["references"]:
            if reference not in paths:
                die(f"{what}: {node['path']} refers to {reference}, which is missing", hint=_HINT)
    return [*nodes]
