"""Layering pipelines: layers as a list of steps makes them.

A pipeline is a list of steps, `[name, argument…]` each. The first gets the
graph of the closure, each other one what the one before it gave:

- a graph: store paths with the references between them, the smallest first;
- a list of graphs, or of what else a step gives;
- parts: some of `main`, `common` and `rest` by name.

In the end all graphs that are left are the layers, in order. Source: nixpkgs,
flatten-references-graph, whose names, arguments and orders these are, but for the steps that go by
what changes together.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from builders.closure.changes import Changes, find_changes
from builders.closure.co_change import by_change, layers_of
from builders.closure.graph import Graph, StorePath, induced
from builders.closure.popularity import by_popularity
from builders.console.errors import UserError, die, warn

_FLATTER: Final = "put steps behind one another, not into one another"
_PARTS: Final = ("main", "common", "rest")


@dataclass(frozen=True)
class Parts:
    """What a split makes of a graph: none of them is empty, and what would be is left out."""

    by_name: dict[str, "Value"]


Value = Graph | Sequence["Value"] | Parts
Step = Callable[[Value], Value]


def run_pipeline(
    steps: object, graph: Graph, *, what: str, exclude: Collection[str] = ()
) -> list[tuple[str, ...]]:
    """Return the layers that the pipeline `steps` makes of `graph` without the paths in `exclude`.

    Empty layers are left out. Raises `UserError`, with `what` for its subject and the number of the
    step, where the pipeline is not one, or where a step gets what it can't work on.
    """
    kept = induced(graph, [path for path in graph if path not in exclude])
    ordered = dict(sorted(kept.items(), key=lambda item: item[1].nar_size))
    try:
        run = _pipe(steps, what, known=_Closure(graph, exclude))
        return [tuple(layer) for layer in _layers(run(ordered)) if layer]
    except RecursionError:
        raise UserError(f"{what}: its steps are nested too deeply", hint=_FLATTER) from None


def read_pipeline(path: str, *, what: str) -> Any:
    """Return the steps in the JSON file `path`; `what` is the subject of errors."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except RecursionError:
        raise UserError(
            f"{what}: the steps in {path} are nested too deeply", hint=_FLATTER
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{what}: {path} can't be read as JSON: {reason}",
            hint='give a list of steps, like [["popularity_contest"]], or a file that holds one',
        ) from None


# Steps. Each gets its arguments, then where it stands in the pipeline (for messages), then the
# value.


def _popularity_contest(where: str, value: Value) -> Value:
    graph = _graph(where, value)
    return [induced(graph, [path]) for path in by_popularity(graph)]


def _co_change(count: int, changes: Callable[[], Changes], where: str, value: Value) -> Value:
    graph = _graph(where, value)
    found = changes()
    indices = [index for index, path in enumerate(found.order) if path in graph]
    layers = layers_of(found, indices, count)
    return [induced(graph, layer) for layer in layers]


def _order_by_change(changes: Callable[[], Changes], where: str, value: Value) -> Value:
    layers = _graphs(where, value)
    return [layers[number] for number in by_change(changes(), layers)]


def _split_every(count: int, where: str, value: Value) -> Value:
    graph = _graph(where, value)
    paths = list(graph)
    return [induced(graph, paths[at : at + count]) for at in range(0, len(paths), count)]


def _remove_paths(paths: frozenset[str], where: str, value: Value) -> Value:
    graph = _graph(where, value)
    return induced(graph, [path for path in graph if path not in paths])


def _subcomponent(paths: frozenset[str], where: str, value: Value, *, users: bool) -> Value:
    graph = _graph(where, value)
    return _split(graph, main=_reachable(_reversed(graph) if users else _edges(graph), paths))


def _split_paths(at: "_Points", where: str, value: Value) -> Value:
    graph = _graph(where, value)
    edges = _edges(graph)
    points = {path for path in graph if path in at.paths}
    points.update(child for path in at.children_of if path in graph for child in edges[path])
    referred = {reference for references in edges.values() for reference in references}
    roots = [path for path in graph if path not in referred]
    if len(roots) == 1 and roots[0] in points:
        return _split(graph, main=set(graph))
    below = _reachable(edges, points)
    cut = {
        path: [to for to in references if to not in points] for path, references in edges.items()
    }
    others = _reachable(cut, [root for root in roots if root not in points])
    return _split(graph, main=below - others, common=below & others)


def _limit_layers(count: int, where: str, value: Value) -> Value:
    layers = _graphs(where, value)
    rest: dict[str, StorePath] = {}
    for layer in layers[count - 1 :]:
        rest.update(layer)
    return [*layers[: count - 1], *([rest] if rest else [])]


def _flatten(_: str, value: Value) -> Value:
    return list(_layers(value))


def _reverse(where: str, value: Value) -> Value:
    return list(_list(where, value))[::-1]


def _reorder(names: tuple[str, ...], where: str, value: Value) -> Value:
    parts = _parts(where, value).by_name
    order = dict.fromkeys([*(name for name in names if name in parts), *parts])
    return Parts({name: parts[name] for name in order})


def _over(name: str, step: Step, where: str, value: Value) -> Value:
    parts = _parts(where, value).by_name
    return Parts(parts | {name: step(parts[name])}) if name in parts else value


def _map(step: Step, where: str, value: Value) -> Value:
    return [step(item) for item in _list(where, value)]


def _run_all(steps: Sequence[Step], _: str, value: Value) -> Value:
    for step in steps:
        value = step(value)
    return value


# From JSON to steps.


@dataclass(frozen=True)
class _Points:
    """Where to split a graph: at `paths`, and at what `children_of` refer to."""

    paths: frozenset[str]
    children_of: frozenset[str]


class _Closure:
    """The closure that a pipeline divides, with what it leaves out of the image."""

    def __init__(self, graph: Graph, exclude: Collection[str]) -> None:
        self._graph = graph
        self._exclude = exclude
        self._changes: Changes | None = None

    def __contains__(self, path: object) -> bool:
        return path in self._graph

    def changes(self) -> Changes:
        """Return what changes the paths of the image: in each step the same."""
        if self._changes is None:
            self._changes = find_changes(self._graph, exclude=self._exclude)
        return self._changes


def _pipe(steps: object, where: str, *, known: _Closure) -> Step:
    """Return the steps as one. `where` leads to them; `known` are all paths of the closure."""
    if not isinstance(steps, list):
        die(
            f"{where}: is {_describe(steps)}, not a list of steps",
            hint='write it like [["popularity_contest"]]',
        )
    read = [
        _step(step, f"{where}, step {number}", known=known) for number, step in enumerate(steps, 1)
    ]
    return partial(_run_all, read, where)


def _step(step: object, where: str, *, known: _Closure) -> Step:
    """Return the step that the list `[name, argument…]` stands for."""
    if not isinstance(step, list) or not step or not isinstance(step[0], str):
        die(
            f"{where}: is {_describe(step)}, not a list that begins with a step's name",
            hint='write it like ["popularity_contest"]',
        )
    name, *given = step
    if name not in _STEPS:
        die(f"{where}: there is no step {name!r}", hint=f"known are {', '.join(sorted(_STEPS))}")
    where = f"{where} ({name})"
    function, readers = _STEPS[name]
    if len(given) != len(readers):
        die(
            f"{where}: has {len(given)} arguments instead of {len(readers)}",
            hint="write it as " + json.dumps([name, *(about for about, _ in readers)]),
        )
    arguments = [read(value, where, known) for (_, read), value in zip(readers, given, strict=True)]
    if name in _BY_CHANGE:
        arguments.append(known.changes)
    return partial(function, *arguments, where)


def _read_count(value: object, where: str, _: _Closure) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        die(f"{where}: {_describe(value)} is no number of layers or paths", hint="give 1 or more")
    return value


def _read_paths(value: object, where: str, known: _Closure) -> frozenset[str]:
    paths = value if isinstance(value, list) else [value]
    for path in paths:
        if not isinstance(path, str):
            die(f"{where}: {_describe(path)} is no store path", hint="name store paths or packages")
        if path not in known:
            warn(f"{where}: {path} is not in the closure of the image")
    return frozenset(paths)


def _read_points(value: object, where: str, known: _Closure) -> _Points:
    points = value if isinstance(value, list) else [value]
    children = [point for point in points if isinstance(point, dict)]
    for point in children:
        if list(point) != ["children_of"]:
            die(
                f"{where}: has an attribute set of {', '.join(point) or 'nothing'}",
                hint="give paths, or a set that has children_of and nothing else",
            )
    paths = [point for point in points if not isinstance(point, dict)]
    parents = [_read_paths(point["children_of"], where, known) for point in children]
    return _Points(_read_paths(paths, where, known), frozenset().union(*parents))


def _read_part(value: object, where: str, _: _Closure) -> str:
    if value not in _PARTS:
        die(f"{where}: there is no part {value!r}", hint=f"parts are {', '.join(_PARTS)}")
    return str(value)


def _read_parts(value: object, where: str, known: _Closure) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    return tuple(_read_part(name, where, known) for name in names)


def _read_step(value: object, where: str, known: _Closure) -> Step:
    return _step(value, f"{where}, its step", known=known)


def _read_steps(value: object, where: str, known: _Closure) -> Step:
    return _pipe(value, where, known=known)


_Reader = Callable[[Any, str, _Closure], Any]
_STEPS: Final[dict[str, tuple[Callable[..., Value], tuple[tuple[str, _Reader], ...]]]] = {
    "co_change": (_co_change, (("N", _read_count),)),
    "flatten": (_flatten, ()),
    "limit_layers": (_limit_layers, (("N", _read_count),)),
    "map": (_map, (("STEP", _read_step),)),
    "order_by_change": (_order_by_change, ()),
    "over": (_over, (("PART", _read_part), ("STEP", _read_step))),
    "pipe": (lambda steps, _, value: steps(value), (("STEPS", _read_steps),)),
    "popularity_contest": (_popularity_contest, ()),
    "remove_paths": (_remove_paths, (("PATHS", _read_paths),)),
    "reorder": (_reorder, (("PARTS", _read_parts),)),
    "reverse": (_reverse, ()),
    "split_every": (_split_every, (("N", _read_count),)),
    "split_paths": (_split_paths, (("PATHS", _read_points),)),
    "subcomponent_in": (partial(_subcomponent, users=True), (("PATHS", _read_paths),)),
    "subcomponent_out": (partial(_subcomponent, users=False), (("PATHS", _read_paths),)),
}
"""Steps by name: what they do, and their arguments, each with a name for messages."""

_BY_CHANGE: Final = frozenset({"co_change", "order_by_change"})
"""Steps that are told what changes the paths, too: the whole closure says so."""


# Values.


def _layers(value: Value) -> Iterator[Graph]:
    """Yield all graphs in `value`, depth first."""
    pending = [value]
    while pending:
        match pending.pop():
            case Parts(by_name):
                pending += reversed(by_name.values())
            case Mapping() as graph:
                yield graph
            case items:
                pending += reversed(items)


def _graph(where: str, value: Value) -> Graph:
    if not isinstance(value, Mapping):
        die(
            f"{where}: works on a graph, and gets {_describe(value)}",
            hint="reach the graphs with map (of a list) or over (of parts)",
        )
    return value


def _list(where: str, value: Value) -> Sequence[Value]:
    if isinstance(value, (Mapping, Parts)):
        die(
            f"{where}: works on a list, and gets {_describe(value)}",
            hint='make one with ["flatten"] or ["popularity_contest"] before it',
        )
    return value


def _graphs(where: str, value: Value) -> Sequence[Graph]:
    layers: list[Graph] = []
    for layer in _list(where, value):
        if not isinstance(layer, Mapping):
            die(
                f"{where}: needs a list of layers, and not of {_describe(layer)}",
                hint='put ["flatten"] before it',
            )
        layers.append(layer)
    return layers


def _parts(where: str, value: Value) -> Parts:
    if not isinstance(value, Parts):
        die(
            f"{where}: works on parts, and gets {_describe(value)}",
            hint="split_paths, subcomponent_in and subcomponent_out make parts",
        )
    return value


def _describe(value: object) -> str:
    match value:
        case Parts(by_name):
            return f"parts ({', '.join(by_name)})"
        case Mapping():
            return "a graph" if all(isinstance(n, StorePath) for n in value.values()) else "a set"
        case list():
            return "a list"
        case _:
            return json.dumps(value)


def _split(graph: Graph, *, main: set[str], common: Collection[str] = ()) -> Parts:
    by_name = {
        "main": [path for path in graph if path in main],
        "common": [path for path in graph if path in common],
        "rest": [path for path in graph if path not in main and path not in common],
    }
    return Parts({name: induced(graph, paths) for name, paths in by_name.items() if paths})


def _edges(graph: Graph) -> dict[str, list[str]]:
    return {path: list(node.references) for path, node in graph.items()}


def _reversed(graph: Graph) -> dict[str, list[str]]:
    edges: dict[str, list[str]] = {path: [] for path in graph}
    for path, node in graph.items():
        for reference in node.references:
            edges[reference].append(path)
    return edges


def _reachable(edges: Mapping[str, Sequence[str]], paths: Collection[str]) -> set[str]:
    """Return those of `paths` that have edges, and all that they lead to."""
    seen = {path for path in paths if path in edges}
    pending = list(seen)
    while pending:
        for path in edges[pending.pop()]:
            if path not in seen:
                seen.add(path)
                pending.append(path)
    return seen
