"""Merges the layers of a base image, for the layers that are laid over it.

The output is the file of builders.rootfs.tree_names: names, links and directories. The second
output `store` is the JSON file of builders.derivations.planned.PlannedStore: the store paths.
"""

from dataclasses import dataclass

from builders.derivations import arguments
from builders.derivations.planned import PlannedBase, PlannedStore
from builders.rootfs.base_store import held_paths
from builders.rootfs.base_tree import open_base
from builders.rootfs.tree_names import write_names


@dataclass(frozen=True)
class Arguments:
    """What base_names takes: the archive of the base image, and the output of base_image."""

    from_image: str
    base: str
    store_dir: str


def main(_: list[str]) -> None:
    """Write both files to the outputs."""
    build = arguments.load()
    given = build.arguments(Arguments)
    layers = PlannedBase.read(given.base).layers
    with open_base(layers, directory=build.top, what=f"fromImage {given.from_image}") as tree:
        assert tree
        write_names(tree, build.out)
        held = held_paths(tree, given.store_dir, jobs=build.cores)
    PlannedStore(held).write(build.attributes["outputs"]["store"])
