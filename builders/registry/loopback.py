"""A read-only registry on loopback that serves one image, or one index, to an engine beside it.

Blobs are made when they are asked for, so an engine gets what it lacks and nothing else is read.
The repository's name can't be guessed, and all else is unknown to the registry. It speaks HTTP
without TLS: clients that try TLS first get an answer in plain HTTP, after which they do without.
Source: OCI distribution specification v1.1, "Pull" and "Error Codes".
"""

import json
import re
import secrets
import socket
import struct
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from builders.blobs.source import Blob, Image, Index, blobs
from builders.layers.resources import Resources
from builders.registry.byte_ranges import ByteRange, RangeSink, RangeWrittenError, read_range
from builders.registry.loopback_names import ADDRESS, TAG, new_repository
from builders.registry.turns import Turns
from builders.tar.sinks import LEAVE_ALONE, FileSink

_TLS_HANDSHAKE: Final = 0x16
"""The first byte of what a client sends that begins with TLS (RFC 8446, section 5.1)."""
_ANSWER_TO_TLS: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"
"""What makes clients written in Go try again without TLS: their library looks for "HTTP/"."""
_PATIENCE: Final = 600
"""Seconds for which a client may take no byte."""
_PATH: Final = re.compile(r"/v2/(?P<repository>[^/]+)/(?P<kind>manifests|blobs)/(?P<name>[^/]+)")


class LoopbackRegistry:
    """Serves `source` while it is open; a context manager.

    `traffic` counts what is asked for and served. `failure` is what kept it from serving a blob:
    a `UserError` where a file of the image is missing or has changed. The client sees its
    connection cut then. `hint` says what to do about such a file.
    """

    def __init__(self, source: Image | Index, *, hint: str = LEAVE_ALONE) -> None:
        self.repository = new_repository()
        self.traffic = Traffic()
        self.failure: Exception | None = None
        self._hint = hint
        self._top = source.top
        self._blobs = {blob.descriptor.digest: blob for blob in blobs(source)}
        documents = (source.top, *(image.manifest for image in source.images))
        self._manifests = {blob.descriptor.digest: blob for blob in documents}
        self._archives: dict[str, tuple[Turns, Resources]] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Cut all connections, and answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.end()
        for _, resources in self._archives.values():
            resources.__exit__(None, None, None)

    @property
    def name(self) -> str:
        """The repository's name, as engines pull from it."""
        return f"{ADDRESS}:{self._server.server_port}/{self.repository}"

    @property
    def reference(self) -> str:
        """What to pull: the repository and the digest."""
        return f"{self.name}@{self._top.descriptor.digest}"

    def manifest(self, name: str) -> Blob | None:
        """Return the manifest or the index of this digest or tag."""
        return self._top if name == TAG else self._manifests.get(name)

    def blob(self, digest: str) -> Blob | None:
        """Return the blob with this digest."""
        return self._blobs.get(digest)

    def write(self, blob: Blob, fd: int, part: ByteRange | None) -> None:
        """Write `blob`, or a part of it, to the file descriptor `fd`.

        Raises `OSError` where the client takes no more. Any other failure is kept, and raised.
        """
        digest, size = blob.descriptor.digest, blob.descriptor.size
        self.traffic.begin(digest)
        counted = self.traffic.counter(digest)
        target = FileSink(fd, on_written=counted)
        sink = RangeSink(target, part or ByteRange(0, size))
        try:
            with self._resources(blob) as resources, suppress(RangeWrittenError):
                blob.content.write(sink, resources)
            target.flush()
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            raise
        except Exception as error:
            self.failure = self.failure or error
            raise
        if part is None:
            self.traffic.complete(digest)

    @contextmanager
    def _resources(self, blob: Blob) -> Any:
        """What `blob` is written with.

        There is no way back in a compressed archive, so those who read one take turns.
        """
        layer = blob.content.layer
        if layer is None or layer.stream is None:
            with Resources(helpers=0, threads=1, hint=self._hint) as resources:
                yield resources
            return
        with self._lock:
            if layer.stream not in self._archives:
                self._archives[layer.stream] = (Turns(), Resources(helpers=0, hint=self._hint))
            turns, shared = self._archives[layer.stream]
        with turns.turn(layer.position):
            yield shared


class Traffic:
    """What a registry was asked for, and what it sent."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """Method and path of each, what is no HTTP left out."""
        self._sent: Counter[str] = Counter()
        self.begun: set[str] = set()
        """Digests of the blobs of which some was sent."""
        self.whole: set[str] = set()
        """Digests of the blobs that went out whole, in one answer."""
        self.greeted = threading.Event()
        """Whether anybody has connected."""
        self._lock = threading.Lock()

    @property
    def sent(self) -> Counter[str]:
        """The bytes that have gone out, by digest."""
        with self._lock:
            return self._sent.copy()

    def counter(self, digest: str) -> "_Counter":
        """Return what counts the bytes of one answer."""
        return _Counter(self, digest)

    def begin(self, digest: str) -> None:
        """Note that bytes of the blob `digest` are about to go out."""
        with self._lock:
            self.begun.add(digest)

    def add(self, digest: str, count: int) -> None:
        """Count bytes of the blob `digest`."""
        with self._lock:
            self._sent[digest] += count

    def complete(self, digest: str) -> None:
        """Count a blob that is out."""
        with self._lock:
            self.whole.add(digest)

    def request(self, line: str) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append(line)


class _Counter:
    """Turns how much an answer has in all into how much has come since."""

    def __init__(self, traffic: Traffic, digest: str) -> None:
        self._traffic = traffic
        self._digest = digest
        self._seen = 0

    def __call__(self, written: int) -> None:
        self._traffic.add(self._digest, written - self._seen)
        self._seen = written


class _Server(ThreadingHTTPServer):
    """The sockets. Threads of clients end with the connections, which `end` cuts."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, registry: LoopbackRegistry) -> None:
        self.registry = registry
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__((ADDRESS, 0), _Handler)

    def server_bind(self) -> None:
        """Bind the socket, and ask no name service what this machine is called."""
        # Whatever http.server does there, socketserver has done before it.
        super(ThreadingHTTPServer, self).server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, and answer in a thread."""
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection, and close it."""
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the registry keeps what went wrong, and clients come and go."""

    def end(self) -> None:
        """Cut all connections."""
        self.server_close()
        with self._guard:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "longshore"
    sys_version = ""
    # Head and body leave in two writes, and the second would wait for the first's receipt.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Let the connection block for a time, but not for ever."""
        super().setup()
        # Not a timeout of Python's, under which the descriptor no longer blocks.
        limit = struct.pack("ll", _PATIENCE, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def handle(self) -> None:
        """Answer all requests, or a greeting of TLS."""
        self.server.registry.traffic.greeted.set()
        with suppress(OSError):
            first = self.connection.recv(1, socket.MSG_PEEK)
            if first and first[0] == _TLS_HANDSHAKE:
                self._refuse_tls()
            else:
                super().handle()

    def do_GET(self) -> None:
        """Answer with what is asked for."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with its head."""
        self._answer()

    def _refuse_tls(self) -> None:
        # All of the greeting is taken first: what is unread when a connection is closed makes the
        # kernel reset it, and the client may lose the answer.
        self.connection.recv(1 << 16)
        self.connection.sendall(_ANSWER_TO_TLS)
        self.connection.shutdown(socket.SHUT_WR)
        while self.connection.recv(1 << 16):
            pass

    def _answer(self) -> None:
        registry = self.server.registry
        path = self.path.partition("?")[0]
        registry.traffic.request(f"{self.command} {path}")
        if path in ("/v2/", "/v2"):
            self._document(HTTPStatus.OK, {})
            return
        found = _PATH.fullmatch(path)
        # The name is a secret, and its length is none.
        if not found or not secrets.compare_digest(
            found["repository"].encode(), registry.repository.encode()
        ):
            self._error(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", "there is no such repository")
        elif found["kind"] == "manifests":
            self._manifest(registry.manifest(found["name"]))
        else:
            self._blob(registry.blob(found["name"]))

    def _manifest(self, blob: Blob | None) -> None:
        if blob is None:
            self._error(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "there is no such manifest")
            return
        self._head(HTTPStatus.OK, blob, blob.descriptor.media_type, blob.descriptor.size)
        self._body(blob, None)

    def _blob(self, blob: Blob | None) -> None:
        if blob is None:
            self._error(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", "there is no such blob")
            return
        size = blob.descriptor.size
        try:
            part = read_range(self.headers.get("Range"), size)
        except ValueError:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        length = part.end - part.start if part else size
        self._head(status, blob, "application/octet-stream", length, part)
        self._body(blob, part)

    def _head(
        self,
        status: HTTPStatus,
        blob: Blob,
        content_type: str,
        length: int,
        part: ByteRange | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        self.send_header("Docker-Content-Digest", blob.descriptor.digest)
        self.send_header("Accept-Ranges", "bytes")
        if part:
            size = blob.descriptor.size
            self.send_header("Content-Range", f"bytes {part.start}-{part.end - 1}/{size}")
        self.end_headers()

    def _body(self, blob: Blob, part: ByteRange | None) -> None:
        if self.command == "HEAD":
            return
        try:
            self.server.registry.write(blob, self.connection.fileno(), part)
        except Exception:
            # The head has promised more, so that the client knows.
            self.close_connection = True
            raise

    def _error(self, status: HTTPStatus, code: str, message: str) -> None:
        self._document(status, {"errors": [{"code": code, "message": message}]})

    def _document(self, status: HTTPStatus, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request of a client that pulls."""
        del explain
        self.close_connection = True
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            # As http.server answers a method that it has no function for.
            self.server.registry.traffic.request(f"{self.command} {self.path.partition('?')[0]}")
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self._error(status, "UNSUPPORTED", message or status.phrase)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
