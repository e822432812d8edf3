"""Builds the image plan of a layered image: `passthru.conf`, the JSON of builders.image.plan."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from builders.closure.graph import Graph, read_graph
from builders.closure.pipeline import read_pipeline
from builders.console.errors import die
from builders.derivations import arguments
from builders.formats.base_image import read_base_image
from builders.image.configuration import config_on, planned_base
from builders.image.layering import assign_layers, hash_layers
from builders.image.plan import NOW, CustomisationLayer, Plan, StoreLayer

_DATE_LENGTH: Final = len("1970-01-01T00:00:01+00:00")
"""Of years with four digits, as ISO 8601 and the image configuration (RFC 3339) have them."""


@dataclass(frozen=True)
class Arguments:
    """What image_plan takes.

    Names are those of streamLayeredImage's attributes. `tag` None stands for the
    hash of the output path; `layering_pipeline` is a list of steps or the name
    of a JSON file that holds one; `customisation_layer` is the output of
    builders.derivations.customisation_layer; `date` the program of coreutils; `closure` the
    graph that exportReferencesGraph gives of the customisation layer and the
    configuration, and `exclude` the paths in it that make no layer.
    """

    image_name: str
    tag: str | None
    from_image: str | None
    config: dict[str, Any] | None
    architecture: str
    created: str
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
    closure: list[dict[str, Any]] = field(default_factory=list)


def main(_: list[str]) -> None:
    """Write the plan to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    plan = make_plan(given, out=build.out, jobs=build.cores)
    with open(build.out, "w", encoding="utf-8") as file:
        file.write(plan.to_json())


def make_plan(given: Arguments, *, out: str, jobs: int) -> Plan:
    """Return the plan; `out` is the output path, `jobs` the number of processes to hash with."""
    created = parse_date(given.created, attribute="created", date=given.date)
    mtime = parse_date(given.mtime, attribute="mtime", date=given.date)
    base = None
    if given.from_image:
        base = read_base_image(given.from_image, architecture=given.architecture, jobs=jobs)
    graph = read_graph(given.closure)
    pipeline = given.layering_pipeline
    plan = Plan(
        repo_tag=f"{given.image_name}:{output_hash(out) if given.tag is None else given.tag}",
        architecture=given.architecture,
        created=created,
        mtime=mtime if mtime == NOW else int(datetime.fromisoformat(mtime).timestamp()),
        uid=given.uid,
        gid=given.gid,
        uname=given.uname,
        gname=given.gname,
        store_dir=given.store_dir,
        config=config_on(base, given.config),
        base=planned_base(base),
        store_layers=assign_layers(
            graph,
            exclude=frozenset(given.exclude),
            max_layers=given.max_layers,
            base_layers=len(base.layers) if base else 0,
            layering=given.layering,
            pipeline=read_pipeline(pipeline) if isinstance(pipeline, str) else pipeline,
            jobs=jobs,
        ),
        customisation_layer=read_customisation_layer(given.customisation_layer),
    )
    if given.debug:
        print_layers(plan.store_layers, graph)
    if plan.mtime == NOW:
        return plan
    layers = hash_layers(
        plan.store_layers,
        graph=graph,
        stamp=plan.stamp(),
        store_dir=plan.store_dir,
        jobs=jobs,
    )
    return plan.with_store_layers(layers)


def print_layers(layers: Sequence[StoreLayer], graph: Graph) -> None:
    """Print what is in each store layer, and how large it is as Nix counts (NAR bytes)."""
    for number, layer in enumerate(layers, 1):
        size = sum(graph[path].nar_size for path in layer.paths)
        print(f"store layer {number}: {len(layer.paths)} paths, {size:,} bytes")
        for path in layer.paths:
            print(f"  {graph[path].nar_size:15,} {path}")
    sys.stdout.flush()


def read_customisation_layer(directory: str) -> CustomisationLayer:
    """Return what the output of builders.derivations.customisation_layer says of its layer."""
    path = os.path.join(directory, "layer.tar")
    with open(os.path.join(directory, "checksum"), encoding="ascii") as file:
        return CustomisationLayer(path=path, digest=file.read().strip(), size=os.stat(path).st_size)


def parse_date(value: str, *, attribute: str, date: str) -> str:
    """Return `value`, any date that coreutils' `date -d` understands, in ISO 8601, or `NOW`."""
    if value == NOW:
        return NOW
    result = subprocess.run(
        [date, "-u", "-Iseconds", "-d", value],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC"},
    )
    time = result.stdout.strip()
    hint = 'give it as ISO 8601, like "2025-01-31T12:00:00Z", or as "now"'
    if result.returncode or not value.strip():
        die(f"{attribute} = {value!r} is no date", hint=hint)
    if len(time) != _DATE_LENGTH:
        die(f"{attribute} = {value!r} is {time}, which no image can have", hint=hint)
    return time


def output_hash(path: str) -> str:
    """Return the hash in a store path's name, the tag of an image that is given none."""
    return os.path.basename(path).partition("-")[0]
