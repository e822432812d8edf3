"""Makes the plan of an image: `passthru.conf`, the JSON of builders.image.plan.

The second output is the graph of the closure, as it lies beside a plan.
"""

import json
import os
import re
from dataclasses import dataclass
from typing import Any, Final

from builders.console.errors import warn, writing
from builders.derivations import arguments
from builders.derivations.planned import PlannedBase, PlannedLayers
from builders.formats.container_config import build_triggers, read_container_config
from builders.image.configuration import overlay_config
from builders.image.dates import NOW, parse_date, parse_time
from builders.image.layer_kinds import StoreLayer, TarLayer
from builders.image.plan import MOST_LAYERS, Plan, graph_to_json
from builders.image.platform import LINUX, Platform
from builders.layers.tar_with_closure import read_entries
from builders.rootfs.base_tree import open_base

TRIGGERS_SHOWN: Final = 10
"""Of OnBuild, in a warning: a base image may have any number."""


@dataclass(frozen=True)
class Arguments:
    """What image_plan takes.

    Names are those of the functions' attributes. `base` is the output of base_image, `layers` that
    of store_layers or closure_layer. Where `tag` is None, the tag is the hash in the path of this
    output, or, with `tag_by_archive`, in that of the image's archive. `date` is the program of
    coreutils. `made_in_containers` are store paths that the configuration names for what containers
    make themselves. `inherit_config` are the keys, as the specification spells them, that `config`
    inherits from the base image.
    """

    image_name: str
    tag: str | None
    tag_by_archive: bool
    config: dict[str, Any] | None
    inherit_config: list[str]
    architecture: str
    variant: str | None
    created: str
    mtime: str
    base: str | None
    layers: str
    date: str
    store_dir: str
    made_in_containers: list[str]


def main(_: list[str]) -> None:
    """Write the plan and the graph to the outputs."""
    build = arguments.load()
    given = build.arguments(Arguments)
    base = PlannedBase.read(given.base) if given.base else None
    own = PlannedLayers.read(given.layers)
    graph = build.attributes["outputs"]["graph"]
    tag = given.tag
    if tag is None and not given.tag_by_archive:
        tag = output_hash(build.out)
    mtime = parse_time(given.mtime, what="mtime", date=given.date)
    plan = Plan(
        name=given.image_name,
        tag=tag,
        platform=Platform(os=LINUX, architecture=given.architecture, variant=given.variant),
        created=parse_date(given.created, what="created", date=given.date),
        mtime=NOW if mtime is None else mtime,
        config=overlay_config(inherited(given, base), given.config),
        layers=(*(base.layers if base else ()), *own.layers),
        graph=graph,
    )
    if len(plan.layers) > MOST_LAYERS:
        of_base = len(base.layers) if base else 0
        warn(
            f"the image has {len(plan.layers)} layers, {of_base} of them of the base image, "
            f"and Docker's graph drivers load at most {MOST_LAYERS}; "
            f"{fewer_layers(plan)}"
        )
    for path in missing_paths(given, base, own, directory=build.top):
        warn(
            f"config names {path}, which is not in the image; let config refer to the package "
            "itself, and not to a string whose context was discarded, or add it to the image"
        )
    with writing(build.out), open(build.out, "w", encoding="utf-8") as file:
        file.write(plan.to_json())
    with writing(graph), open(graph, "w", encoding="utf-8") as file:
        file.write(graph_to_json(own.graph, plan.layers, exclude=own.exclude, held=own.held))


def inherited(given: Arguments, base: PlannedBase | None) -> dict[str, Any]:
    """Return what the image inherits; warn of build triggers, which nothing inherits.

    Who gives an own `OnBuild`, be it null, or inherits nothing, knows of them.
    """
    if not base or not given.inherit_config:
        return {}
    triggers = build_triggers(base.config, what="fromImage")
    if triggers and "OnBuild" not in (given.config or {}):
        named = ", ".join(triggers[:TRIGGERS_SHOWN]) + ", …" * (len(triggers) > TRIGGERS_SHOWN)
        warn(
            "the base image has instructions for images that are built upon it, which are neither "
            f"run nor inherited ({named}); do yourself what they do, and give config.OnBuild = "
            "null to say so"
        )
    return read_container_config(
        base.config,
        given.inherit_config,
        what="fromImage",
        hint="mend the base image, or leave that key out of inheritConfig",
    )


def fewer_layers(plan: Plan) -> str:
    """Return what to do about too many layers."""
    kept = sum(not isinstance(layer, StoreLayer) for layer in plan.layers)
    if kept < min(MOST_LAYERS, len(plan.layers)):
        return f"set maxLayers to {MOST_LAYERS} or less"
    return "use a base image of fewer layers, such as one that exportImage and copyToRoot make"


def missing_paths(
    given: Arguments, base: PlannedBase | None, own: PlannedLayers, *, directory: str
) -> list[str]:
    """Return the store paths that the configuration names and that no layer has.

    There are none in an image that is meant to have no store, whose graph is empty. Base layers
    are looked into only for what all others lack; `directory` is for what is unpacked of them.
    """
    name = rf"{re.escape(given.store_dir)}/[0-9a-df-np-sv-z]{{32}}-[0-9A-Za-z+._?=-]+"
    named = set(re.findall(name, json.dumps(given.config)))
    missing = named - own.graph.keys() - set(given.made_in_containers)
    if not missing or not any(path in own.graph for path in own.exclude):
        return []
    for layer in own.layers:
        if isinstance(layer, TarLayer):
            entries, _ = read_entries(layer.path)
            missing = {path for path in missing if path.lstrip("/") not in entries}
    if missing and base:
        with open_base(base.layers, directory=directory, what="fromImage") as tree:
            missing = {path for path in missing if not tree or not tree.find(path.lstrip("/"))}
    return sorted(missing)


def output_hash(path: str) -> str:
    """Return the hash in a store path's name, the tag of an image that is given none."""
    return os.path.basename(path).partition("-")[0]
