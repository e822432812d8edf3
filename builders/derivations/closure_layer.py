"""Plans the one layer of buildImage: its tar, and the store paths that no lower layer has.

The output is the JSON file of builders.derivations.planned.PlannedLayers.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from builders.closure.graph import read_graph
from builders.derivations import arguments
from builders.derivations.layer_directory import read_tar_layer
from builders.derivations.planned import PlannedBase, PlannedLayers
from builders.image.layer_kinds import TarWithClosure
from builders.layers.tar_with_closure import Closure, hash_closure_layer, read_entries
from builders.layers.tree import MTIME
from builders.layers.walk import walk
from builders.remedies import CHECK_STORE
from builders.rootfs.base_tree import open_base
from builders.rootfs.merge_layers import OPAQUE, WHITEOUT
from builders.rootfs.merged_tree import MergedTree
from builders.rootfs.over_base import check_store


@dataclass(frozen=True)
class Arguments:
    """What closure_layer takes.

    `from_image` is the archive of the base image and `base` the output of base_image; `layer` is
    the output of single_layer. `closure` is the graph that exportReferencesGraph gives of the paths
    in `exclude`, which do not belong to the image.
    """

    from_image: str | None
    base: str | None
    layer: str
    exclude: list[str]
    store_dir: str
    closure: list[dict[str, Any]] = field(default_factory=list)


def main(_: list[str]) -> None:
    """Write the file to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    graph = read_graph(given.closure)
    closure = sorted(graph.keys() - set(given.exclude))
    base = PlannedBase.read(given.base).layers if given.base else None
    what = f"fromImage {given.from_image}"
    with open_base(base, directory=build.top, what=what) as lower:
        if lower and closure:
            check_store(lower.root, given.store_dir, what=what)
        layer = make_layer(given, closure, lower)
    PlannedLayers(layers=(layer,), graph=graph, exclude=given.exclude).write(build.out)


def make_layer(given: Arguments, closure: list[str], lower: MergedTree | None) -> TarWithClosure:
    """Return the layer: the tree, and the paths of `closure` that `lower` lacks."""
    path = read_tar_layer(given.layer).path
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
    digest, size = hash_closure_layer(path, appended, hint=CHECK_STORE)
    return TarWithClosure(path=path, diff_id=f"sha256:{digest}", size=size, closure=appended)


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
