"""Names of images that are read from registries, and what manifests say of them."""

import json

import pytest

from builders.console.errors import UserError
from builders.registry.destinations import Repository
from builders.registry.remote_images import RemoteReader, read_version_reference
from tests.unit.registry.pushing import client_of

DIGEST = f"sha256:{'a' * 64}"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("text", "registry", "path", "version"),
    [
        ("docker://registry.example/app:1.0", "registry.example", "app", "1.0"),
        ("docker://registry.example:5000/a/b/app", "registry.example:5000", "a/b/app", "latest"),
        ("docker://localhost/app:1", "localhost", "app", "1"),
        ("docker://[::1]:5000/app:1", "[::1]:5000", "app", "1"),
        ("docker://debian:12", "docker.io", "library/debian", "12"),
        ("docker://user/app", "docker.io", "user/app", "latest"),
        (f"docker://registry.example/app@{DIGEST}", "registry.example", "app", DIGEST),
        (f"docker://registry.example/app:1.0@{DIGEST}", "registry.example", "app", DIGEST),
    ],
)
def test_a_name_with_a_tag_or_a_digest_is_read(text, registry, path, version):
    found = read_version_reference(text)
    assert found.repository == Repository(registry, path)
    assert found.version == version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker://", "is no name of an image"),
        ("docker://registry.example/", "is no name of an image"),
        ("docker://registry.example/app:", "ends where its tag should begin"),
        ("docker://registry.example/app:a b", "is no tag of an image"),
        ("docker://registry.example/app@", "has no digest behind its '@'"),
        ("docker://registry.example/app@sha512:ab", "has no digest behind its '@'"),
        ("docker://registry.example:0/app", "names port 0"),
        ("docker://user:secret@registry.example/app", "has no digest behind its '@'"),
        ("docker://https://registry.example/app", "is an address, .*; leave out https://"),
    ],
)
def test_what_is_no_name_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        read_version_reference(text)


def read(registry, tag="1", **more):
    reference = read_version_reference(f"docker://{registry.name(f'app:{tag}')}")
    reader = RemoteReader(client_of(registry), reference.repository)
    return reader.image(reference, architecture="amd64", **more)


def put(registry, tag, document, kind=MANIFEST):
    return registry._store_manifest("app", tag, kind, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": [{}]}, "names 1 layers, and .* 0"),
        ({"layers": 7}, "should be a list"),
        ({"config": 7}, "should be an object"),
        ({"config": {"mediaType": "application/vnd.oci.image.config.v1+json"}}, "digest"),
        ({"layers": None}, None),
    ],
)
def test_odd_manifests_are_told_of_in_one_line(registry, change, said):
    registry.put_image("app", "1", [], [])
    manifest = json.loads(registry.tag("app", "1")[1])
    put(registry, "1", manifest | change)
    if said is None:
        assert read(registry).layers == ()
        return
    with pytest.raises(UserError, match=said) as caught:
        read(registry)
    assert "\n" not in str(caught.value)


def test_an_index_that_leads_to_itself_ends(registry):
    registry.put_image("app", "1", [], [])
    digest = put(registry, "index", {"manifests": []}, kind=INDEX)
    for _ in range(4):
        entry = {"mediaType": INDEX, "digest": digest, "size": 1}
        digest = put(registry, "index", {"manifests": [entry]}, kind=INDEX)
    with pytest.raises(UserError, match="leads from index to index"):
        read(registry, "index")


def test_an_index_of_nothing_is_said(registry):
    put(registry, "index", {"manifests": []}, kind=INDEX)
    with pytest.raises(UserError, match=r"has no image for linux/amd64; .* has: none"):
        read(registry, "index")


def test_what_is_no_json_is_said(registry):
    registry._store_manifest("app", "1", MANIFEST, b"<html>")
    with pytest.raises(UserError, match="is not JSON"):
        read(registry)


def test_a_history_of_other_layers_tells_nothing(registry):
    registry.put_image("app", "1", [], [], config={"history": [{"comment": "a"}, 7, None]})
    assert read(registry).layers == ()
    layers = [(MANIFEST, b"a"), (MANIFEST, b"b")]
    history = [{"comment": "a", "empty_layer": True}, {"comment": "b"}]
    diff_ids = [DIGEST, DIGEST]
    registry.put_image("app", "2", layers, diff_ids, config={"history": history})
    assert [layer.entry for layer in read(registry, "2").layers] == [{}, {}]
    history.append({"comment": "c"})
    registry.put_image("app", "3", layers, diff_ids, config={"history": history})
    assert [layer.entry["comment"] for layer in read(registry, "3").layers] == ["b", "c"]
