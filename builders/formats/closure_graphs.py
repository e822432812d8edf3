"""Graphs of closures as JSON: what lies beside an image plan, or what Nix gives to a build.

The first is as builders.image.plan describes it, the second a list of its `paths` alone. Sources:
Nix manual, "Advanced Attributes", exportReferencesGraph.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from builders.closure.graph import Graph, read_graph, referrers_first
from builders.console.errors import UserError, die
from builders.formats.json_values import JsonValue

_HINT: Final = "give the graph of a whole closure, as exportReferencesGraph makes it"
_LAYERS_MAX: Final = 1000
"""As builders.formats.image_reader reads of an image."""


@dataclass(frozen=True)
class ClosureGraph:
    """The `graph`, the `roots` that it names, and the number of the layer of each path, if any."""

    graph: Graph
    roots: tuple[str, ...]
    layers: Mapping[str, int | None]


def read_closure_graph(document: Any, *, what: str) -> ClosureGraph:
    """Return the graph in `document`; raises `UserError` where it is none, or not whole.

    `what` is the subject of errors.
    """
    top = JsonValue(document, what, hint=_HINT)
    is_whole = isinstance(document, dict)
    listed = top["paths"] if is_whole else top
    # Of many paths, looking at each value in turn takes most of the time.
    nodes = listed.value if _are_nodes(listed.value) else list(map(_node, listed.elements()))
    layers = {node["path"]: node.get("layer") for node in nodes}
    if len(layers) < len(nodes):
        counts = Counter(node["path"] for node in nodes)
        die(f"{what}: {counts.most_common(1)[0][0]} is there twice", hint=_HINT)
    graph = _whole(nodes, what=what)
    roots = top["roots"].strings() if is_whole else ()
    for root in roots:
        if root not in graph:
            die(f"{what}: the root {root} is not among its paths", hint=_HINT)
    return ClosureGraph(graph, roots, layers)


def _are_nodes(nodes: Any) -> bool:
    """Whether all of `nodes` are as they should be, in the case of letters as well."""
    return isinstance(nodes, list) and all(
        isinstance(node, dict)
        and node.keys() <= _KEYS
        and isinstance(node.get("path"), str)
        and isinstance(node.get("references"), list)
        and all(isinstance(reference, str) for reference in node["references"])
        and type(node.get("narSize")) is int
        and node["narSize"] >= 0
        and isinstance(node.get("narHash"), str)
        and (node.get("layer") is None or _is_layer(node["layer"]))
        for node in nodes
    )


_KEYS: Final = {"path", "references", "narSize", "narHash", "layer", "closureSize", "valid"}


def _is_layer(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LAYERS_MAX


def _node(value: JsonValue) -> dict[str, Any]:
    layer = value["layer"]
    if layer.value is not None and layer.natural() >= _LAYERS_MAX:
        die(f"{layer.where} is {layer.value}, and no image has so many layers", hint=_HINT)
    return {
        "path": value["path"].string(),
        "references": value["references"].strings(),
        "narSize": value["narSize"].natural(),
        "narHash": value["narHash"].string_or_none() or "",
        "layer": layer.value,
    }


def _whole(nodes: Sequence[Mapping[str, Any]], *, what: str) -> Graph:
    try:
        graph = read_graph(nodes)
        referrers_first(graph)
    except KeyError as error:
        missing = error.args[0]
        by = next(node["path"] for node in nodes if missing in node["references"])
        raise UserError(f"{what}: {by} refers to {missing}, which is missing", hint=_HINT) from None
    except ValueError as error:
        raise UserError(f"{what}: {error}", hint=_HINT) from None
    return graph
