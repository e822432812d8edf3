"""Explaining archives and layouts, of ours and of others."""

import gzip

import pytest

from builders.accounts.account import account_of
from builders.accounts.archives import known_archive
from builders.accounts.known import Evidence
from builders.console.errors import UserError
from tests.unit.accounts.images import LEFT, RIGHT, archive, layer_tar, path, two_paths
from tests.unit.archives import config, dump, entry, oci_image, oci_members, sha256, tar


def known(directory, data):
    file = directory / "image.tar"
    file.write_bytes(data)
    return known_archive(str(file), what=str(file))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_the_graph_of_an_archive_is_found_in_its_bytes(tmp_path, compress):
    found = known(tmp_path, compress(archive(two_paths())))
    assert found.graph[LEFT].references == (RIGHT,)
    assert found.graph[RIGHT].references == ()
    assert found.roots == (LEFT,)
    assert found.evidence[(LEFT, RIGHT)] == Evidence(f"{LEFT}/bin/left", 111)
    assert (found.name, found.platform, found.measure) == ("app:1", "linux/amd64", "tar")
    account = account_of(found)
    own = sum(one.own for one in account.paths.values())
    assert own + sum(layer.other for layer in account.layers) == account.size
    assert account.size == sum(map(len, two_paths()))


def test_a_path_that_the_configuration_names_is_a_root(tmp_path):
    found = known(tmp_path, archive(two_paths(), config={"Cmd": [f"{RIGHT}/file"]}))
    assert set(found.roots) == {LEFT, RIGHT}


def test_an_image_without_a_store_is_shown_by_directories(tmp_path):
    files = layer_tar({"usr/lib/libc.so": b"x" * 2000, "etc/passwd": b""})
    found = known(tmp_path, archive([files]))
    assert found.graph is None
    assert found.layers[0].directories == {"/usr/lib": 2560, "/etc": 512}
    assert found.unknown == ("no layer has a store path: there is no closure to explain",)


def test_of_several_images_it_is_said_which_one_is_meant(tmp_path):
    layer = layer_tar({"file": b""})
    document = dump(config([layer]))
    names = [["app:1", "app:latest"], ["other:2"], [], ["c:3"], ["d:4"], ["e:5"]]
    members = {
        "layer.tar": layer,
        "config.json": document,
        "manifest.json": dump([entry("config.json", ["layer.tar"], tags) for tags in names]),
    }
    found = known(tmp_path, layer_tar(members))
    assert (found.name, found.unknown[0]) == (
        "app:1",
        "this is one of 6 images; there are other:2, one without a name, c:3, 2 more, too, and "
        "--name or --architecture chooses another",
    )


def layout(directory, layers, stored=None):
    for name, data in oci_members([(oci_image(layers, stored=stored), {})]):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return str(directory)


def test_a_layout_is_read_as_an_archive_and_knows_compressed_sizes(tmp_path):
    layers = two_paths()
    stored = [gzip.compress(layer, mtime=0) for layer in layers]
    found = known_archive(layout(tmp_path / "layout", layers, stored), what="it")
    assert found.source == "layout"
    assert [layer.blob_size for layer in found.layers] == list(map(len, stored))
    assert [layer.blob for layer in found.layers] == [f"sha256:{sha256(data)}" for data in stored]
    assert found.graph[LEFT].references == (RIGHT,)
    plain = known_archive(layout(tmp_path / "plain", layers), what="it")
    assert [layer.blob_size for layer in plain.layers] == list(map(len, layers))
    archived = tmp_path / "image.tar"
    archived.write_bytes(tar(oci_members([(oci_image(layers, stored=stored), {})])))
    assert known_archive(str(archived), what="it").graph == found.graph


def test_a_layer_that_is_damaged_in_a_layout_is_named(tmp_path):
    layers = two_paths()
    directory = layout(tmp_path / "layout", layers)
    (tmp_path / f"layout/blobs/sha256/{sha256(layers[0])}").write_bytes(layers[1])
    with pytest.raises(UserError, match=sha256(layers[0])):
        known_archive(directory, what="it")


def test_a_directory_that_is_no_layout_is_refused(tmp_path):
    with pytest.raises(UserError, match="is a directory, and no OCI layout"):
        known_archive(str(tmp_path), what="it")


def test_paths_that_name_each_other_have_no_graph(tmp_path):
    one, other = path("one"), path("other")
    layer = layer_tar({f"{one}/x": f"{other}/x".encode(), f"{other}/x": f"{one}/x".encode()})
    found = known(tmp_path, archive([layer]))
    assert found.graph is None
    assert found.unknown == ("paths of the image refer to each other in a circle",)


def test_configurations_that_say_odd_things_are_read(tmp_path):
    document = {"config": {"Env": None}, "os": 3, "history": []}
    found = known(tmp_path, archive(two_paths(), **document))
    assert found.platform is None
    assert dump(dict(found.config)) == b'{"Env": null}'


def test_an_image_without_a_history_has_no_comments_on_its_layers(tmp_path):
    empty = known(tmp_path, archive([layer_tar({})]))
    assert empty.layers[0].comment == ""
    said = known(tmp_path, archive([layer_tar({})], history=[{"created_by": "RUN x"}]))
    assert said.layers[0].comment == "RUN x"
