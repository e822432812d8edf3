"""Pushes as a whole: what is sent and what is not, in which order, and what ends them."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from builders.blobs.compressed_layers import CompressedLayers, compress_layers
from builders.blobs.diagnosis import Diagnosis
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import open_index
from builders.console.errors import UserError
from builders.image.layer_kinds import BaseLayer, StoredBytes
from builders.image.layering import hash_layers
from builders.image.platform import Platform
from builders.layers.resources import Resources
from builders.registry.credentials import Credentials
from builders.registry.destinations import Repository
from builders.registry.digest_cache import DigestCache
from builders.registry.supply import Supply
from builders.registry.survey import MountSource, Status
from tests.unit.plans import make_plan, store_layer
from tests.unit.registry.pushing import GZ, opened, push
from tests.unit.registry.quirks import Fault
from tests.unit.support import BUILDERS, Collected

USER = Credentials("user", "secret-password")


def statuses(report):
    return [blob.status for blob in report.blobs]


def uploaded(registry):
    """How many blobs were sent."""
    return len([r for r in registry.seen("PUT", "/blobs/uploads/") if r.status == 201])


class Watching(Supply):
    """Remembers in `asked` what is to be there."""

    def __init__(self, asked):
        self._asked = asked

    @contextmanager
    def ready(self, layer, *, among_others=False):
        self._asked += layer.needs
        yield {}


def known_layers(plan):
    blobs = compress_layers(plan, GZ, jobs=2)
    return CompressedLayers(GZ, None, tuple(blob.descriptor for blob in blobs))


def test_an_image_arrives_whole_with_its_manifest_last(registry, plan):
    report = push(registry, opened(plan))
    manifest = registry.image("app", "1")
    assert [layer["digest"] for layer in manifest["layers"]] == [
        blob.digest for blob in report.blobs[:-1]
    ]
    assert registry.requests[-1].method == "PUT"
    assert registry.requests[-1].path == "/v2/app/manifests/1"
    data = registry.manifests["app"]["1"][1]
    assert report.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    for layer, planned in zip(manifest["layers"], plan.layers, strict=True):
        plain = gzip.decompress(registry.blobs["app"][layer["digest"]])
        assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == planned.diff_id


def test_pushing_again_takes_a_request_where_layers_are_known(registry, plan, tmp_path):
    cache = DigestCache(str(tmp_path / "cache"))
    first = push(registry, opened(plan), cache=cache)
    registry.requests.clear()
    second = push(registry, opened(plan), cache=cache)
    assert second.digest == first.digest
    assert [r.method for r in registry.requests] == ["GET"]


def test_pushing_again_on_another_machine_compresses_nothing(registry, plan):
    first = push(registry, opened(plan))
    for layer in plan.layers:
        for path in layer.needs:
            shutil.rmtree(path, ignore_errors=True)
    registry.requests.clear()
    second = push(registry, opened(plan))
    assert second.digest == first.digest
    assert len(registry.requests) == 1
    assert set(statuses(second)) == {Status.PRESENT}


def test_after_a_change_only_what_changed_is_sent_and_read(registry, plan, tmp_path):
    push(registry, opened(plan))
    changed = tmp_path / "store/ccc-changed"
    changed.mkdir()
    (changed / "file").write_bytes(os.urandom(1000))
    shutil.rmtree(plan.layers[1].paths[0])
    layers = (store_layer(tmp_path / "store", str(changed)), *plan.layers[1:])
    plan = replace(plan, layers=hash_layers(layers, graph={}, jobs=1))
    registry.requests.clear()
    report = push(registry, opened(plan))
    registry.image("app", "1")
    assert statuses(report) == [Status.SENT, Status.PRESENT, Status.PRESENT, Status.SENT]
    # The tag, its configuration, the layer and the configuration, and the manifest.
    assert len(registry.requests) == 1 + 1 + 2 + 2 + 1
    assert registry.received < 5000


def test_of_a_tag_that_is_new_the_latest_image_tells(registry, plan):
    first = push(registry, opened(plan), tags=("latest",))
    registry.requests.clear()
    second = push(registry, opened(plan), tags=("2",))
    assert second.digest == first.digest
    assert uploaded(registry) == 0
    assert registry.tag("app", "2")


def test_all_tags_get_the_image(registry, plan):
    push(registry, opened(plan), tags=("1",))
    registry.requests.clear()
    push(registry, opened(plan), tags=("1", "1.0", "latest"))
    assert registry.tag("app", "1.0") == registry.tag("app", "latest") == registry.tag("app", "1")
    assert [r.path for r in registry.seen("PUT")] == [
        "/v2/app/manifests/1.0",
        "/v2/app/manifests/latest",
    ]


def pushed_by_docker(registry, plan):
    """Store the layers of `plan` as `docker push` compresses them."""
    layers = []
    for layer in plan.layers:
        sink = Collected()
        with Resources(helpers=0) as resources:
            layer.write(sink, resources)
        plain = gzip.compress(sink.data, 1, mtime=0)
        layers.append(("application/vnd.docker.image.rootfs.diff.tar.gzip", plain))
    return registry.put_image(
        "app",
        "1",
        layers,
        [layer.diff_id for layer in plan.layers],
        media_type="application/vnd.docker.distribution.manifest.v2+json",
    )


def test_layers_that_docker_pushed_are_not_sent_again(registry, plan):
    described = pushed_by_docker(registry, plan)
    report = push(registry, opened(plan))
    assert statuses(report)[:-1] == [Status.PRESENT] * 3
    manifest = registry.image("app", "1")
    assert [layer["digest"] for layer in manifest["layers"]] == [d["digest"] for d in described]
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }


def test_exact_sends_them_and_makes_the_image_that_an_empty_registry_would_get(
    registry, registry_with, plan
):
    pushed_by_docker(registry, plan)
    report = push(registry, opened(plan), exact=True)
    assert statuses(report)[:-1] == [Status.SENT] * 3
    assert report.digest == push(registry_with(), opened(plan)).digest


def test_layers_in_another_compression_are_not_taken(registry, plan):
    push(registry, opened(plan))
    report = push(registry, opened(plan, LayerCompression("zstd")))
    assert statuses(report)[:-1] == [Status.SENT] * 3
    kinds = {layer["mediaType"] for layer in registry.image("app", "1")["layers"]}
    assert kinds == {"application/vnd.oci.image.layer.v1.tar+zstd"}


def test_layers_whose_digests_were_found_in_a_build_are_looked_for_and_not_made(registry, plan):
    known = known_layers(plan)
    push(registry, opened(plan), tags=("other",))
    for layer in plan.layers:
        for path in layer.needs:
            shutil.rmtree(path, ignore_errors=True)
    registry.requests.clear()
    report = push(registry, opened(plan, known=known), tags=("2",))
    assert statuses(report)[:-1] == [Status.PRESENT] * 3
    assert len(registry.seen("HEAD")) == 3


def test_layers_of_a_sibling_repository_are_mounted(registry, plan):
    first = push(registry, opened(plan))
    registry.requests.clear()
    sibling = MountSource(Repository(registry.address, "app"))
    report = push(registry, opened(plan), "other", sources=[sibling])
    assert report.digest == first.digest
    assert statuses(report)[:-1] == [Status.MOUNTED] * 3
    assert uploaded(registry) == 1
    registry.image("other", "1")


@pytest.mark.parametrize("attributes", [{"mounts": False}, {"mount_status": 400}])
def test_layers_that_can_not_be_mounted_are_sent(attributes, registry_with, plan):
    registry = registry_with(**attributes)
    first = push(registry, opened(plan))
    sibling = MountSource(Repository(registry.address, "app"))
    report = push(registry, opened(plan), "other", sources=[sibling])
    assert report.digest == first.digest
    assert statuses(report)[:-1] == [Status.SENT] * 3
    registry.image("other", "1")


def test_a_source_that_can_not_be_read_is_no_failure(registry_with, plan):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    registry.faults = [Fault("GET", "/v2/private/", 403, times=9)]
    private = MountSource(Repository(registry.address, "private"))
    push(registry, opened(plan), credentials=USER, sources=[private])
    registry.image("app", "1")


def base_archive(path, data):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("layer.tar")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return BaseLayer(
        archive=str(path),
        compression="none",
        offset=512,
        stored=StoredBytes(digest, "application/vnd.oci.image.layer.v1.tar", len(data)),
        diff_id=digest,
        size=len(data),
        entry={},
        name="layer.tar",
        mode=0o644,
        mtime=0,
        uid=0,
        gid=0,
        uname="",
        gname="",
    )


def test_layers_of_a_base_image_are_mounted_as_its_repository_has_them(registry, plan, tmp_path):
    data = os.urandom(2000)
    layer = base_archive(tmp_path / "base.tar", data)
    packed = gzip.compress(data, mtime=0)
    registry.put_image(
        "group/base",
        "12",
        [("application/vnd.docker.image.rootfs.diff.tar.gzip", packed)],
        [layer.diff_id],
    )
    plan = replace(plan, layers=(layer, *plan.layers))
    base = f"{registry.address}/group/base:12"
    image = opened(plan, annotations={"org.opencontainers.image.base.name": base})
    report = push(registry, image)
    assert statuses(report)[0] is Status.MOUNTED
    assert registry.image("app", "1")["layers"][0]["digest"] == (
        f"sha256:{hashlib.sha256(packed).hexdigest()}"
    )
    assert push(registry, image, "exact", exact=True).digest != report.digest
    assert registry.image("exact", "1")["layers"][0]["digest"] == layer.diff_id


def test_an_index_sends_shared_layers_once_and_children_by_digest_before_it(registry, plan):
    other = replace(plan, platform=Platform("linux", "arm64"))
    index = open_index([opened(plan), opened(other)], annotations={"a": "b"})
    report = push(registry, index)
    manifest = registry.image("app", "1")
    assert [entry["platform"]["architecture"] for entry in manifest["manifests"]] == [
        "amd64",
        "arm64",
    ]
    assert uploaded(registry) == 3 + 2
    puts = [r.path.rpartition("/")[2] for r in registry.seen("PUT", "manifests")]
    children = [entry["digest"] for entry in manifest["manifests"]]
    assert puts == [*children, report.digest, "1"]
    registry.requests.clear()
    assert push(registry, index).digest == report.digest
    assert [r.method for r in registry.requests] == ["GET"] * 3


def test_a_dry_run_sends_nothing(registry, plan):
    report = push(registry, opened(plan), dry=True)
    assert report.digest is None
    assert statuses(report) == [Status.SENT] * 4
    assert {r.method for r in registry.requests} <= {"GET", "HEAD"}
    assert push(registry, opened(plan, known=known_layers(plan)), dry=True).digest


# What goes wrong.


def test_a_store_path_that_has_changed_ends_the_push_and_is_named(registry, plan):
    path = plan.layers[0].paths[0]
    with open(f"{path}/file", "r+b") as file:
        file.write(b"other")
    with pytest.raises(UserError, match=f"what is at {path} has changed since; build it again"):
        push(registry, opened(plan))
    assert not registry.manifests


def test_so_does_one_of_which_the_blob_is_known(registry, plan):
    image = opened(plan, known=known_layers(plan))
    path = plan.layers[0].paths[0]
    with open(f"{path}/file", "r+b") as file:
        file.write(b"other")
    with pytest.raises(UserError, match=f"what is at {path} has changed since"):
        push(registry, image)
    assert not registry.manifests


@pytest.mark.parametrize("compressor", ["gz", "none"])
def test_so_does_one_that_is_missing(compressor, registry, plan):
    path = plan.layers[1].paths[0]
    shutil.rmtree(path)
    with pytest.raises(UserError, match=f"store path {path} is missing; build it again"):
        push(registry, opened(plan, LayerCompression(compressor)))
    assert not registry.manifests


def test_plain_layers_that_have_changed_end_it_before_their_last_byte(registry, plan):
    path = plan.layers[1].paths[0]
    with open(f"{path}/file", "r+b") as file:
        file.write(b"other")
    with pytest.raises(UserError, match=f"what is at {path} has changed since"):
        push(registry, opened(plan, LayerCompression("none")))
    assert plan.layers[1].diff_id not in registry.blobs.get("app", {})
    assert not registry.manifests


def test_of_several_paths_of_a_layer_the_one_that_has_changed_is_named(registry, tmp_path):
    plan = layer_of_three(tmp_path)
    paths = plan.layers[0].paths
    with open(f"{paths[1]}/file", "r+b") as file:
        file.write(b"other")
    with pytest.raises(UserError) as found:
        push(registry, opened(plan))
    assert all(path in str(found.value) for path in paths)

    class Knowing(Diagnosis):
        def find_changed(self, asked):
            assert tuple(asked) == paths
            return [path for path in asked if open(f"{path}/file").read(5) == "other"]

    with pytest.raises(UserError) as found:
        push(registry, opened(plan), diagnosis=Knowing("build it again"))
    assert str(found.value) == (
        f"layer 1 has another digest than the image says: what is at {paths[1]} has changed since; "
        "build it again"
    )
    assert not registry.manifests


def layer_of_three(tmp_path):
    """A plan whose first layer is of three store paths."""
    plan = make_plan(tmp_path, {name: name.encode() * 9 for name in ("aaa", "bbb", "ccc")})
    paths = tuple(path for layer in plan.layers[:3] for path in layer.paths)
    layers = (replace(plan.layers[0], paths=paths), plan.layers[3])
    return replace(plan, layers=hash_layers(layers, graph={}, jobs=1))


def test_a_blob_that_is_refused_leaves_no_tag(registry, plan):
    registry.faults = [Fault("PUT", "/blobs/uploads/", 403, times=99)]
    with pytest.raises(UserError, match=r"refused to take a layer of .*has no access to it"):
        push(registry, opened(plan))
    assert not registry.manifests


def test_a_registry_that_has_lost_blobs_of_its_image_gets_them(registry, plan):
    push(registry, opened(plan))
    # Another configuration, so that there is something to be sent.
    changed = replace(plan, config={"Cmd": ["/bin/other"]})
    lost = registry.image("app", "1")["layers"][0]["digest"]
    del registry.blobs["app"][lost]
    push(registry, opened(changed))
    assert lost in registry.blobs["app"]
    registry.image("app", "1")


@pytest.mark.parametrize("what", [409, 503, "reset"])
def test_the_tag_that_is_refused_of_several_is_named_and_so_are_those_that_are_set(
    what, registry, plan
):
    registry.faults = [Fault("PUT", "manifests/3", what, times=9)]
    with pytest.raises(UserError) as found:
        push(registry, opened(plan), tags=("1", "2", "3", "4"))
    said = found.value.message
    assert said.endswith("; the image has the tags 1, 2 by now, and not 3, 4")
    assert what == "reset" or "refused to take the manifest for the tag 3 " in said
    assert registry.tag("app", "1")
    assert not registry.tag("app", "4")


def test_a_tag_that_is_refused_first_of_several_leaves_none(registry, plan):
    registry.faults = [Fault("PUT", "manifests/1", 409, times=9)]
    with pytest.raises(UserError, match="the image has none of the tags 1, 2 by now"):
        push(registry, opened(plan), tags=("1", "2"))


def test_a_manifest_whose_digest_is_told_wrong_gets_no_tag(registry_with, plan):
    registry = registry_with(lies_about=("manifest",))
    with pytest.raises(UserError, match="says that the image has the digest sha256:00"):
        push(registry, opened(plan))
    assert not registry.tag("app", "1")


def test_a_tag_goes_back_where_its_new_digest_is_told_wrong(registry, plan):
    push(registry, opened(plan))
    before = registry.tag("app", "1")
    wrong = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    registry.faults = [Fault("PUT", "manifests/1", 201, headers=wrong)]
    with pytest.raises(UserError, match="says that the image has the digest sha256:00"):
        push(registry, opened(replace(plan, config={"Cmd": ["/bin/other"]})))
    assert [r.status for r in registry.seen("PUT", "manifests/1$")] == [201, 201, 201]
    assert registry.tag("app", "1") == before


def test_a_manifest_that_is_there_gets_a_tag_in_one_request(registry, plan):
    push(registry, opened(plan))
    registry.requests.clear()
    push(registry, opened(plan), tags=("1", "2"))
    assert [(r.method, r.path) for r in registry.requests] == [
        ("GET", "/v2/app/manifests/1"),
        ("PUT", "/v2/app/manifests/2"),
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [(405, b""), (501, b""), (400, b'{"errors": [{"code": "TAG_INVALID"}]}')],
)
def test_a_registry_that_takes_manifests_by_tag_alone_gets_them_so(status, body, registry, plan):
    registry.faults = [Fault("PUT", "manifests/sha256:", status, times=9, body=body)]
    push(registry, opened(plan))
    registry.image("app", "1")


def test_lost_blobs_are_found_without_compressing_what_is_left(registry, plan):
    push(registry, opened(plan))
    layers = registry.image("app", "1")["layers"]
    del registry.blobs["app"][layers[0]["digest"]]
    asked = []
    changed = replace(plan, config={"Cmd": ["/bin/other"]})
    push(registry, opened(changed), supply=Watching(asked))
    assert tuple(asked) == plan.layers[0].needs


# Checking what is there.


def test_an_unchanged_image_is_believed_unless_it_is_to_be_checked(registry, plan):
    digest = push(registry, opened(plan)).digest
    layers = registry.image("app", "1")["layers"]
    lost = layers[1]["digest"]
    del registry.blobs["app"][lost]
    registry.requests.clear()
    push(registry, opened(plan))
    assert lost not in registry.blobs["app"]
    assert len(registry.requests) == 1
    report = push(registry, opened(plan), check=True)
    assert report.digest == digest
    assert statuses(report) == [Status.PRESENT, Status.SENT, Status.PRESENT, Status.PRESENT]
    registry.image("app", "1")


def test_so_is_its_configuration(registry, plan):
    push(registry, opened(plan))
    config = registry.image("app", "1")["config"]["digest"]
    del registry.blobs["app"][config]
    report = push(registry, opened(plan), check=True)
    assert statuses(report) == [Status.PRESENT] * 3 + [Status.SENT]
    registry.image("app", "1")


def test_an_image_that_is_whole_is_looked_at_and_not_sent(registry, plan):
    push(registry, opened(plan))
    registry.requests.clear()
    report = push(registry, opened(plan), check=True)
    assert statuses(report) == [Status.PRESENT] * 4
    assert sorted(r.method for r in registry.requests) == ["GET"] + ["HEAD"] * 4


def test_a_layer_of_another_tool_that_is_lost_is_sent_as_it_is_compressed_here(registry, plan):
    described = pushed_by_docker(registry, plan)
    del registry.blobs["app"][described[0]["digest"]]
    report = push(registry, opened(plan), check=True)
    assert statuses(report)[:2] == [Status.SENT, Status.PRESENT]
    manifest = registry.image("app", "1")
    assert manifest["layers"][0]["digest"] != described[0]["digest"]
    assert manifest["layers"][1]["digest"] == described[1]["digest"]


def test_layers_of_an_index_are_checked_too(registry, plan):
    index = open_index(
        [opened(plan), opened(replace(plan, platform=Platform("linux", "arm64")))], {}
    )
    push(registry, index)
    lost = registry.image("app", "1")["manifests"][1]["digest"]
    _, data = registry.manifests["app"][lost]
    layer = json.loads(data)["layers"][0]["digest"]
    del registry.blobs["app"][layer]
    push(registry, index, check=True)
    registry.image("app", "1")


def test_a_blob_of_which_a_part_is_left_is_sent_again(registry, plan):
    push(registry, opened(plan))
    damaged = registry.image("app", "1")["layers"][1]["digest"]
    registry.blobs["app"][damaged] = registry.blobs["app"][damaged][:-1]
    push(registry, opened(plan), check=True)
    registry.image("app", "1")


def test_a_registry_that_keeps_what_is_damaged_is_told_of(registry_with, plan):
    registry = registry_with(keeps_old_blobs=True)
    push(registry, opened(plan))
    damaged = registry.image("app", "1")["layers"][1]["digest"]
    size = len(registry.blobs["app"][damaged])
    registry.blobs["app"][damaged] = registry.blobs["app"][damaged][:-1]
    with pytest.raises(UserError) as found:
        push(registry, opened(plan), check=True)
    assert f"has {size - 1} bytes of {damaged}, which has {size}" in str(found.value)


def test_a_layer_that_was_sent_before_is_found_with_the_request_that_would_begin_its_upload(
    registry, plan
):
    first = push(registry, opened(plan))
    registry.manifests.clear()
    registry.requests.clear()
    report = push(registry, opened(plan))
    assert statuses(report)[:-1] == [Status.PRESENT] * 3
    assert report.digest == first.digest
    assert uploaded(registry) == 1
    assert len(registry.seen("POST", "mount=")) == 3
    assert not registry.seen("HEAD")


@pytest.mark.parametrize("status", [400, 404, 500])
def test_where_nothing_is_mounted_each_layer_is_asked_for(status, registry_with, plan):
    registry = registry_with(mount_status=status)
    push(registry, opened(plan))
    registry.image("app", "1")
    registry.manifests.clear()
    registry.requests.clear()
    report = push(registry, opened(plan))
    assert statuses(report)[:-1] == [Status.PRESENT] * 3
    assert len(registry.seen("HEAD")) == 3


@pytest.mark.parametrize("status", [405, 501])
def test_a_registry_that_can_not_be_asked_for_blobs_gets_them(status, registry_with, plan):
    registry = registry_with(mount_status=status)
    registry.faults = [Fault("HEAD", "", status, times=99)]
    push(registry, opened(plan))
    registry.image("app", "1")


def test_a_registry_that_only_says_that_it_has_mounted_gets_the_layers(registry, plan):
    push(registry, opened(plan), "base")
    registry.faults = [Fault("POST", "mount=", 201, times=99)]
    push(registry, opened(plan), sources=[MountSource(Repository(registry.address, "base"))])
    registry.image("app", "1")


def test_a_registry_that_says_that_it_has_what_it_lacks_is_told_of_it(registry, plan):
    push(registry, opened(plan))
    registry.blobs["app"].clear()
    registry.faults = [Fault("HEAD", "", 200, times=99), Fault("POST", "mount=", 201, times=99)]
    with pytest.raises(UserError, match=r"refused to take the image's manifest .*BLOB_UNKNOWN"):
        push(registry, opened(plan), tags=("2",))
    assert not registry.tag("app", "2")


def test_a_configuration_of_another_digest_is_not_relied_on(registry_with, plan):
    registry = registry_with(lies_about=("config",))
    push(registry, opened(plan))
    report = push(registry, opened(replace(plan, config={"Cmd": ["/bin/other"]})))
    assert Status.PRESENT in statuses(report)
    registry.image("app", "1")


def test_a_tag_whose_digest_is_told_wrong_ends_the_push(registry, plan):
    push(registry, opened(plan))
    registry.lies_about = ("manifest",)
    with pytest.raises(UserError, match="says that the image under the tag has the digest"):
        push(registry, opened(plan))


def test_who_may_not_look_before_the_first_push_may_push(registry, plan):
    registry.faults = [
        Fault("GET", "/v2/app/", 403, times=9),
        Fault("HEAD", "/v2/app/", 403, times=9),
    ]
    push(registry, opened(plan, known=known_layers(plan)))
    registry.image("app", "1")


def test_who_may_not_push_learns_it_before_anything_is_compressed(registry, plan):
    registry.faults = [Fault(method, "/v2/app/", 401, times=9) for method in ("GET", "POST")]
    asked = []
    with pytest.raises(UserError, match="to whoever has not logged in"):
        push(registry, opened(plan), supply=Watching(asked))
    assert not asked


def test_documents_of_any_shape_under_the_tag_are_no_failure(registry, plan):
    for number, document in enumerate(
        [
            b"[]",
            b"null",
            b"{",
            b'{"layers": 1, "config": []}',
            b'{"manifests": [1, {"digest": "x"}]}',
            json.dumps(
                {
                    "manifests": [
                        {
                            "digest": f"sha256:{'0' * 64}",
                            "platform": {"os": ["linux"], "architecture": {}},
                        }
                    ]
                }
            ).encode(),
            b" " * (9 << 20),
            b'{"config": {"digest": "sha256:0"}, "layers": [{"mediaType": 1}]}',
        ]
    ):
        registry.manifests["app"] = {str(number): ("application/json", document)}
        push(registry, opened(plan), tags=(str(number),))
        registry.image("app", str(number))


def test_layers_that_a_registry_does_not_hold_are_not_taken(registry, plan):
    described = pushed_by_docker(registry, plan)
    kind, data = registry.manifests["app"]["1"]
    manifest = json.loads(data)
    manifest["layers"][0]["urls"] = ["https://elsewhere.example/layer"]
    del registry.blobs["app"][described[0]["digest"]]
    registry.manifests["app"]["1"] = (kind, json.dumps(manifest).encode())
    report = push(registry, opened(plan))
    assert statuses(report)[:2] == [Status.SENT, Status.PRESENT]
    registry.image("app", "1")


def test_a_token_that_ends_in_the_middle_is_no_failure(registry_with, plan):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer", token_uses=4)
    push(registry, opened(plan), credentials=USER, jobs=1)
    assert len(registry.seen("GET", "^/token")) > 2
    registry.image("app", "1")


def test_many_faults_in_one_push_are_survived(registry, plan):
    registry.faults = [
        Fault("GET", "manifests", 500),
        Fault("POST", "uploads", "reset"),
        Fault("PUT", "uploads", "cut", after=100),
        Fault("PUT", "uploads", 429),
        Fault("PUT", "manifests", 503),
    ]
    push(registry, opened(plan))
    registry.image("app", "1")


def killed_at_half(registry, plan_file, cache):
    """Run a push until something is sent and something not, and kill it."""
    command = [sys.executable, BUILDERS, "longshore", "push", plan_file]
    process = subprocess.Popen(
        [*command, f"{registry.address}/app:1", "--jobs", "1"],
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    deadline = time.monotonic() + 60
    while uploaded(registry) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()


def test_after_a_kill_no_finished_blob_is_sent_again(registry, tmp_path):
    contents = {f"path-{number}": os.urandom(100_000) for number in range(8)}
    plan = make_plan(tmp_path, contents)
    (tmp_path / "conf.json").write_text(plan.to_json())
    registry.faults = [Fault("POST", "uploads", "slow", times=99, after=0.1)]
    killed_at_half(registry, tmp_path / "conf.json", tmp_path / "cache")
    before = set(registry.blobs["app"])
    assert 3 <= len(before) < 9
    assert not registry.manifests
    registry.faults.clear()
    registry.requests.clear()
    push(registry, opened(plan))
    registry.image("app", "1")
    sent = {r.query["digest"] for r in registry.seen("PUT", "/blobs/uploads/")}
    configurations = {digest for digest in before if registry.blobs["app"][digest][:1] == b"{"}
    assert not sent & (before - configurations)


def test_the_spool_is_empty_in_the_end_and_small_meanwhile(registry, plan, tmp_path):
    directory = tmp_path / "spool"
    directory.mkdir()
    push(registry, opened(plan), directory=str(directory))
    assert not list(directory.iterdir())


def test_paths_are_asked_for_before_they_are_read_and_only_those_to_be_sent(registry, plan):
    push(registry, opened(plan))
    asked = []
    changed = replace(plan, layers=plan.layers[:1])
    push(registry, opened(changed), supply=Watching(asked))
    assert asked == []
    push(registry, opened(plan), "other", supply=Watching(asked))
    # The largest first.
    assert asked == [path for index in (1, 0, 2) for path in plan.layers[index].needs]


@pytest.mark.parametrize("compressor", ["gz", "none"])
def test_a_path_is_elsewhere_only_while_its_layer_is_read(compressor, registry, plan, tmp_path):
    """Each is moved away, and lies in another place when it is asked for, one at a time."""
    away = tmp_path / "away"
    away.mkdir()
    paths = [path for layer in plan.layers for path in layer.needs]
    for path in paths:
        shutil.move(path, away / os.path.basename(path))
    lent = []

    class Lending(Supply):
        @contextmanager
        def ready(self, layer, *, among_others=False):
            places = {}
            for path in layer.needs:
                places[path] = str(tmp_path / "lent" / os.path.basename(path))
                lent.append(path)
                (tmp_path / "lent").mkdir(exist_ok=True)
                shutil.copytree(away / os.path.basename(path), places[path]) if os.path.isdir(
                    away / os.path.basename(path)
                ) else shutil.copy(away / os.path.basename(path), places[path])
            yield places
            for place in places.values():
                shutil.rmtree(place) if os.path.isdir(place) else os.unlink(place)

    push(registry, opened(plan, LayerCompression(compressor)), supply=Lending(), jobs=1)
    registry.image("app", "1")
    assert sorted(lent) == sorted(paths)
    assert not list((tmp_path / "lent").iterdir())
