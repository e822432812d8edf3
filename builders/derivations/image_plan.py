"""Makes the plan of an image: `passthru.conf`, the JSON of builders.image.plan.

The second output is the graph of the closure, as it lies beside a plan.
"""

import os
from dataclasses import dataclass
from typing import Any

from builders.console.errors import writing
from builders.derivations import arguments
from builders.derivations.planned import PlannedBase, PlannedLayers
from builders.image.configuration import overlay_config
from builders.image.dates import NOW, parse_date, parse_time
from builders.image.plan import Plan, graph_to_json
from builders.image.platform import LINUX, Platform


@dataclass(frozen=True)
class Arguments:
    """What image_plan takes.

    Names are those of the functions' attributes. `base` is the output of base_image, `layers` that
    of store_layers or closure_layer. Where `tag` is None, the tag is the hash in the path of this
    output, or, with `tag_by_archive`, in that of the image's archive. `date` is the program of
    coreutils.
    """

    image_name: str
    tag: str | None
    tag_by_archive: bool
    config: dict[str, Any] | None
    architecture: str
    created: str
    mtime: str
    base: str | None
    layers: str
    date: str


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
        platform=Platform(os=LINUX, architecture=given.architecture),
        created=parse_date(given.created, what="created", date=given.date),
        mtime=NOW if mtime is None else mtime,
        config=overlay_config(base.config.get("config") or {}, given.config)
        if base
        else given.config,
        layers=(*(base.layers if base else ()), *own.layers),
        graph=graph,
    )
    with writing(build.out), open(build.out, "w", encoding="utf-8") as file:
        file.write(plan.to_json())
    with writing(graph), open(graph, "w", encoding="utf-8") as file:
        file.write(graph_to_json(own.graph, plan.layers, exclude=own.exclude))


def output_hash(path: str) -> str:
    """Return the hash in a store path's name, the tag of an image that is given none."""
    return os.path.basename(path).partition("-")[0]
