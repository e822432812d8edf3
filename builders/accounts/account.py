"""The account of an image: what each store path and each layer costs, and why it is there.

Own bytes of store paths and other bytes of layers add up to the bytes of the image. Where sizes are
of NARs, what a layer's tar has more than those counts among its other bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from builders.accounts.dominators import dominators, vanishing_bytes
from builders.accounts.known import CUSTOMISATION, GRAPH, KnownImage, KnownLayer
from builders.accounts.reach import (
    Begin,
    begins,
    changed_layers,
    closure_sizes,
    ends_of_way,
    shortest_ways,
    way_to,
)
from builders.closure.graph import Graph, referrers_first
from builders.closure.package_names import parse_name

CLOSURES_MAX: Final = 50_000
"""Paths up to which all closures are summed up, in seconds; the work grows with the square."""


@dataclass(frozen=True)
class PathAccount:
    """A store path, all sizes in bytes by the image's measure.

    `own` are its own bytes, in all layers that hold it (`layers`, numbered from 1); `closure` those
    of all that it needs, itself included; `vanishing` those that would go with it, since nothing
    else needs them; `update` those of the layers that change with it. `references` and `referrers`
    are numbers of paths. What can't be known is None.
    """

    path: str
    package: str
    version: str
    own: int
    closure: int | None
    vanishing: int | None
    layers: tuple[int, ...]
    references: int | None
    referrers: int | None
    update: int | None

    @property
    def name(self) -> str:
        """The name without the hash."""
        return store_name(self.path)


@dataclass(frozen=True)
class LayerAccount:
    """A layer, numbered from 1, sizes in bytes.

    `size` is that of the uncompressed tar, and where that is not known, what its store paths add up
    to. `own` are the bytes of store paths and `other` the rest. `chance` is the part of all updates
    of one path, one as likely as the other, that change the layer; None where it is not known.
    """

    number: int
    known: KnownLayer
    size: int
    own: int
    chance: float | None

    @property
    def other(self) -> int:
        """The bytes that belong to no store path."""
        return self.size - self.own


@dataclass(frozen=True)
class Account:
    """An image; `paths` are by path, the largest first."""

    image: KnownImage
    layers: tuple[LayerAccount, ...]
    paths: Mapping[str, PathAccount]

    @property
    def size(self) -> int:
        """The bytes of all layers, uncompressed; of a closure without layers, of its paths."""
        if not self.layers:
            return sum(path.own for path in self.paths.values())
        return sum(layer.size for layer in self.layers)

    @property
    def has_sizes(self) -> bool:
        """Whether `size` is known: of an image of a registry that was not read, it is not."""
        return self.is_measured or all(layer.known.size is not None for layer in self.layers)

    @property
    def is_measured(self) -> bool:
        """Whether the bytes of store paths, and so the other bytes of layers, are known."""
        return self.image.measure is not None

    @property
    def other(self) -> int:
        """The bytes of all layers that belong to no store path."""
        return sum(layer.other for layer in self.layers)

    @property
    def compressed(self) -> int | None:
        """The bytes of all blobs of layers, None where one is not known."""
        sizes = [layer.known.blob_size for layer in self.layers]
        return None if not sizes or None in sizes else sum(size or 0 for size in sizes)

    @cached_property
    def versions(self) -> dict[str, tuple[str, ...]]:
        """The paths of each package that is there in several versions."""
        found: dict[str, dict[str, list[str]]] = {}
        for path, account in self.paths.items():
            if account.version:
                versions = found.setdefault(account.package, {})
                versions.setdefault(_release(account.version), []).append(path)
        return {
            package: tuple(path for paths in versions.values() for path in paths)
            for package, versions in sorted(found.items())
            if len(versions) > 1
        }

    @cached_property
    def _before(self) -> Mapping[str, str | None]:
        graph = self.image.graph
        return {} if graph is None else shortest_ways(graph, self.image.roots)

    def way(self, path: str) -> tuple[str, ...]:
        """Return the shortest way that brings `path` in, from a root on; () if it is not known."""
        return way_to(path, self._before) if path in self._before else ()

    @cached_property
    def _begins(self) -> Mapping[str, Begin]:
        return begins(self._before)

    def ends_of_way(self, path: str, most: int) -> tuple[str | None, ...]:
        """Return the way as `way` does, of more than `most` steps those at both ends.

        None stands for what is between them. The work goes by `most`, which is 2 or more, however
        long the way is.
        """
        if path not in self._before:
            return ()
        return ends_of_way(path, self._before, self._begins, most)

    def closure(self, path: str) -> int | None:
        """Return the bytes of the closure of `path`, also in images of too many paths to sum up."""
        known = self.paths[path].closure
        graph = self.image.graph
        if known is not None or graph is None:
            return known
        seen = {path}
        pending = [path]
        while pending:
            for reference in graph[pending.pop()].references:
                if reference not in seen:
                    seen.add(reference)
                    pending.append(reference)
        return sum(self.paths[other].own for other in seen)


def known_layer_size(account: Account, layer: LayerAccount) -> int | None:
    """Return the bytes of the uncompressed `layer` of `account`, None where nobody knows them."""
    return layer.size if account.is_measured or layer.known.size is not None else None


def store_name(path: str) -> str:
    """Return the name in a store path, without directory and hash."""
    return path.rpartition("/")[2].partition("-")[2]


def _release(version: str) -> str:
    """Return a version without the name of an output behind it: 3.0.13-dev is 3.0.13."""
    return version.partition("-")[0]


def account_of(image: KnownImage) -> Account:
    """Return the account of `image`."""
    holders = image.paths
    sizes = dict.fromkeys(holders, 0)
    for layer in image.layers:
        for path, size in layer.paths.items():
            sizes[path] += size
    graph = image.graph
    if graph is not None and image.source == GRAPH:
        for path, numbers in holders.items():
            if not numbers:
                sizes[path] = graph[path].nar_size
    known = _Known.of(image, graph, holders, sizes) if graph is not None else None
    layers = _layers(image, known)
    paths = _paths(holders, sizes, known, layers)
    return Account(image=image, layers=layers, paths=paths)


@dataclass(frozen=True)
class _Known:
    """What follows from the graph, by path."""

    graph: Graph
    closures: Mapping[str, int]
    vanishing: Mapping[str, int]
    changed: Mapping[str, int]
    referrers: Mapping[str, int]

    @staticmethod
    def of(
        image: KnownImage,
        graph: Graph,
        holders: Mapping[str, tuple[int, ...]],
        sizes: Mapping[str, int],
    ) -> "_Known":
        order = referrers_first(graph)
        referrers = dict.fromkeys(graph, 0)
        for node in graph.values():
            for reference in node.references:
                referrers[reference] += 1
        roots = list(image.roots)
        # It has links to what is in the image by itself.
        of_roots = [n for n, layer in enumerate(image.layers) if layer.kind == CUSTOMISATION]
        return _Known(
            graph=graph,
            closures=closure_sizes(graph, order, sizes) if len(graph) <= CLOSURES_MAX else {},
            vanishing=vanishing_bytes(order, dominators(graph, order, roots), sizes),
            changed=changed_layers(graph, order, holders, roots=roots, of_roots=of_roots),
            referrers=referrers,
        )


def _layers(image: KnownImage, known: _Known | None) -> tuple[LayerAccount, ...]:
    found = []
    chances = _chances(known.changed.values(), len(image.layers)) if known else None
    for number, layer in enumerate(image.layers, 1):
        own = sum(layer.paths.values())
        found.append(
            LayerAccount(
                number=number,
                known=layer,
                size=own if layer.size is None else layer.size,
                own=own,
                chance=chances[number - 1] if chances is not None else None,
            )
        )
    return tuple(found)


def _chances(changed: Iterable[int], layers: int) -> list[float]:
    """Return for each layer the part of `changed`, layers as bits, that have it."""
    masks: dict[int, int] = {}
    total = 0
    for mask in changed:
        masks[mask] = masks.get(mask, 0) + 1
        total += 1
    return [
        sum(count for mask, count in masks.items() if mask >> number & 1) / max(total, 1)
        for number in range(layers)
    ]


def _paths(
    holders: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, int],
    known: _Known | None,
    layers: tuple[LayerAccount, ...],
) -> dict[str, PathAccount]:
    updates = _Updates([layer.size for layer in layers])
    found = []
    for path, numbers in holders.items():
        package, version = parse_name(store_name(path))
        found.append(
            PathAccount(
                path=path,
                package=package,
                version=version,
                own=sizes[path],
                closure=known.closures.get(path) if known else None,
                vanishing=known.vanishing[path] if known else None,
                layers=tuple(number + 1 for number in numbers),
                references=len(known.graph[path].references) if known else None,
                referrers=known.referrers[path] if known else None,
                update=updates.bytes(known.changed[path]) if known and layers else None,
            )
        )
    found.sort(key=lambda account: (-account.own, account.name, account.path))
    return {account.path: account for account in found}


class _Updates:
    """The bytes of layers that are given as bits. Many paths change the same ones."""

    def __init__(self, sizes: list[int]) -> None:
        self._sizes = sizes
        self._known: dict[int, int] = {}

    def bytes(self, mask: int) -> int:
        if mask not in self._known:
            self._known[mask] = sum(
                size for number, size in enumerate(self._sizes) if mask >> number & 1
            )
        return self._known[mask]
