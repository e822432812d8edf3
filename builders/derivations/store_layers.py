"""Plans the layers of a layered image: which store paths share one, and what they hash to.

The output is the JSON file of builders.derivations.planned.PlannedLayers.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from builders.closure.graph import Graph, induced, read_graph
from builders.closure.layering_lock import read_lock
from builders.closure.pipeline import read_pipeline, run_pipeline
from builders.console.errors import die, warn
from builders.derivations import arguments
from builders.derivations.layer_directory import read_tar_layer
from builders.derivations.planned import PlannedBase, PlannedLayers, PlannedStore
from builders.image.dates import NOW, parse_time
from builders.image.layer_kinds import StoreLayer
from builders.image.layering import CoChange, assign_layers, hash_layers, join_last
from builders.image.plan import MOST_LAYERS
from builders.remedies import CHECK_STORE, WRITE_LOCK
from builders.rootfs.over_base import check_store
from builders.rootfs.tree_names import read_names

_LOCK: Final = "layeringLock"
_PIPELINE: Final = "layeringPipeline"
_VOLATILE: Final = "volatile"


@dataclass(frozen=True)
class Arguments:
    """What store_layers takes.

    Names are those of streamLayeredImage's attributes. `base` is the output of base_image;
    `base_names` and `base_store` are those of base_names, and `from_image` is the base image;
    `layering_pipeline` is a list of steps or the name of a JSON file that holds one;
    `customisation_layer` is the output of the derivation of that name; `date` the program of
    coreutils; `volatile`, `min_layer_size` and `layering_lock`, the name of a file, are for the
    layering "co-change"; `closure` the graph that exportReferencesGraph gives of the paths in
    `exclude`, which make no layer.
    """

    base: str | None
    mtime: str
    uid: int
    gid: int
    uname: str
    gname: str
    max_layers: int
    layering: str
    layering_pipeline: list[Any] | str | None
    debug: bool
    store_dir: str
    customisation_layer: str
    exclude: list[str]
    date: str
    base_names: str | None
    base_store: str | None
    from_image: str | None
    volatile: Sequence[str] = ()
    min_layer_size: int = 0
    layering_lock: str | None = None
    closure: list[dict[str, Any]] = field(default_factory=list)


def main(_: list[str]) -> None:
    """Write the file to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    mtime = parse_time(given.mtime, what="mtime", date=given.date)
    graph = read_graph(given.closure)
    held = PlannedStore.read(given.base_store).held(graph) if given.base_store else {}
    layers = [
        StoreLayer(
            paths=paths,
            mtime=NOW if mtime is None else mtime,
            uid=given.uid,
            gid=given.gid,
            uname=given.uname,
            gname=given.gname,
            store_dir=given.store_dir,
        )
        for paths in layer_paths(given, graph, held=held, jobs=build.cores)
    ]
    if given.base_names and layers:
        what = f"fromImage {given.from_image}"
        check_store(read_names(given.base_names), given.store_dir, what=what)
    if given.debug:
        print_layers(layers, graph, held=held)
    customisation = read_tar_layer(given.customisation_layer)
    hashed = hash_layers(layers, graph=graph, jobs=build.cores, hint=CHECK_STORE)
    PlannedLayers(
        layers=(*hashed, customisation),
        graph=graph,
        exclude=given.exclude,
        held=held,
    ).write(build.out)


def layer_paths(
    given: Arguments, graph: Graph, *, held: Collection[str] = (), jobs: int
) -> list[tuple[str, ...]]:
    """Return the paths of each store layer, without those in `held`, which the base image has.

    Raises `UserError` where no layer is left for them.
    """
    base_layers = len(PlannedBase.read(given.base).layers) if given.base else 0
    exclude = frozenset(given.exclude).union(held)
    used = base_layers + 1
    limit = given.max_layers - used
    is_empty = all(path in exclude for path in graph)
    if limit < 1 and (limit < 0 or not is_empty):
        die(
            f"maxLayers = {given.max_layers} leaves no layer for store paths: the base image has "
            f"{base_layers} layers and the customisation layer is one more",
            hint=f"set maxLayers to {used + 1} or more, or use a base image of fewer layers"
            if used < MOST_LAYERS
            else f"use a base image of fewer layers: Docker loads at most {MOST_LAYERS}",
        )
    pipeline = given.layering_pipeline
    if pipeline is None:
        # The limit is for what is added: what the base image has takes no part.
        added = induced(graph, [path for path in graph if path not in held])
        return assign_layers(
            added,
            exclude=exclude,
            limit=limit,
            layering=given.layering,
            jobs=jobs,
            co_change=co_change_options(given, graph),
        )
    steps = read_pipeline(pipeline, what=_PIPELINE) if isinstance(pipeline, str) else pipeline
    layers = run_pipeline(steps, graph, what=_PIPELINE, exclude=exclude)
    if len(layers) > limit:
        needed = len(layers) + used
        warn(
            f"{_PIPELINE} makes {len(layers)} layers, and maxLayers = {given.max_layers} "
            f"leaves {limit} for store paths: the last ones become one layer; "
            + (
                f"for all of them set maxLayers = {needed}"
                if needed <= MOST_LAYERS
                else f"make fewer: Docker loads at most {MOST_LAYERS} in all"
            )
        )
    return join_last(layers, limit)


def co_change_options(given: Arguments, graph: Graph) -> CoChange:
    """Return what the layering "co-change" goes by; raises `UserError` where it is wrong."""
    for path in given.volatile:
        if path not in graph:
            die(
                f"{_VOLATILE} names {path}, which is not in the closure of the image",
                hint="name what is in the image, or leave it out",
            )
    lock = given.layering_lock
    return CoChange(
        volatile=frozenset(given.volatile),
        min_layer_size=given.min_layer_size,
        lock=read_lock(lock, what=_LOCK, hint=WRITE_LOCK) if lock else None,
        lock_name=_LOCK,
    )


def print_layers(layers: Sequence[StoreLayer], graph: Graph, *, held: Collection[str]) -> None:
    """Print what is in each store layer, and how large it is as Nix counts (NAR bytes)."""
    if held:
        size = sum(graph[path].nar_size for path in held)
        print(f"in the base image: {len(held)} paths, {size:,} bytes")
    for number, layer in enumerate(layers, 1):
        size = sum(graph[path].nar_size for path in layer.paths)
        print(f"store layer {number}: {len(layer.paths)} paths, {size:,} bytes")
        for path in layer.paths:
            print(f"  {graph[path].nar_size:15,} {path}")
    sys.stdout.flush()
