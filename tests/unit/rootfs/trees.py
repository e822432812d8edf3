"""Base images in memory and layers on disk, for tests of what lies over what."""

import os
import pathlib

from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile, MergedTree
from tests.unit.archives import tar


def merged_tree(tmp_path: pathlib.Path, *layers) -> MergedTree:
    """The merged tree of layers, each a list of (name, content) pairs; contents can't be read."""
    files = []
    for number, layer in enumerate(layers):
        data = tar(layer)
        path = tmp_path / f"base{number}"
        path.write_bytes(data)
        files.append(LayerFile(os.open(path, os.O_RDONLY), 0, len(data), what=f"layer {number}"))
    try:
        return merge_layers(files)
    finally:
        for file in files:
            os.close(file.fd)


def make_tree(root: pathlib.Path, **files) -> pathlib.Path:
    """Make files below `root`: text, a tuple for a symlink's target, None for a directory.

    "__" in a name stands for a slash.
    """
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, tuple):
            path.symlink_to(*content)
        else:
            path.write_text(content)
    return root


def show_tree(root: pathlib.Path) -> dict[str, object]:
    """What `make_tree` would be given for the tree, directories only where they are empty."""
    found: dict[str, object] = {}
    for directory, names, more in os.walk(root):
        here = pathlib.Path(directory)
        for name in [*names, *more]:
            path = here / name
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = f"-> {path.readlink()}"
            elif path.is_file():
                found[key] = path.read_text()
            elif not any(path.iterdir()):
                found[key] = None
    return found
