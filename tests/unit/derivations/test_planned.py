"""What one derivation plans comes back in the next one."""

import json

from builders.closure.graph import read_graph
from builders.derivations.planned import PlannedLayers, PlannedStore
from builders.rootfs.base_store import HeldPath

SHA256 = "20fb0d405f1c8cfec06a3a356d7fc1f671c241a581c5b40de6350d8ea3ede64c"
BASE32 = "0k76xniqw39mwq6v9ic1lm0w4wgnq5znsd9sdb0gx30wbx00vyr0"


def graph(**hashes):
    return read_graph(
        [
            {"path": f"/nix/store/{name}", "narHash": found, "narSize": 1, "references": []}
            for name, found in hashes.items()
        ]
    )


def test_a_path_is_held_where_its_hash_is_that_of_the_graph(tmp_path):
    store = PlannedStore(
        {f"/nix/store/{name}": HeldPath(SHA256, layer) for name, layer in (("a", 3), ("b", None))}
    )
    store.write(str(tmp_path / "store"))
    read = PlannedStore.read(str(tmp_path / "store"))
    assert read == store
    for spelling in (f"sha256:{BASE32}", f"sha256:{SHA256}"):
        held = read.held(graph(a=spelling, b=spelling, c=spelling))
        assert held == {"/nix/store/a": 3, "/nix/store/b": None}
    assert read.held(graph(a=f"sha256:{52 * '0'}", b="")) == {}
    assert json.loads((tmp_path / "store").read_text())["/nix/store/a"] == {
        "sha256": SHA256,
        "layer": 3,
    }


def test_layers_come_back_with_what_the_base_image_holds(tmp_path):
    held = {"/nix/store/a": 3, "/nix/store/b": None}
    layers = PlannedLayers(layers=(), graph=graph(a="", b=""), exclude=["/x"], held=held)
    layers.write(str(tmp_path / "layers"))
    assert PlannedLayers.read(str(tmp_path / "layers")) == layers
