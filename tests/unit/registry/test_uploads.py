"""What registries do beside the specification: a test for each, as docs/push.md lists them."""

import hashlib
import os

import pytest

from builders.console.errors import UserError
from builders.registry.bodies import Bytestream, InMemory
from builders.registry.credentials import Credentials
from builders.registry.destinations import Repository
from builders.registry.uploads import CHUNK_SIZES, Uploads
from tests.unit.registry.pushing import client_of
from tests.unit.registry.quirks import Fault

CONTENT = os.urandom(5 << 20)
BLOB = InMemory(f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", CONTENT)
USER = Credentials("user", "secret")


def uploads_to(registry, *, chunk_size=None, **options):
    client = client_of(registry, **options)
    return Uploads(client, Repository(registry.address, "app"), chunk_size=chunk_size)


def methods(registry):
    return [request.method for request in registry.requests]


def test_a_blob_takes_one_post_and_one_put_with_its_length(registry):
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert methods(registry) == ["POST", "PUT"]
    assert registry.requests[1].headers["Content-Length"] == str(len(CONTENT))
    assert "Transfer-Encoding" not in registry.requests[1].headers
    assert registry.requests[1].query["state"] == "x"


# One row of the table each.


def test_docker_hub_wants_to_read_the_source_of_a_mount_even_if_anybody_may(registry_with):
    registry = registry_with(users={"user": "secret"}, scheme="Bearer")
    registry.blobs["base"] = {BLOB.digest: CONTENT}
    uploads = uploads_to(registry, credentials=USER)
    assert uploads.mount(BLOB.digest, Repository(registry.address, "base")) is True
    asked = registry.seen("GET", "^/token")[-1].scopes
    assert sorted(asked) == ["repository:app:pull,push", "repository:base:pull"]


def test_docker_hub_answers_too_many_requests_with_what_is_no_http(registry):
    registry.faults = [Fault("PUT", "uploads", "reset", times=2)]
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_ghcr_takes_whole_bodies_and_no_large_parts(registry_with):
    registry = registry_with(patch_max=4 << 20)
    uploads_to(registry).send(BLOB)
    assert methods(registry) == ["POST", "PUT"]
    uploads_to(registry, chunk_size=16 << 20).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_ghcr_takes_smaller_parts_where_whole_bodies_are_too_large(registry_with):
    registry = registry_with(patch_max=4 << 20, body_max=4 << 20)
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    sizes = [int(r.headers["Content-Length"]) for r in registry.seen("PATCH")]
    assert sizes[-2:] == [4 << 20, 1 << 20]


def test_ecr_answers_a_part_with_201_and_a_range_that_stands_still(registry_with):
    registry = registry_with(patch_status=201, stuck_range=True, users={"AWS": "secret"})
    uploads = uploads_to(registry, chunk_size=1 << 20, credentials=Credentials("AWS", "secret"))
    uploads.send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert [r.headers["Content-Range"] for r in registry.seen("PATCH")][1] == "1048576-2097151"
    # Basic from the first challenge on, and no token service.
    assert not registry.seen(pattern="/token")
    assert [r.status for r in registry.requests].count(401) == 1


def test_gar_takes_no_parts_at_all(registry_with):
    registry = registry_with(patch_max=0)
    uploads_to(registry).send(BLOB)
    assert methods(registry) == ["POST", "PUT"]


@pytest.mark.parametrize("which", ["first_scope_only", "last_scope_only"])
def test_gitlab_and_others_read_one_scope_of_several(which, registry_with):
    registry = registry_with(users={"user": "secret"}, scheme="Bearer", **{which: True})
    registry.blobs["base"] = {BLOB.digest: CONTENT}
    uploads = uploads_to(registry, credentials=USER)
    # A mount can't be had with such a token, and an upload can.
    if uploads.mount(BLOB.digest, Repository(registry.address, "base")) is not True:
        uploads.send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    (first, *_) = registry.seen("GET", "^/token")
    assert first.scopes[0].startswith("repository:app:")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_harbor_answers_a_mount_from_a_bad_project_with_a_failure(status, registry_with):
    registry = registry_with(mount_status=status)
    uploads = uploads_to(registry)
    assert uploads.mount(BLOB.digest, Repository(registry.address, "other/base")) is False
    uploads.send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_quay_gets_no_mount_without_a_source(registry):
    uploads_to(registry).send(BLOB)
    assert not registry.seen("POST", "mount")
    uploads_to(registry).mount(BLOB.digest, Repository(registry.address, "base"))
    (mount,) = registry.seen("POST", "mount")
    assert mount.query["from"] == "base"


def test_artifactory_does_not_mount_and_the_session_is_used(registry_with):
    registry = registry_with(mounts=False)
    registry.blobs["base"] = {BLOB.digest: CONTENT}
    uploads = uploads_to(registry)
    session = uploads.mount(BLOB.digest, Repository(registry.address, "base"))
    uploads.send(BLOB, session=session)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert methods(registry) == ["POST", "PUT"]


@pytest.mark.parametrize("status", [404, 405, 411])
def test_old_artifactory_wants_a_patch_and_an_empty_put(status, registry_with):
    registry = registry_with(whole_put=status)
    uploads = uploads_to(registry)
    uploads.send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert methods(registry) == ["POST", "PUT", "POST", "PATCH", "PUT"]
    # It is known from there on.
    other = InMemory(f"sha256:{hashlib.sha256(b'x').hexdigest()}", b"x")
    uploads.send(other)
    assert methods(registry)[5:] == ["POST", "PATCH", "PUT"]


# What goes wrong on the way.


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(("method", "pattern"), [("POST", "uploads"), ("PUT", "uploads")])
def test_what_may_pass_is_tried_again(status, method, pattern, registry):
    registry.faults = [Fault(method, pattern, status, times=2)]
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_a_registry_that_says_how_long_to_wait_is_waited_for(registry):
    registry.faults = [Fault("PUT", "uploads", 429, headers={"Retry-After": "1"})]
    uploads_to(registry).send(BLOB)
    refused, again = registry.seen("PUT")
    assert again.at - refused.at >= 1
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_nobody_waits_for_an_hour(registry):
    registry.faults = [Fault("PUT", "uploads", 429, headers={"Retry-After": "3600"})]
    with pytest.raises(UserError, match=r"takes no more requests for 3600 s .*; push again then"):
        uploads_to(registry).send(BLOB)


def test_what_does_not_pass_is_told(registry):
    registry.faults = [Fault("PUT", "uploads", 503, times=9, body=b"<html>down</html>")]
    with pytest.raises(UserError, match=r"refused to take a layer \(HTTP status 503\); push again"):
        uploads_to(registry).send(BLOB)
    assert len(registry.seen("PUT")) == 5


def test_a_body_that_broke_off_is_resumed_where_the_registry_has_it(registry):
    registry.faults = [Fault("PUT", "uploads", "cut", after=3 << 20)]
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert registry.received < len(CONTENT) + (1 << 20)
    (patch,) = registry.seen("PATCH")
    assert patch.headers["Content-Range"] == f"{3 << 20}-{len(CONTENT) - 1}"


def test_where_the_session_is_gone_a_body_is_sent_again(registry_with):
    registry = registry_with(session_get=False)
    registry.faults = [Fault("PUT", "uploads", "cut", after=3 << 20)]
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert len(registry.seen("PUT")) == 2


def test_a_resumption_that_is_refused_is_no_failure(registry_with):
    registry = registry_with(patch_max=0)
    registry.faults = [Fault("PUT", "uploads", "cut", after=3 << 20)]
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_a_blob_whose_answer_was_lost_is_not_sent_again(registry):
    registry.faults = [Fault("PUT", "uploads", "lose")]
    uploads_to(registry).send(BLOB)
    assert len(registry.seen("PUT")) == 1
    assert [r.status for r in registry.seen("HEAD")] == [200]


def test_a_registry_that_says_nothing_more_is_not_waited_for(registry):
    registry.faults = [Fault("POST", "uploads", "slow", after=2)]
    uploads_to(registry, patience=0.3).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT


def test_a_body_that_is_too_large_goes_in_parts(registry_with):
    registry = registry_with(body_max=CHUNK_SIZES[1])
    uploads_to(registry).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert all(r.received <= CHUNK_SIZES[1] for r in registry.requests if r.status < 400)


def test_where_even_the_smallest_part_is_too_large_that_is_told(registry_with):
    registry = registry_with(body_max=1000)
    with pytest.raises(UserError, match=r"status 413\); raise the limit of whatever stands before"):
        uploads_to(registry).send(BLOB)


def test_a_part_that_failed_is_sent_again_and_not_those_before(registry):
    registry.faults = [Fault("PATCH", "uploads", 500)]
    uploads_to(registry, chunk_size=1 << 20).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert len(registry.seen("PATCH")) == 6


def test_a_registry_that_has_another_digest_is_not_believed(registry_with):
    registry = registry_with(lies_about=("layer",))
    with pytest.raises(UserError, match="says that a layer has the digest sha256:0000"):
        uploads_to(registry).send(BLOB)


def test_a_token_that_ends_between_blobs_is_got_again(registry_with):
    registry = registry_with(users={"user": "secret"}, scheme="Bearer", token_uses=1)
    uploads_to(registry, credentials=USER).send(BLOB)
    assert registry.blobs["app"][BLOB.digest] == CONTENT
    assert len(registry.seen("GET", "^/token")) >= 2


def wanting_parts(registry, least):
    """Let sessions say that parts have at least so many bytes."""
    seen = registry.begin_upload

    def begin(handler, request, repository):
        answer = handler.answer
        handler.answer = lambda request, status, headers=None, data=b"": answer(
            request, status, {**(headers or {}), "OCI-Chunk-Min-Length": least}, data
        )
        seen(handler, request, repository)
        handler.answer = answer

    registry.begin_upload = begin


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        (str(2 << 20), [2 << 20, 2 << 20, 1 << 20]),
        ("9" * 5000, [1 << 20] * 5),
        ("9" * 15, [5 << 20]),
        ("x", [1 << 20] * 5),
    ],
)
def test_parts_are_as_large_as_the_registry_wants_them(least, expected, registry):
    wanting_parts(registry, least)
    uploads_to(registry, chunk_size=1 << 20).send(BLOB)
    sizes = [int(r.headers["Content-Length"]) for r in registry.seen("PATCH")]
    assert sizes == expected
    assert registry.blobs["app"][BLOB.digest] == CONTENT


class Watched(Bytestream):
    """A blob that looks how much of it is held somewhere between here and `registry`."""

    def __init__(self, registry, size):
        self.size = size
        self.digest = f"sha256:{hashlib.sha256(bytes(size)).hexdigest()}"
        self.most_held = 0
        self.reads = []
        self._registry = registry

    def read(self, offset=0):
        self.reads.append(offset)
        at = offset
        while at < self.size:
            piece = bytes(min(1 << 20, self.size - at))
            yield piece
            at += len(piece)
            self.most_held = max(self.most_held, at - self._registry.received)


@pytest.mark.parametrize("least", [64 << 20, 10**14])
def test_a_part_of_any_size_is_not_held_in_memory(least, registry):
    wanting_parts(registry, str(least))
    blob = Watched(registry, 64 << 20)
    uploads_to(registry, chunk_size=1 << 20).send(blob)
    assert len(registry.blobs["app"][blob.digest]) == 64 << 20
    assert blob.reads == [0]
    # What the kernel has of it.
    assert blob.most_held < 32 << 20


def test_a_part_that_failed_is_read_again_and_told_once(registry):
    registry.faults = [
        Fault("PATCH", "uploads", "none"),
        Fault("PATCH", "uploads", 500),
        Fault("PATCH", "uploads", 503),
    ]
    blob = Watched(registry, 5 << 20)
    told = []
    uploads_to(registry, chunk_size=2 << 20).send(blob, on_sent=told.append)
    assert blob.reads == [0, 2 << 20, 2 << 20]
    assert sum(told) == 5 << 20
    assert registry.blobs["app"][blob.digest] == bytes(5 << 20)
