"""The registry on loopback, spoken to in plain HTTP."""

import gzip
import hashlib
import http.client
import json
import os
import socket
import threading
import time
from dataclasses import replace

import pytest

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import blobs, image_blobs, index_blobs
from builders.console.errors import UserError
from builders.image.platform import Platform
from builders.registry.loopback import LoopbackRegistry
from tests.unit.archives import plain_members, tar
from tests.unit.plans import make_plan
from tests.unit.support import deadline, read_base

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def image_of(plan):
    layers = compress_layers(plan, LayerCompression("none"), jobs=1)
    return image_blobs(plan, layers, annotations={})


@pytest.fixture
def plan(tmp_path):
    return make_plan(tmp_path, {"aaa": os.urandom(3000), "bbb": os.urandom(3 << 20)})


@pytest.fixture
def image(plan):
    return image_of(plan)


@pytest.fixture
def registry(image):
    with deadline(60), LoopbackRegistry(image, hint="mend it") as registry:
        yield registry


class Client:
    """A connection that stays open, as engines keep it."""

    def __init__(self, registry):
        address, _, self.repository = registry.name.partition("/")
        self.connection = http.client.HTTPConnection(address)

    def ask(self, path, method="GET", **headers):
        if not path.startswith("/"):
            path = f"/v2/{self.repository}/{path}"
        self.connection.request(method, path, headers=headers)
        answer = self.connection.getresponse()
        return answer, answer.read()


@pytest.fixture
def client(registry):
    client = Client(registry)
    yield client
    client.connection.close()


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_it_listens_on_loopback_only(registry):
    assert registry.name.startswith("127.0.0.1:")
    # Another address of the same machine is another door.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(registry.name.split(":")[1].split("/")[0])))


def test_the_version_is_answered(client):
    answer, data = client.ask("/v2/")
    assert (answer.status, data) == (200, b"{}")
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_manifest_is_found_by_tag_and_by_digest(client, image):
    top = image.top.descriptor
    for name in ("latest", top.digest):
        answer, data = client.ask(f"manifests/{name}")
        assert answer.status == 200
        assert digest_of(data) == top.digest
        assert answer.headers["Content-Type"] == MANIFEST
        assert answer.headers["Docker-Content-Digest"] == top.digest


def test_every_blob_has_its_digest(client, image):
    for blob in blobs(image):
        answer, data = client.ask(f"blobs/{blob.descriptor.digest}")
        assert answer.status == 200
        assert digest_of(data) == blob.descriptor.digest
        assert int(answer.headers["Content-Length"]) == len(data) == blob.descriptor.size


def test_the_digests_of_layers_are_those_of_plain_tars(image, plan):
    assert [blob.descriptor.digest for blob in image.layers] == [it.diff_id for it in plan.layers]


def test_an_index_leads_to_its_images(plan):
    images = [image_of(plan), image_of(replace(plan, platform=Platform("linux", "arm64")))]
    with deadline(60), LoopbackRegistry(index_blobs(images, annotations={})) as registry:
        client = Client(registry)
        answer, data = client.ask("manifests/latest")
        assert answer.headers["Content-Type"] == INDEX
        for entry in json.loads(data)["manifests"]:
            answer, data = client.ask(f"manifests/{entry['digest']}")
            assert answer.headers["Content-Type"] == MANIFEST
            assert digest_of(data) == entry["digest"]
        client.connection.close()


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_a_head_is_that_of_the_answer_without_its_body(client, image, kind):
    digest = image.top.descriptor.digest
    whole, _ = client.ask(f"{kind}/{digest}")
    head, data = client.ask(f"{kind}/{digest}", "HEAD")
    assert (head.status, data) == (200, b"")
    dates = {"Date"}
    assert {k: v for k, v in head.headers.items() if k not in dates} == {
        k: v for k, v in whole.headers.items() if k not in dates
    }


def test_a_head_reads_no_layer(client, registry, image):
    digest = image.layers[1].descriptor.digest
    client.ask(f"blobs/{digest}", "HEAD")
    assert registry.traffic.sent[digest] == 0


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, None), ("bytes=-7", -7, None)],
)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_of_a_blob_is_sent(client, image, number, asked, start, end):
    digest = image.layers[number].descriptor.digest
    _, whole = client.ask(f"blobs/{digest}")
    answer, data = client.ask(f"blobs/{digest}", Range=asked)
    assert answer.status == 206
    assert data == whole[start:end]
    part = range(len(whole))[start:end]
    assert answer.headers["Content-Range"] == f"bytes {part[0]}-{part[-1]}/{len(whole)}"


def test_a_part_behind_the_end_is_refused(client, image):
    blob = image.layers[0].descriptor
    answer, data = client.ask(f"blobs/{blob.digest}", Range=f"bytes={blob.size}-")
    assert (answer.status, data) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{blob.size}"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("manifests/2", "MANIFEST_UNKNOWN"),
        (f"manifests/{digest_of(b'')}", "MANIFEST_UNKNOWN"),
        (f"blobs/{digest_of(b'')}", "BLOB_UNKNOWN"),
        ("blobs/../../../etc/passwd", "NAME_UNKNOWN"),
        ("tags/list", "NAME_UNKNOWN"),
        ("/v2/other/manifests/latest", "NAME_UNKNOWN"),
        ("/v2/_catalog", "NAME_UNKNOWN"),
        ("/", "NAME_UNKNOWN"),
    ],
)
def test_what_there_is_not_is_not_found(client, path, code):
    answer, data = client.ask(path)
    assert answer.status == 404
    assert json.loads(data)["errors"][0]["code"] == code


def test_a_layer_is_no_manifest(client, image):
    answer, _ = client.ask(f"manifests/{image.layers[0].descriptor.digest}")
    assert answer.status == 404


def test_the_name_is_another_one_each_time(image):
    names = {LoopbackRegistry(image).repository for _ in range(20)}
    assert len(names) == 20
    assert min(map(len, names)) > 32


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(client, image, method):
    answer, data = client.ask(f"blobs/{image.top.descriptor.digest}", method)
    assert answer.status == 405
    assert json.loads(data)["errors"][0]["code"] == "UNSUPPORTED"


def raw(registry, data):
    host, port = registry.name.partition("/")[0].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


@pytest.mark.parametrize("size", [1, 600, 40_000])
def test_a_greeting_of_tls_is_answered_in_plain_http(registry, size):
    # Else clients written in Go don't try without TLS; a reset connection would not do, either.
    greeting = b"\x16\x03\x01" + b"x" * size
    assert raw(registry, greeting[:size]) == b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert registry.traffic.requests == []


def test_what_is_no_http_is_answered_and_harms_nothing(registry, client):
    # Without a version it might be HTTP/0.9, whose answers have no head.
    assert b"UNSUPPORTED" in raw(registry, b"hello\r\n\r\n")
    assert raw(registry, b"GET / HTTP/x\r\n\r\n").startswith(b"{")
    assert raw(registry, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n").startswith(
        b"HTTP/1.1 431 "
    )
    assert client.ask("/v2/")[0].status == 200


def test_requests_and_bytes_are_counted(client, registry, image):
    layer = image.layers[1].descriptor
    client.ask("manifests/latest", "HEAD")
    client.ask("manifests/latest")
    client.ask(f"blobs/{layer.digest}")
    client.ask(f"blobs/{layer.digest}", Range="bytes=0-9")
    path = f"/v2/{registry.repository}"
    assert registry.traffic.requests == [
        f"HEAD {path}/manifests/latest",
        f"GET {path}/manifests/latest",
        f"GET {path}/blobs/{layer.digest}",
        f"GET {path}/blobs/{layer.digest}",
    ]
    # Counted when they are out, which the client may know before.
    while registry.traffic.sent[layer.digest] < layer.size + 10:
        time.sleep(0.001)
    assert registry.traffic.sent[layer.digest] == layer.size + 10
    assert registry.traffic.begun == {image.top.descriptor.digest, layer.digest}
    assert registry.traffic.whole == {image.top.descriptor.digest, layer.digest}


def test_many_clients_are_answered_at_once(registry, image):
    layer = image.layers[1].descriptor
    found = []

    def ask():
        client = Client(registry)
        found.append(digest_of(client.ask(f"blobs/{layer.digest}")[1]))
        client.connection.close()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [layer.digest] * 12


def test_a_client_that_goes_away_harms_nobody(registry, client, image):
    layer = image.layers[1].descriptor
    host, port = registry.name.partition("/")[0].split(":")
    with socket.create_connection((host, int(port))) as connection:
        path = f"/v2/{registry.repository}/blobs/{layer.digest}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    _, data = client.ask(f"blobs/{layer.digest}")
    assert digest_of(data) == layer.digest
    assert registry.failure is None


def test_a_slow_client_does_not_keep_the_registry_from_ending(image):
    layer = image.layers[1].descriptor
    with deadline(60), LoopbackRegistry(image) as registry:
        host, port = registry.name.partition("/")[0].split(":")
        connection = socket.create_connection((host, int(port)))
        path = f"/v2/{registry.repository}/blobs/{layer.digest}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(1)
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize(
    "change",
    [os.remove, lambda path: os.truncate(path, 1000)],
    ids=["missing", "shorter"],
)
def test_a_path_that_has_changed_cuts_the_connection_and_is_named(
    registry, client, image, plan, change
):
    (path,) = plan.layers[1].paths
    change(f"{path}/file")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        client.ask(f"blobs/{image.layers[1].descriptor.digest}")
    assert isinstance(registry.failure, UserError)
    assert path in str(registry.failure)
    assert str(registry.failure).endswith("; mend it")
    # All else is still there.
    other = Client(registry)
    assert other.ask(f"blobs/{image.layers[0].descriptor.digest}")[0].status == 200
    other.connection.close()


def test_layers_of_a_compressed_base_image_are_had_in_any_order(plan, tmp_path):
    layers = [tar([(f"file{number}", os.urandom(200_000))]) for number in range(5)]
    base = tmp_path / "base.tar.gz"
    base.write_bytes(gzip.compress(tar(plain_members(layers))))
    plan = replace(plan, layers=(*read_base(base).layers, *plan.layers))
    with deadline(60), LoopbackRegistry(image_of(plan)) as registry:
        found = {}

        def ask(number):
            client = Client(registry)
            found[number] = client.ask(f"blobs/{digest_of(layers[number])}")[1]
            client.connection.close()

        threads = [threading.Thread(target=ask, args=(number,)) for number in (3, 0, 4, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[number] == layer for number, layer in enumerate(layers)] == [True] * 5
