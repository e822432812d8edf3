"""The image plan: all that is known of an image before its bytes are written.

It is JSON, the output `conf` of an image: its layers with their digests and sizes, the lowest
first, and its configuration. With it an image streams without hashing anything, and nothing in it
needs a Nix store to be understood but the bytes themselves.

Beside it lies the graph of the closure, which the stream does not need: JSON as well, an object
with `version`, `roots` (the store paths that the image needs by itself) and `paths`, a list of
objects with `path`, `narSize` (bytes), `narHash`, `references` and `layer`, the index of the layer
that holds the path, one of the base image too, or null where no layer or more than one does.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from builders.closure.graph import Graph, graph_to_nodes
from builders.image.dates import NOW
from builders.image.layer_kinds import Layer, layer_from_json
from builders.image.layering import hash_layers
from builders.image.platform import Platform
from builders.tar.sinks import LEAVE_ALONE

VERSION: Final = 2
"""Of the formats of the plan and of the graph beside it."""

MOST_LAYERS: Final = 125
"""Docker's graph drivers refuse an image of more (moby, layer/layer_store.go: maxLayerDepth)."""


@dataclass(frozen=True)
class Plan:
    """An image.

    `tag` None stands for the hash in the store path of its archive. `created` is an ISO 8601 date
    and time and `mtime`, the time of an archive's members, seconds since 1970, or either is `NOW`.
    `config` is the merged container configuration (`config` in the OCI image specification), None
    where there is none. `layers` are in the order of the image, the lowest first; `graph` is the
    path of the graph of the closure, None where there is no such file.
    """

    name: str
    tag: str | None
    platform: Platform
    created: str
    mtime: int | str
    config: Mapping[str, Any] | None
    layers: tuple[Layer, ...]
    graph: str | None = None

    @property
    def repo_tag(self) -> str:
        """Name and tag, as `docker run` takes them."""
        return f"{self.name}:{self.tag or 'latest'}"

    @property
    def has_now(self) -> bool:
        """Whether there is a `NOW` in it."""
        return NOW in (self.created, self.mtime)

    def resolve(self, *, jobs: int, hint: str = LEAVE_ALONE, now: int | None = None) -> "Plan":
        """Return the plan with a time for `NOW`, and the digests that follow from it.

        The time is the current one, or `now`, in seconds since 1970. Digests are found by `jobs`
        processes; `hint` is as in `hash_layers`.
        """
        if now is None:
            now = int(time.time())
        created, mtime = self.created, self.mtime
        if created == NOW:
            created = datetime.fromtimestamp(now, UTC).isoformat()
        if mtime == NOW:
            mtime = now
        layers = [layer.at(now) for layer in self.layers]
        hashed = hash_layers(layers, graph={}, jobs=jobs, hint=hint)
        return replace(self, created=created, mtime=mtime, layers=hashed)

    def to_json(self) -> str:
        """Return the plan as JSON, keys in the order of the fields."""
        data = {
            "version": VERSION,
            "name": self.name,
            "tag": self.tag,
            "platform": asdict(self.platform),
            "created": self.created,
            "mtime": self.mtime,
            "config": self.config,
            "layers": [layer.to_json() for layer in self.layers],
            "graph": self.graph,
        }
        return json.dumps(data, indent=2) + "\n"


def plan_from_json(text: str) -> Plan:
    """Return the plan that `Plan.to_json` wrote; raises `ValueError` for one of another version."""
    data = json.loads(text)
    version = data.pop("version")
    if version != VERSION:
        raise ValueError(f"an image plan of version {version}, expected {VERSION}")
    return Plan(
        **{
            **data,
            "platform": Platform(**data["platform"]),
            "layers": tuple(map(layer_from_json, data["layers"])),
        }
    )


def graph_to_json(
    graph: Graph,
    layers: Sequence[Layer],
    *,
    exclude: Collection[str],
    held: Mapping[str, int | None] | None = None,
) -> str:
    """Return what lies beside the plan of an image of `layers`.

    `held` has the index of the layer of each path that the base image has, None for several layers.
    The paths in `exclude` are roots of `graph` and no part of the image: what they refer to are the
    roots of what is left.
    """
    own = {path: number for number, layer in enumerate(layers) for path in layer.store_paths}
    holders = {**(held or {}), **own}
    roots = {
        reference
        for path in exclude
        for reference in (graph[path].references if path in graph else ())
    }
    data = {
        "version": VERSION,
        "roots": sorted(roots - set(exclude)),
        "paths": [
            {**node, "layer": holders.get(node["path"])}
            for node in graph_to_nodes(dict(sorted(graph.items())))
            if node["path"] not in exclude
        ],
    }
    return json.dumps(data, indent=2) + "\n"
