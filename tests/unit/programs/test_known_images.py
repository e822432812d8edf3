"""Images of registries, as they are explained and compared."""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
from functools import partial

import jsonschema
import pytest

from builders.blobs.layer_compression import LayerCompression
from builders.console.errors import UserError
from builders.formats.image_sources import Reading, read_source
from builders.formats.image_stream import stream_image
from builders.programs import diff, explain
from builders.registry.client import Client
from tests.unit.accounts.planned import planned
from tests.unit.archives import oci_image, oci_members
from tests.unit.registry.pushing import SOON, client_of, opened, push
from tests.unit.registry.quirks import Fault, Quirks, running
from tests.unit.support import BUILDERS

SCHEMAS = {
    name: json.loads((BUILDERS.parent / f"docs/schemas/{name}.json").read_text())
    for name in ("explain", "diff")
}
OLD = {"app-1.0": ["ssl-3.0"], "ssl-3.0": ["libc-2"], "libc-2": []}
NEW = {"app-1.0": ["ssl-3.1"], "ssl-3.1": ["libc-2"], "libc-2": []}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path_factory):
    """What the user has at home has no say."""
    home = tmp_path_factory.mktemp("home")
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture
def registry():
    with running(Quirks()) as quirks:
        yield quirks


@pytest.fixture
def run(capsys):
    def told(module, *words):
        parser = argparse.ArgumentParser()
        module.configure(parser)
        module.run(parser.parse_intermixed_args(words))
        return capsys.readouterr().out

    return told


@pytest.fixture
def document(run):
    def found(module, *words):
        name = module.__name__.rpartition(".")[2]
        read = json.loads(run(module, *words, "--json"))
        jsonschema.validate(read, SCHEMAS[name])
        return read

    return found


@pytest.fixture
def pushed(registry, tmp_path):
    """The old image in the registry: its plan, the path of that, and its name."""
    plan, file = planned(tmp_path / "old", OLD)
    push(registry, opened(plan))
    return plan, file, f"docker://{registry.name('app:1')}"


def test_manifest_and_history_tell_of_layers_without_reading_them(registry, pushed, document):
    plan, _, name = pushed
    registry.requests.clear()
    found = document(explain, name)
    assert found["source"] == "registry"
    assert [layer["paths"] for layer in found["layers"]] == [
        list(layer.store_paths) for layer in plan.layers
    ]
    manifest = registry.image("app", "1")
    assert [layer["blobSize"] for layer in found["layers"]] == [
        layer["size"] for layer in manifest["layers"]
    ]
    assert found["compressed"] == sum(layer["size"] for layer in manifest["layers"])
    # What nobody has measured is not 0.
    assert {found[key] for key in ("measure", "size", "own", "other", "roots")} == {None}
    assert {one["own"] for one in found["paths"]} == {None}
    assert [request.path.rpartition("/")[2] for request in registry.requests] == [
        "1",
        manifest["config"]["digest"],
    ]


def test_words_about_it_have_no_sizes_that_nobody_knows(pushed, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = run(explain, pushed[2])
    assert "0 B" not in text
    assert "--layers reads the layers, too" in text.replace("\n", " ")
    assert "ssl-3.0" in text
    assert "own bytes" not in run(explain, pushed[2], "ssl")


def test_layers_are_read_where_that_is_asked_for(registry, pushed, document, tmp_path):
    plan, _, name = pushed
    registry.ranges = True
    with open(tmp_path / "image.tar", "wb") as file:
        stream_image(plan, file.fileno(), repo_tag="app:1", jobs=1, moving=False)
    read = document(explain, name, "libc", "--layers", "--files", "--equal-files")
    archived = document(explain, str(tmp_path / "image.tar"), "libc", "--files", "--equal-files")
    for key in ("measure", "size", "own", "other", "roots", "paths", "equalFiles"):
        assert read[key] == archived[key], key
    assert [layer["diffId"] for layer in read["layers"]] == [
        layer["diffId"] for layer in archived["layers"]
    ]
    assert document(explain, name, "libc", "--files")["paths"] == archived["paths"]
    assert len(read["paths"][0]["way"]) == 3
    assert None not in read["paths"][0]["evidence"]


def test_a_plan_is_compared_with_a_registry_as_with_the_plan_of_what_is_there(
    pushed, document, tmp_path
):
    plan, old, name = pushed
    # In the store of the old one: what didn't change has the same path.
    _, new = planned(tmp_path / "old2", NEW, digits={"app-1.0": "b"}, store=tmp_path / "old/store")
    expected, found = document(diff, old, new), document(diff, name, new)
    # The registry knows as well how many digits the sizes of its layers have.
    documents = [one["push"].pop("documents") for one in (expected, found)]
    assert documents[1] == pytest.approx(documents[0], abs=2 * len(plan.layers))
    assert found["push"] == expected["push"]
    assert found["push"]["layers"] == 2
    assert found["causes"] == expected["causes"]
    assert [cause["package"] for cause in found["causes"]] == ["ssl"]
    assert found["layers"] == expected["layers"]
    assert found["config"] == expected["config"] == []
    assert [one["package"] for one in found["packages"]] == ["app", "ssl"]
    # Also of layers that are not sent the registry knows it.
    assert found["pull"]["byChain"]["compressed"] is not None


def test_a_registry_is_compared_with_what_is_newer_there(registry, pushed, document, tmp_path):
    plan, _ = planned(tmp_path / "old2", NEW, digits={"app-1.0": "b"}, store=tmp_path / "old/store")
    push(registry, opened(plan), tags=("2",))
    found = document(diff, pushed[2], pushed[2].replace(":1", ":2"))
    manifest = registry.image("app", "2")
    assert [layer["blobSize"] for layer in found["layers"]] == [
        layer["size"] for layer in manifest["layers"][1:3]
    ]
    assert (found["push"]["size"], found["push"]["layers"]) == (None, 2)
    config = registry.blobs["app"][manifest["config"]["digest"]]
    assert found["push"]["documents"] == len(config) + len(registry.tag("app", "2")[1])


def test_the_same_image_is_no_change(pushed, document, run):
    _, old, name = pushed
    found = document(diff, name, old)
    assert found["push"] == {"layers": 0, "size": 0, "compressed": 0, "documents": 0}
    assert (found["causes"], found["packages"], found["config"]) == ([], [], [])
    assert "push: nothing: the image is the same" in run(diff, name, old)


def test_a_layer_that_is_compressed_in_another_way_is_sent(registry, pushed, document, run):
    _, old, name = pushed
    found = document(diff, name, old, "--compress", "zstd")
    assert found["push"]["layers"] == 4
    assert {layer["recompressed"] for layer in found["layers"]} == {True}
    assert "compressed in another way" in run(diff, name, old, "--compress", "zstd")


def index_of(registry, repository, tag, platforms):
    """Put an index of the images under these tags, by architecture."""
    entries = []
    for architecture, tag_of in platforms.items():
        kind, data = registry.tag(repository, tag_of)
        digest = registry._store_manifest(repository, tag_of, kind, data)
        entries.append(
            {
                "mediaType": kind,
                "digest": digest,
                "size": len(data),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    kind = "application/vnd.oci.image.index.v1+json"
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    registry._store_manifest(repository, tag, kind, json.dumps(document).encode())


def test_of_an_index_the_image_for_this_machine_or_the_one_that_is_named_is_taken(
    registry, pushed, document, run, monkeypatch
):
    plan, old, name = pushed
    push(registry, opened(plan, annotations={"a": "b"}), tags=("arm",))
    index_of(registry, "app", "all", {"amd64": "1", "arm64": "arm"})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    everything = name.replace(":1", ":all")
    text = " ".join(run(explain, everything).split())
    assert "is an index for linux/amd64, linux/arm64" in text
    assert "--architecture chooses another" in text
    registry.requests.clear()
    run(explain, everything, "--architecture", "arm64")
    asked = registry.requests[1].path.rpartition("/")[2]
    assert registry.manifests["app"][asked] == registry.tag("app", "arm")
    # The other side says what is meant, where nobody else does.
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert document(diff, everything, old)["push"]["layers"] == 0
    said = r"has no image for linux/riscv64; choose with --architecture of those that it has: linux"
    with pytest.raises(UserError, match=said):
        run(explain, everything)


def test_parts_of_a_layer_are_asked_for_again_where_they_fail(registry, tmp_path, document):
    registry.ranges = True
    plan, _ = planned(tmp_path / "old", {"app-1.0": []}, salt=bytes(range(256)) * (1 << 15))
    push(registry, opened(plan, LayerCompression("none")))
    registry.faults.append(Fault("GET", f"blobs/{plan.layers[0].diff_id}", "reset"))
    found = document(explain, f"docker://{registry.name('app:1')}", "--layers")
    assert found["layers"][0]["size"] > 8 << 20
    assert len(registry.seen("GET", plan.layers[0].diff_id)) == 4


def test_a_registry_that_gives_no_parts_gives_small_layers_whole(registry, pushed, document):
    assert document(explain, pushed[2], "--layers")["measure"] == "tar"


def test_images_of_others_are_told_of_as_far_as_they_say(registry, run):
    layer = io.BytesIO(b"x" * 100).getvalue()
    registry.put_image(
        "other",
        "1",
        [("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        [f"sha256:{'1' * 64}"],
        config={"history": [{"created_by": "RUN \x1b[31mapt"}], "os": "linux"},
    )
    text = " ".join(run(explain, f"docker://{registry.name('other:1')}").split())
    assert "files: RUN" in text
    assert "\x1b" not in text
    assert "names no store paths" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("app:2", "has no such image of .*app .*; check its tag or digest"),
        ("else:1", "has no such image"),
        ("app@sha256:12", "has no digest behind its '@'"),
        ("app:", "ends where its tag should begin"),
        ("App:1", "has letters in upper case"),
        (f"app@sha256:{'0' * 64}", "has no such image"),
    ],
)
def test_what_is_not_there_or_no_name_is_said(registry, pushed, run, name, said):
    with pytest.raises(UserError, match=said) as caught:
        run(explain, f"docker://{registry.name(name)}")
    assert "push" not in caught.value.hint


def test_by_its_digest_the_very_image_is_read(registry, pushed, document):
    _, data = registry.tag("app", "1")
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    name = f"docker://{registry.name('app:whatever')}@{digest}"
    assert document(explain, name)["name"] == f"{registry.name('app')}@{digest}"
    registry.manifests["app"][digest] = (registry.tag("app", "1")[0], data + b" ")
    with pytest.raises(UserError, match=f"other bytes .* than those of {digest}"):
        document(explain, name)


@pytest.mark.parametrize("what", ["config", "layer"])
def test_other_bytes_than_those_of_the_digest_are_an_error(registry, pushed, run, what):
    manifest = registry.image("app", "1")
    digest = {"config": manifest["config"], "layer": manifest["layers"][1]}[what]["digest"]
    # A byte of the header of gzip says which system wrote it, and nothing else.
    data = bytearray(registry.blobs["app"][digest])
    data[9] ^= 1
    registry.blobs["app"][digest] = bytes(data)
    with pytest.raises(UserError, match=f"the registry .* has other bytes for .* of {digest}"):
        run(explain, pushed[2], "--layers")


def test_who_may_not_read_is_told_to_log_in(registry, pushed, run):
    registry.users = {"user": "secret"}
    with pytest.raises(UserError, match=r"refused to give an image of .*; log in with"):
        run(explain, pushed[2])


def test_a_registry_that_fails_is_asked_again_and_then_later(registry, pushed, run, monkeypatch):
    soon = partial(Client, pauses=SOON)
    monkeypatch.setattr("builders.programs.registry_access.Client", soon)
    registry.faults.append(Fault("GET", "manifests", 503, times=100))
    registry.requests.clear()
    with pytest.raises(UserError, match=r"\(HTTP status 503\); try again later"):
        run(explain, pushed[2])
    assert len(registry.seen("GET", "manifests/1")) == 1 + len(SOON)


def test_graph_and_blobs_are_those_of_plans(registry, pushed, run):
    with pytest.raises(UserError, match="graph and blobs are those of a plan"):
        run(explain, pushed[2], "--graph", pushed[1])


def test_what_is_no_image_is_said(registry, run):
    registry.blobs["app"] = {}
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2}
    config["digest"] = f"sha256:{'1' * 64}"
    manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    registry._store_manifest("app", "chart", kind, manifest)
    with pytest.raises(UserError, match="is no image that can be explained: it is of the type"):
        run(explain, f"docker://{registry.name('app:chart')}")
    old = json.dumps({"schemaVersion": 1, "fsLayers": []}).encode()
    registry._store_manifest("app", "old", "application/json", old)
    with pytest.raises(UserError, match="it has no configuration"):
        run(explain, f"docker://{registry.name('app:old')}")


def test_layers_that_a_layout_has_as_blobs_are_sent_as_they_are(
    registry, pushed, document, tmp_path
):
    plan, _, name = pushed
    with open(tmp_path / "image.tar", "wb") as file:
        stream_image(plan, file.fileno(), repo_tag="app:1", jobs=1, moving=False)
    with tarfile.open(tmp_path / "image.tar") as archive:
        tars = [
            archive.extractfile(f"{layer.diff_id[7:]}/layer.tar").read() for layer in plan.layers
        ]
    # By another compressor than ours, but for the first layer.
    manifest = registry.image("app", "1")
    first = registry.blobs["app"][manifest["layers"][0]["digest"]]
    stored = [first, *(gzip.compress(data, 1, mtime=0) for data in tars[1:])]
    for member, data in oci_members([(oci_image(tars, stored=stored), {})]):
        (tmp_path / "layout" / member).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "layout" / member).write_bytes(data)
    found = document(diff, name, str(tmp_path / "layout"))["push"]
    assert (found["layers"], found["compressed"]) == (3, sum(map(len, stored[1:])))
    client = client_of(registry)
    source = read_source(str(tmp_path / "layout"), Reading(None, "amd64", 1, "")).source
    push(registry, source, client=client)
    assert found["compressed"] + found["documents"] == client.transport.sent


def test_of_layers_that_others_compressed_the_manifest_says_less(
    registry, pushed, document, tmp_path
):
    """As a push writes it: there is no word of our compressor, whose bytes these are not."""
    _, _, name = pushed
    kind, data = registry.tag("app", "1")
    manifest = json.loads(data)
    for layer in manifest["layers"]:
        del layer["annotations"]
    registry._store_manifest("app", "1", kind, json.dumps(manifest).encode())
    plan, new = planned(tmp_path / "n", NEW, digits={"app-1.0": "b"}, store=tmp_path / "old/store")
    found = document(diff, name, new)["push"]
    client = client_of(registry)
    push(registry, opened(plan), client=client)
    assert found["compressed"] + found["documents"] == client.transport.sent


def test_packages_are_not_said_to_be_new_where_the_history_names_none(
    registry, pushed, document, run
):
    _, new, name = pushed
    kind, data = registry.tag("app", "1")
    manifest = json.loads(data)
    config = json.loads(registry.blobs["app"][manifest["config"]["digest"]])
    config["history"] = [{"comment": "customisation layer"}] * 4
    config = json.dumps(config).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    registry.blobs["app"][digest] = config
    manifest["config"] |= {"digest": digest, "size": len(config)}
    registry._store_manifest("app", "1", kind, json.dumps(manifest).encode())
    found = document(diff, name, new)
    assert found["push"]["layers"] == 0
    assert found["push"]["documents"] > 0
    other, _ = planned(new_directory(new), NEW)
    push(registry, opened(other), tags=("2",))
    found = document(diff, name, name.replace(":1", ":2"))
    assert found["push"]["layers"] == 3
    assert (found["causes"], found["packages"]) == ([], [])
    assert "names no store paths" in " ".join(found["unknown"])
    assert "libc-2" in run(diff, name, name.replace(":1", ":2"))


def new_directory(file):
    return pathlib.Path(file).parent.parent / "another"
