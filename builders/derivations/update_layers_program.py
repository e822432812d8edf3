"""Builds the program that writes the layering lock of an image."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.closure.graph import Graph, graph_to_nodes, read_graph
from builders.derivations import arguments
from builders.derivations.planned import PlannedBase, PlannedStore
from builders.derivations.script_arguments import PYTHON_OPTIONS


@dataclass(frozen=True)
class Arguments:
    """What update_layers_program takes.

    `shell` and `python` are interpreters, `library` this package, `file` the name of the lock where
    the user says none. The rest is as store_layers takes it.
    """

    shell: str
    python: str
    library: str
    file: str
    base: str | None
    base_store: str | None
    max_layers: int
    exclude: list[str]
    volatile: Sequence[str] = ()
    min_layer_size: int = 0
    layering_lock: str | None = None
    closure: list[dict[str, Any]] = field(default_factory=list)


def main(_: list[str]) -> None:
    """Write the program and the graph of the closure below the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    graph = os.path.join(build.out, "share/longshore/graph.json")
    program = os.path.join(build.out, "bin/update-layers")
    for path in (graph, program):
        os.makedirs(os.path.dirname(path))
    closure = read_graph(given.closure)
    with open(graph, "w", encoding="utf-8") as file:
        json.dump(graph_to_nodes(closure), file)
    command = [given.python, *PYTHON_OPTIONS, given.library, "update_layers", graph]
    with open(program, "w", encoding="utf-8") as file:
        words = shlex.join([*command, *options(given, closure)])
        file.write(f'#!{given.shell}\nexec {words} "$@"\n')
    os.chmod(program, 0o555)


def options(given: Arguments, closure: Graph) -> list[str]:
    """Return what the program is told about the image."""
    base_layers = len(PlannedBase.read(given.base).layers) if given.base else 0
    # The customisation layer is one more; store_layers says so where no layer is left.
    words = [f"--store-layers={max(1, given.max_layers - base_layers - 1)}", f"--name={given.file}"]
    held = PlannedStore.read(given.base_store).held(closure) if given.base_store else {}
    words += [f"--exclude={path}" for path in (*given.exclude, *held) if path in closure]
    words += [f"--volatile={path}" for path in given.volatile if path in closure]
    if given.min_layer_size:
        words.append(f"--min-layer-size={given.min_layer_size}")
    if given.layering_lock:
        words.append(f"--lock={given.layering_lock}")
    return words
