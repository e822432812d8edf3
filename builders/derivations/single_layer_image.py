"""Builds the image of buildImage: the base image's layers, and one with all that is new."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from builders.closure.graph import read_graph
from builders.derivations import arguments
from builders.derivations.image_plan import output_hash, parse_date
from builders.formats.base_image import BaseImage
from builders.formats.image_file import write_image_file
from builders.image.configuration import config_on, planned_base
from builders.image.plan import CustomisationLayer, Plan
from builders.layers.tar_with_closure import Closure, hash_closure_layer, read_entries
from builders.layers.tree import MTIME
from builders.layers.walk import walk
from builders.rootfs.base_tree import open_base
from builders.rootfs.merged import OPAQUE, WHITEOUT, MergedTree


@dataclass(frozen=True)
class Arguments:
    """What single_layer_image takes.

    Names are those of buildImage's attributes. `tag` None stands for the hash of the output path;
    `layer` is the output of single_layer, `closure` its closure; `date` the program of coreutils.
    """

    image_name: str
    tag: str | None
    architecture: str
    config: dict[str, Any] | None
    created: str
    from_image: str | None
    from_image_name: str | None
    from_image_tag: str | None
    layer: str
    store_dir: str
    compressor: str
    compression_level: int | None
    date: str
    closure: list[dict[str, Any]] = field(default_factory=list)


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    closure = sorted(path for path in read_graph(given.closure) if path != given.layer)
    with open_base(
        given.from_image,
        name=given.from_image_name,
        tag=given.from_image_tag,
        architecture=given.architecture,
        jobs=build.cores,
        directory=build.top,
    ) as (base, lower):
        layer = make_layer(given, closure, lower)
    write_image_file(
        make_plan(given, layer, base, out=build.out),
        build.out,
        compressor=given.compressor,
        level=given.compression_level,
        jobs=build.cores,
    )


def make_layer(
    given: Arguments, closure: list[str], lower: MergedTree | None
) -> CustomisationLayer:
    """Return the layer: the tree, and the paths of `closure` that `lower` lacks."""
    path = os.path.join(given.layer, "layer.tar")
    present, offset = read_entries(path)
    paths = [store_path for store_path in closure if not has(lower, store_path, present)]
    store = given.store_dir.strip("/")
    parents = []
    if paths and not (lower and lower.find(store) and not is_deleted(store, present)):
        parts = store.split("/")
        above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
        # No name may be twice in a layer: Docker refuses to load it.
        parents = [name for name in above if name not in present]
    appended = Closure(
        paths=tuple(paths),
        parents=tuple(parents),
        present=present,
        offset=offset,
        mtime=MTIME,
    )
    digest, size = hash_closure_layer(path, appended)
    return CustomisationLayer(path=path, digest=digest, size=size, closure=appended)


def has(lower: MergedTree | None, store_path: str, present: Collection[str]) -> bool:
    """Whether `lower` has all files of the store path, and the layer of `present` leaves it."""
    return (
        lower is not None
        and all(lower.find(path.lstrip("/")) for path, _ in walk(store_path))
        and not is_deleted(store_path.lstrip("/"), present)
    )


def is_deleted(name: str, present: Collection[str]) -> bool:
    """Whether whiteouts among the names `present` of a layer delete `name` from lower ones."""
    parts = name.split("/")
    for number, part in enumerate(parts):
        directory = "".join(f"{part}/" for part in parts[:number])
        if f"{directory}{WHITEOUT}{part}" in present or f"{directory}{OPAQUE}" in present:
            return True
    return False


def make_plan(
    given: Arguments, layer: CustomisationLayer, base: BaseImage | None, *, out: str
) -> Plan:
    """Return the plan of the image."""
    return Plan(
        repo_tag=f"{given.image_name}:{output_hash(out) if given.tag is None else given.tag}",
        architecture=given.architecture,
        created=parse_date(given.created, attribute="created", date=given.date),
        mtime=MTIME,
        uid=0,
        gid=0,
        uname="root",
        gname="root",
        store_dir=given.store_dir,
        config=config_on(base, given.config),
        base=planned_base(base),
        store_layers=(),
        customisation_layer=layer,
    )
