"""Store paths in base images."""

from builders.gates.base_paths import store_paths_of_base
from tests.unit.accounts.images import LEFT, archive, two_paths
from tests.unit.support import read_base


def test_what_a_base_image_has_is_forbidden_too(tmp_path):
    (tmp_path / "base.tar").write_bytes(archive(two_paths()))
    layers = read_base(tmp_path / "base.tar").layers

    def found(layers, name, known=()):
        return store_paths_of_base(
            layers, directory=str(tmp_path), paths=[], names=[name], known=known
        )

    (breach,) = found(layers, "left")
    assert breach.what == f"left-2.0 is forbidden, and in the base image: {LEFT}"
    assert found(layers, "leftist") == []
    assert found([], "left") == []
    # The graph has told of it, with its chain.
    assert found(layers, "left", known=[LEFT]) == []
