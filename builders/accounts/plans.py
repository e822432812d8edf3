"""Reading what Longshore plans: an image plan with the graph beside it, or a graph by itself."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from builders.accounts.known import (
    BASE,
    CUSTOMISATION,
    FOREIGN,
    GRAPH,
    NAR,
    PLAN,
    STORE,
    KnownImage,
    KnownLayer,
    all_roots,
)
from builders.closure.graph import Graph
from builders.console.errors import UserError, die
from builders.formats.closure_graphs import ClosureGraph, read_closure_graph
from builders.formats.json_values import JsonValue, parse_json
from builders.image.configuration import image_config
from builders.image.layer_kinds import BaseLayer, Layer, StoreLayer, TarLayer, TarWithClosure
from builders.image.plan import VERSION, Plan, plan_from_json

_REBUILD: Final = "build the image again, and give the plan that comes with it"


def read_json_file(path: str, *, what: str) -> Any:
    """Return the JSON in the file `path`; raises `UserError`, whose subject is `what`."""
    try:
        with open(path, "rb") as file:
            return parse_json(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is no JSON ({error})"
        raise UserError(f"can't read {what}: {reason}", hint=_REBUILD) from None


def known_plan(path: str, document: Any, *, what: str, graph_path: str | None) -> KnownImage:
    """Return the image of the plan `document`, which was read from `path`.

    The graph is read from `graph_path`, or else from where the plan says that it lies.
    """
    plan = _plan(document, what=what)
    graph_path = graph_path or plan.graph
    unknown = []
    graph: Graph | None = None
    roots: tuple[str, ...] = ()
    held: dict[int, dict[str, int]] = {}
    if graph_path is None:
        unknown.append("the plan names no graph: why a path is in the image is not known")
    else:
        document = _graph_document(graph_path, plan=path)
        found = read_closure_graph(document, what=f"the graph {graph_path}")
        graph, roots = found.graph, all_roots(found.graph, found.roots)
        held = _by_layer(found)
        _check_graph(found, plan, what=f"the graph {graph_path}", path=path)
        if any(number is None for number in found.layers.values()):
            unknown.append(
                "store paths without a layer are in several of the base image: their bytes are "
                "counted there"
            )
    if any(isinstance(layer, BaseLayer) for layer in plan.layers):
        unknown.append("layers of the base image are not looked into: give the archive for that")
    if plan.has_now:
        unknown.append("the image takes the time when it is written, and so do its digests")
    layers = tuple(
        _known_layer(layer, graph, held.get(number, {})) for number, layer in enumerate(plan.layers)
    )
    return KnownImage(
        source=PLAN,
        name=plan.repo_tag,
        platform=str(plan.platform),
        config=plan.config or {},
        layers=layers,
        graph=graph,
        roots=roots,
        measure=NAR,
        config_digest=_config_digest(plan),
        unknown=tuple(unknown),
    )


def known_graph(document: Any, *, what: str) -> KnownImage:
    """Return what the graph `document` says of an image, or of a closure that is none yet."""
    found = read_closure_graph(document, what=what)
    held = _by_layer(found)
    paths = [held.get(number, {}) for number in range(max(held, default=-1) + 1)]
    return KnownImage(
        source=GRAPH,
        name="",
        platform=None,
        config={},
        layers=tuple(KnownLayer(STORE, diff_id=None, size=None, paths=held) for held in paths),
        graph=found.graph,
        roots=all_roots(found.graph, found.roots),
        measure=NAR,
        unknown=(
            "a graph tells of store paths alone: digests and sizes of layers are in the plan",
        ),
    )


def with_compressed(image: KnownImage, path: str) -> KnownImage:
    """Return the image of a plan with the compressed layers that the JSON file `path` describes.

    That is the JSON of builders.blobs.compressed_layers. Raises `UserError` where it is not, or is
    of another image.
    """
    # Not at the top: it takes a third of the start, and is seldom needed.
    from builders.blobs.compressed_layers import CompressedLayers

    what = f"the compressed layers {path}"
    document = read_json_file(path, what=what)
    try:
        found = CompressedLayers.from_json(json.dumps(document)).layers
    except (KeyError, TypeError, ValueError, AttributeError):
        die(f"{what} are none", hint="give the file that describes the blobs of the image")
    if len(found) != len(image.layers):
        die(
            f"{what} are {len(found)}, and the image has {len(image.layers)} layers",
            hint="give the ones of this very image",
        )
    layers = tuple(
        replace(
            layer,
            blob=descriptor.digest,
            blob_size=descriptor.size,
            media_type=descriptor.media_type,
        )
        for layer, descriptor in zip(image.layers, found, strict=True)
    )
    return replace(image, layers=layers)


def _plan(document: Any, *, what: str) -> Plan:
    _check(JsonValue(document, what, hint=_REBUILD))
    try:
        return plan_from_json(json.dumps(document))
    except ValueError as error:
        raise UserError(f"{what} can't be read: {error}", hint=_REBUILD) from None
    except (KeyError, TypeError, AttributeError):
        die(f"{what} is no whole image plan", hint=_REBUILD)


def _check(plan: JsonValue) -> None:
    """Raise `UserError` where what an account is made of has another shape."""
    if plan["version"].value != VERSION:
        # Said by who reads it.
        return
    plan["name"].string()
    for key in ("tag", "graph"):
        plan[key].string_or_none()
    platform = plan["platform"]
    for key in ("os", "architecture"):
        platform[key].string()
    platform["variant"].string_or_none()
    plan["config"].or_else({}).properties()
    for layer in plan["layers"].elements():
        _check_layer(layer)


def _check_layer(layer: JsonValue) -> None:
    kind = layer["kind"].string()
    if layer["diff_id"].value is not None:
        layer["diff_id"].digest()
    if layer["size"].value is not None:
        layer["size"].natural()
    if kind == StoreLayer.kind:
        layer["paths"].strings()
    elif kind == TarWithClosure.kind:
        layer["closure"]["paths"].strings()
    elif kind == BaseLayer.kind:
        layer["stored"]["digest"].digest()
        layer["stored"]["size"].natural()
        layer["entry"].properties()


def _check_graph(found: ClosureGraph, plan: Plan, *, what: str, path: str) -> None:
    """Raise `UserError` where a graph can't be that of the plan that was read from `path`."""
    hint = "give the graph of this very image"
    for layer in plan.layers:
        for missing in layer.store_paths:
            if missing not in found.graph:
                die(f"{what} is not that of {path}: it lacks {missing}", hint=hint)
    most = max((number for number in found.layers.values() if number is not None), default=-1)
    if most >= len(plan.layers):
        die(
            f"{what} is not that of {path}: it has paths in layer {most + 1}, and the image has "
            f"{len(plan.layers)} layers",
            hint=hint,
        )


def _graph_document(path: str, *, plan: str) -> Any:
    try:
        with open(path, "rb") as file:
            return parse_json(file.read())
    except OSError as error:
        raise UserError(
            f"can't read the graph {path} of the plan {plan}: {error.strerror}",
            hint="name where it lies with --graph, or build it",
        ) from None
    except ValueError as error:
        raise UserError(f"the graph {path} is no JSON ({error})", hint=_REBUILD) from None


def _by_layer(found: ClosureGraph) -> dict[int, dict[str, int]]:
    """Return the paths of each layer that has any, with their sizes."""
    held: dict[int, dict[str, int]] = {}
    for path, number in found.layers.items():
        if number is not None:
            held.setdefault(number, {})[path] = found.graph[path].nar_size
    return held


def _config_digest(plan: Plan) -> str | None:
    if plan.has_now or any(layer.diff_id is None for layer in plan.layers):
        return None
    return f"sha256:{hashlib.sha256(image_config(plan)).hexdigest()}"


def _known_layer(layer: Layer, graph: Graph | None, held: Mapping[str, int]) -> KnownLayer:
    """Return a layer of a plan; `held` are paths that the graph knows to be in it."""
    is_base = isinstance(layer, BaseLayer)
    blob = layer.blob if isinstance(layer, BaseLayer) else None
    sizes = graph or {}
    return KnownLayer(
        kind=_kind(layer),
        diff_id=layer.diff_id,
        size=layer.size,
        # Uncompressed in an archive, it may be compressed on its way to a registry.
        blob=blob.digest if blob and blob.digest != layer.diff_id else None,
        blob_size=blob.size if blob and blob.digest != layer.diff_id else None,
        media_type=blob.media_type if blob and blob.digest != layer.diff_id else None,
        paths={path: sizes[path].nar_size if path in sizes else 0 for path in layer.store_paths}
        or held,
        comment=str(layer.history("").get("comment", "")) if is_base else "",
    )


def _kind(layer: Layer) -> str:
    if isinstance(layer, BaseLayer):
        return BASE
    if isinstance(layer, StoreLayer):
        return STORE
    return CUSTOMISATION if isinstance(layer, TarLayer) else FOREIGN
