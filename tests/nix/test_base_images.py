"""Base images that are none, as a user meets them: the end of a failed build."""

import json
import re

import pytest

from tests.nix.images import NixError, build, nix
from tests.unit.archives import dump, layer, plain_members, tar

LAYERS = [layer("one"), layer("two")]
GOOD = plain_members(LAYERS)


def without(name):
    return tar([member for member in GOOD if member[0] != name])


def manifest():
    return json.loads(dict(GOOD)["manifest.json"])[0]


def with_manifest(**changes):
    members = dict(GOOD) | {"manifest.json": dump([manifest() | changes])}
    return tar(members.items())


def with_layer(data):
    members = dict(GOOD) | {manifest()["Layers"][0]: data}
    return tar(members.items())


def failed_log(path, **arguments):
    """The log of a build on the base image at `path`."""
    attributes = "".join(f"{name} = {value};" for name, value in arguments.items())
    base = f'builtins.path {{ path = {path}; name = "base.tar"; }}'
    with pytest.raises(NixError) as failed:
        build(f'(streamLayeredImage {{ name = "app"; fromImage = {base}; {attributes} }}).conf')
    return failed.value.log


def builder_lines(log):
    """What the builder printed, which Nix repeats under "last … log lines"."""
    assert "Traceback" not in log
    return [line.strip(" >") for line in log.splitlines() if "error: " in line and not is_nix(line)]


def is_nix(line):
    """Whether Nix says it itself: which derivations failed, and which ones need them."""
    return re.search("error: (builder for|build of|[0-9]+ dependencies of derivation) ", line)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: tar(GOOD)[:3000], "is cut off after", id="truncated"),
        pytest.param(lambda: b"no archive at all\n" * 99, "is no tarball", id="no tarball"),
        pytest.param(lambda: b"", "is an empty file", id="empty"),
        pytest.param(lambda: without("manifest.json"), "manifest.json", id="no manifest"),
        pytest.param(
            lambda: without(manifest()["Layers"][1]), manifest()["Layers"][1], id="no layer"
        ),
        pytest.param(
            lambda: without(manifest()["Config"]), manifest()["Config"], id="no configuration"
        ),
        pytest.param(lambda: with_manifest(Layers=7), "Layers", id="Layers is no list"),
        pytest.param(
            lambda: with_manifest(Layers=manifest()["Layers"][:1]), "layer", id="a layer too few"
        ),
        pytest.param(lambda: with_layer(layer("other")), "sha256", id="another layer"),
    ],
)
def test_a_bad_base_image_is_one_clear_line(tmp_path, make, words):
    path = tmp_path / "base.tar"
    path.write_bytes(make())
    lines = builder_lines(failed_log(path))
    assert lines
    assert lines[0].startswith("error: in docker image app: fromImage /nix/store/")
    assert words in lines[0]
    assert "base.tar" in lines[0]
    assert set(lines) == {lines[0]}


def test_a_base_image_that_uses_up_max_layers_says_how_many_it_needs(tmp_path):
    path = tmp_path / "base.tar"
    path.write_bytes(tar(GOOD))
    lines = builder_lines(failed_log(path, maxLayers=3, contents="[ hello ]"))
    assert "maxLayers = 3 leaves no layer for store paths: the base image has 2 layers" in lines[0]
    assert "set maxLayers to 4 or more" in lines[0]


def test_a_base_image_that_is_a_directory_is_refused():
    with pytest.raises(NixError) as failed:
        build('(streamLayeredImage { name = "app"; fromImage = hello; }).conf')
    assert "is a directory" in failed.value.error


def test_a_good_base_image_of_these_is_taken(tmp_path):
    # What all of the above are derived from: they fail for what was changed and nothing else.
    path = tmp_path / "base.tar"
    path.write_bytes(tar(GOOD))
    base = f'builtins.path {{ path = {path}; name = "base.tar"; }}'
    conf = build(f'(streamLayeredImage {{ name = "app"; fromImage = {base}; }}).conf')
    layers = json.loads(conf.read_text())["layers"]
    assert [layer["kind"] for layer in layers] == ["base"] * len(LAYERS) + ["tar"]
    assert nix("nix-store", "-q", "--references", str(conf)).stdout
