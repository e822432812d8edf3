"""Plans of small images, with a store of their own."""

import hashlib
import os
import tarfile
from dataclasses import replace

from builders.image.layer_kinds import StoreLayer, TarLayer
from builders.image.layering import hash_layers
from builders.image.plan import Plan
from builders.image.platform import Platform


def make_plan(directory, contents=None, **fields):
    """Return a plan of store layers in `directory`, with a customisation layer.

    `contents` are those of the one file in each store path, by the path's name.
    """
    if contents is None:
        contents = {"aaa-small": os.urandom(10), "bbb-large": os.urandom(3 << 20)}
    store = directory / "store"
    layers = []
    for name, content in contents.items():
        path = store / name
        path.mkdir(parents=True)
        (path / "file").write_bytes(content)
        layers.append(store_layer(store, str(path)))
    layer = directory / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.addfile(tarfile.TarInfo("./hello"))
    layers.append(
        TarLayer(
            path=str(layer),
            diff_id=f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}",
            size=layer.stat().st_size,
        )
    )
    plan = Plan(
        **{
            "name": "test",
            "tag": "tag",
            "platform": Platform("linux", "amd64"),
            "created": "1970-01-01T00:00:01+00:00",
            "mtime": 1,
            "config": {"Cmd": ["/bin/hello"]},
            "layers": tuple(layers),
            **fields,
        }
    )
    return replace(plan, layers=hash_layers(plan.layers, graph={}, jobs=2))


def store_layer(store, path, *, mtime=1):
    return StoreLayer(
        paths=(path,),
        mtime=mtime,
        uid=0,
        gid=0,
        uname="root",
        gname="root",
        store_dir=str(store),
    )
