"""What one derivation plans and a later one takes up: JSON files of layers.

`base_image` writes the layers of the base image and `base_names` its store paths, `store_layers`
and `closure_layer` write the layers of the image's own; `image_plan` makes the plan of all of them.
A change of the configuration alone builds only the last one again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from builders.closure.graph import Graph, graph_to_nodes, read_graph
from builders.console.errors import writing
from builders.image.layer_kinds import BaseLayer, Layer, layer_from_json
from builders.registry.hashes import FileHash
from builders.rootfs.base_store import HeldPath


@dataclass(frozen=True)
class PlannedBase:
    """A base image: its layers, the lowest first, and its configuration as it is."""

    layers: tuple[BaseLayer, ...]
    config: Mapping[str, Any]

    def write(self, path: str) -> None:
        """Write it to the file `path`."""
        layers = [layer.to_json() for layer in self.layers]
        _write(path, {"layers": layers, "config": self.config})

    @staticmethod
    def read(path: str) -> "PlannedBase":
        """Return what `write` wrote."""
        data = _read(path)
        layers = [layer_from_json(layer) for layer in data["layers"]]
        return PlannedBase(
            layers=tuple(layer for layer in layers if isinstance(layer, BaseLayer)),
            config=data["config"],
        )


@dataclass(frozen=True)
class PlannedStore:
    """The store paths that a base image has, by path."""

    paths: Mapping[str, HeldPath]

    def write(self, path: str) -> None:
        """Write it to the file `path`."""
        _write(path, {name: asdict(held) for name, held in self.paths.items()})

    @staticmethod
    def read(path: str) -> "PlannedStore":
        """Return what `write` wrote."""
        return PlannedStore({name: HeldPath(**held) for name, held in _read(path).items()})

    def held(self, graph: Graph) -> dict[str, int | None]:
        """Return the paths of `graph` that the base image has just as they are.

        With the index of the base layer that holds the path, None where several do.
        """
        return {
            path: held.layer
            for path, node in graph.items()
            if (held := self.paths.get(path))
            and FileHash("sha256", bytes.fromhex(held.sha256)).is_spelled(node.nar_hash)
        }


@dataclass(frozen=True)
class PlannedLayers:
    """An image's own layers, the lowest first, and the graph of the closure that they are of.

    The paths in `exclude` are roots of the graph and no part of the image. Those in `held` are in
    the base image, and in none of `layers`: `PlannedStore.held` has them.
    """

    layers: tuple[Layer, ...]
    graph: Graph
    exclude: Sequence[str]
    held: Mapping[str, int | None] = field(default_factory=dict)

    def write(self, path: str) -> None:
        """Write it to the file `path`."""
        layers = [layer.to_json() for layer in self.layers]
        graph = graph_to_nodes(self.graph)
        facts = {"exclude": list(self.exclude), "held": self.held}
        _write(path, {"layers": layers, "graph": graph, **facts})

    @staticmethod
    def read(path: str) -> "PlannedLayers":
        """Return what `write` wrote."""
        data = _read(path)
        return PlannedLayers(
            layers=tuple(map(layer_from_json, data["layers"])),
            graph=read_graph(data["graph"]),
            exclude=data["exclude"],
            held=data["held"],
        )


def _write(path: str, data: Mapping[str, Any]) -> None:
    with writing(path), open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.write("\n")


def _read(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)
