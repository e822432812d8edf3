"""Plans the one layer of buildImage: its tar, and the store paths that the base image lacks.

The output is the JSON file of builders.derivations.planned.PlannedLayers.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from builders.closure.graph import read_graph
from builders.derivations import arguments
from builders.derivations.layer_directory import read_tar_layer
from builders.derivations.planned import PlannedLayers, PlannedStore
from builders.image.layer_kinds import TarWithClosure
from builders.layers.tar_with_closure import Closure, hash_closure_layer, read_entries
from builders.layers.tree import MTIME
from builders.remedies import CHECK_STORE
from builders.rootfs.merge_layers import OPAQUE, WHITEOUT
from builders.rootfs.merged_tree import MergedTree
from builders.rootfs.over_base import check_store
from builders.rootfs.tree_names import read_names


@dataclass(frozen=True)
class Arguments:
    """What closure_layer takes.

    `from_image` is the archive of the base image, `base_names` and `base_store` are the outputs of
    the derivation of that name; `layer` is the output of single_layer. `closure` is the graph that
    exportReferencesGraph gives of the paths in `exclude`, which do not belong to the image.
    """

    from_image: str | None
    base_names: str | None
    base_store: str | None
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
    base = MergedTree((), read_names(given.base_names)) if given.base_names else None
    if base and closure:
        check_store(base.root, given.store_dir, what=f"fromImage {given.from_image}")
    held = PlannedStore.read(given.base_store).held(graph) if given.base_store else {}
    path = read_tar_layer(given.layer).path
    present, offset = read_entries(path)
    held = {name: layer for name, layer in held.items() if not is_deleted(name[1:], present)}
    appended = Closure(
        paths=(paths := tuple(name for name in closure if name not in held)),
        parents=parents_of(given.store_dir, base, present) if paths else (),
        present=present,
        offset=offset,
        mtime=MTIME,
    )
    digest, size = hash_closure_layer(path, appended, hint=CHECK_STORE)
    layer = TarWithClosure(path=path, diff_id=f"sha256:{digest}", size=size, closure=appended)
    PlannedLayers(layers=(layer,), graph=graph, exclude=given.exclude, held=held).write(build.out)


def parents_of(
    store_dir: str, base: MergedTree | None, present: Collection[str]
) -> tuple[str, ...]:
    """Return the directories that come before store paths behind the layer of `present`."""
    store = store_dir.strip("/")
    there = base.find(store) if base else None
    # A link that leads nowhere is replaced: `check_store` warns of it.
    if there and there.children is not None and not is_deleted(store, present):
        return ()
    parts = store.split("/")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    # No name may be twice in a layer: Docker refuses to load it.
    return tuple(name for name in above if name not in present)


def is_deleted(name: str, present: Collection[str]) -> bool:
    """Whether whiteouts among the names `present` of a layer delete `name` from lower ones."""
    parts = name.split("/")
    for number, part in enumerate(parts):
        directory = "".join(f"{part}/" for part in parts[:number])
        if f"{directory}{WHITEOUT}{part}" in present or f"{directory}{OPAQUE}" in present:
            return True
    return False
