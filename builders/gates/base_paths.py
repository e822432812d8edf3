"""Store paths in the layers of a base image, of which no plan knows."""

from collections.abc import Collection, Sequence
from typing import Final

from builders.gates.limits import Breach, forbidden_among
from builders.image.layer_kinds import BaseLayer, Layer
from builders.rootfs.base_tree import open_base

_STORE: Final = "nix/store"


def store_paths_of_base(
    layers: Sequence[Layer],
    *,
    directory: str,
    paths: Sequence[str],
    names: Sequence[str],
    known: Collection[str] = (),
) -> list[Breach]:
    """Return which store paths of the base image are among `paths`, or called as one of `names`.

    Those `known` are passed over. What is unpacked goes to files in `directory`.
    """
    base = [layer for layer in layers if isinstance(layer, BaseLayer)]
    with open_base(base or None, directory=directory, what="the base image") as tree:
        store = tree.find(_STORE) if tree else None
    found = (f"/{_STORE}/{name}" for name in sorted((store.children or {}) if store else {}))
    unknown = (path for path in found if path not in known)
    return forbidden_among(unknown, paths=paths, names=names, where="in the base image")
