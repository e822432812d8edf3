"""Plans with a store and a graph of their own, for what is sent, and what a registry has of it."""

import hashlib
import json
import os
import tarfile

from builders.image.layer_kinds import TarLayer
from builders.image.layering import hash_layers
from builders.image.plan import Plan
from builders.image.platform import Platform
from tests.unit.accounts.images import path
from tests.unit.plans import store_layer

PAYLOAD = os.urandom(1 << 15).hex().encode()
"""What is in each store path: compression leaves half of it."""


def planned(directory, references, *, digits=None, salt=b"", store=None, **fields):
    """Write a plan, each store path a layer with a file that names what it refers to.

    `references` are names by name, as in tests.unit.accounts.images; `salt` is in the first one.
    With `store` the paths lie there, where some of them are already.
    """
    directory.mkdir()
    store = store or directory / "store"
    digits = digits or {}
    paths = {
        name: f"{store}/{os.path.basename(path(name, digits.get(name, 'a')))}"
        for name in references
    }
    nodes = []
    for number, (name, held) in enumerate(paths.items()):
        others = [paths[other] for other in references[name]]
        lines = [*map(str.encode, others), b"" if number else salt, name.encode(), PAYLOAD]
        if not os.path.exists(held):
            os.makedirs(held)
            with open(f"{held}/file", "wb") as file:
                file.write(b"\n".join(lines))
        nodes.append(
            {
                "path": held,
                "narSize": sum(map(len, lines)),
                "narHash": "",
                "references": others,
                "layer": len(paths) - 1 - number,
            }
        )
    with tarfile.open(directory / "layer.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("./hello"))
    data = (directory / "layer.tar").read_bytes()
    customisation = TarLayer(
        path=f"{directory}/layer.tar",
        diff_id=f"sha256:{hashlib.sha256(data).hexdigest()}",
        size=len(data),
    )
    layers = [*(store_layer(store, held) for held in reversed(paths.values())), customisation]
    plan = Plan(
        **{
            "name": "test",
            "tag": "tag",
            "platform": Platform("linux", "amd64"),
            "created": "1970-01-01T00:00:01+00:00",
            "mtime": 1,
            "config": {"Cmd": ["/bin/hello"]},
            "layers": hash_layers(layers, graph={}, jobs=2),
            "graph": f"{directory}/graph.json",
            **fields,
        }
    )
    document = {"version": 2, "roots": [nodes[0]["path"]], "paths": nodes}
    (directory / "graph.json").write_text(json.dumps(document))
    (directory / "plan.json").write_text(plan.to_json())
    return plan, f"{directory}/plan.json"
