"""A registry in a thread, which plays what real ones do beside the specification, and faults."""

import base64
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from urllib.parse import parse_qs, parse_qsl, urlsplit


@dataclass
class Request:
    """What came: `received` counts the bytes of the body that arrived."""

    method: str
    path: str
    headers: Message
    received: int = 0
    status: int = 0
    at: float = 0.0
    form: str = ""

    @property
    def query(self):
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def scopes(self):
        return parse_qs(urlsplit(self.path).query).get("scope", [])


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path has `pattern` in it.

    "reset" cuts the connection before an answer, "cut" after `after` bytes of the body, "lose" once
    all is done; a number is a status, with `headers` and `body`.
    """

    method: str
    pattern: str
    what: object
    times: int = 1
    after: float = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""


class Quirks:
    """A registry; subclasses and attributes are its peculiarities."""

    users: Mapping = MappingProxyType({})
    """Passwords by user; with any, somebody has to log in."""
    scheme = "Basic"
    """Or "Bearer"."""
    realm = None
    """The address of the token service, None for its own."""
    first_scope_only = False
    last_scope_only = False
    token_uses = 0
    """Requests that a token is good for, 0 for any number."""
    expires_in: int | None = 300
    identity_token = None
    mounts = True
    mount_status = None
    """What a mount is answered with that is not done."""
    whole_put = 201
    """What a PUT with a body is answered with."""
    patch_max = None
    """Bytes of a PATCH with Content-Range; more is 416. 0 refuses all."""
    patch_status = 202
    stuck_range = False
    session_get = True
    body_max = None
    ranges = False
    """Whether it gives a part of a blob that is asked for."""
    location = None
    """Where uploads go instead."""
    keeps_old_blobs = False
    """A blob that is there is not written again, as the distribution project's registry does."""
    lies_about = ()
    """Of "manifest", "layer" and "config": what it says another digest of, or has others of."""

    def __init__(self):
        self.blobs = {}
        self.manifests = {}
        self.sessions = {}
        self.tokens = {}
        self.requests = []
        self.faults = []
        self.lock = threading.RLock()
        self.address = ""
        self.secure = False

    # What tests ask.

    @property
    def url(self):
        return f"{'https' if self.secure else 'http'}://{self.address}"

    def name(self, repository):
        return f"{self.address}/{repository}"

    def seen(self, method=None, pattern=""):
        return [
            request
            for request in self.requests
            if method in (None, request.method) and re.search(pattern, request.path)
        ]

    @property
    def received(self):
        """Bytes of blobs that arrived."""
        return sum(r.received for r in self.requests if "/blobs/uploads/" in r.path)

    def tag(self, repository, tag):
        return self.manifests.get(repository, {}).get(tag)

    def image(self, repository, tag):
        """Return the manifest under a tag, all of whose blobs are there."""
        _, data = self.manifests[repository][tag]
        manifest = json.loads(data)
        for child in manifest.get("manifests", ()):
            self.image(repository, child["digest"])
        for blob in (*manifest.get("layers", ()), *filter(None, [manifest.get("config")])):
            content = self.blobs[repository][blob["digest"]]
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]
            assert len(content) == blob["size"]
        return manifest

    def put_image(self, repository, tag, layers, diff_ids, *, config=None, media_type=None):
        """Store an image as another tool has pushed it: its layers by media type and bytes."""
        blobs = self.blobs.setdefault(repository, {})
        document = json.dumps({"rootfs": {"diff_ids": diff_ids}, **(config or {})}).encode()
        described = []
        for kind, data in [("application/vnd.oci.image.config.v1+json", document), *layers]:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            blobs[digest] = data
            described.append({"mediaType": kind, "digest": digest, "size": len(data)})
        manifest = {"schemaVersion": 2, "config": described[0], "layers": described[1:]}
        kind = media_type or "application/vnd.oci.image.manifest.v1+json"
        data = json.dumps({"mediaType": kind, **manifest}).encode()
        self._store_manifest(repository, tag, kind, data)
        return described[1:]

    # What it answers.

    def handle(self, handler):
        request = Request(handler.command, handler.path, handler.headers, at=time.monotonic())
        with self.lock:
            self.requests.append(request)
            fault = self._fault(request)
        if fault and fault.what == "reset":
            handler.reset()
            return
        if fault and fault.what == "cut":
            data = handler.body(request, most=int(fault.after))
            self._keep(request, data)
            handler.reset()
            return
        if fault and fault.what == "slow":
            time.sleep(fault.after)
        if fault and isinstance(fault.what, int):
            handler.body(request)
            handler.answer(request, fault.what, fault.headers, fault.body)
            return
        if request.path.startswith("/token"):
            self.give_token(handler, request)
            return
        if not self.authorized(handler, request):
            handler.body(request)
            return
        if fault and fault.what == "lose":
            handler.lost = True
        self.serve(handler, request)

    def _fault(self, request):
        for fault in self.faults:
            if fault.method == request.method and re.search(fault.pattern, request.path):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def _keep(self, request, data):
        """Keep what came of a body, as the distribution project's registry does."""
        identifier = urlsplit(request.path).path.rpartition("/")[2]
        if identifier in self.sessions:
            self.sessions[identifier] += data

    def serve(self, handler, request):
        path = urlsplit(request.path).path
        found = re.fullmatch(
            r"/v2/(?P<repository>.+?)/(?P<kind>manifests|blobs/uploads|blobs)/(?P<rest>.*)", path
        )
        if not found:
            handler.answer(request, 404, {}, b"")
            return
        repository, kind, rest = found.group("repository", "kind", "rest")
        if kind == "manifests":
            self.serve_manifest(handler, request, repository, rest)
        elif kind == "blobs":
            self.serve_blob(handler, request, repository, rest)
        else:
            self.serve_upload(handler, request, repository, rest)

    def serve_manifest(self, handler, request, repository, reference):
        if request.method == "PUT":
            data = handler.body(request)
            manifest = json.loads(data)
            named = [*manifest.get("layers", ()), *filter(None, [manifest.get("config")])]
            children = manifest.get("manifests", ())
            known = self.manifests.get(repository, {})
            if any(blob["digest"] not in self.blobs.get(repository, {}) for blob in named) or any(
                child["digest"] not in known for child in children
            ):
                handler.error(request, 400, "MANIFEST_BLOB_UNKNOWN")
                return
            digest = self._store_manifest(
                repository, reference, request.headers["Content-Type"], data
            )
            handler.answer(request, 201, {"Docker-Content-Digest": self.lie("manifest", digest)})
            return
        known = self.manifests.get(repository, {}).get(reference)
        if known is None:
            handler.error(request, 404, "MANIFEST_UNKNOWN")
            return
        kind, data = known
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        handler.answer(
            request,
            200,
            {"Content-Type": kind, "Docker-Content-Digest": self.lie("manifest", digest)},
            data,
        )

    def _store_manifest(self, repository, reference, kind, data):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.manifests.setdefault(repository, {})[reference] = (kind, data)
        self.manifests[repository][digest] = (kind, data)
        return digest

    def lie(self, what, digest):
        return f"sha256:{'0' * 64}" if what in self.lies_about else digest

    def serve_blob(self, handler, request, repository, digest):
        data = self.blobs.get(repository, {}).get(digest)
        if data is None:
            handler.error(request, 404, "BLOB_UNKNOWN")
        else:
            if "config" in self.lies_about and data.startswith(b"{"):
                data = data.replace(b"{", b"{ ", 1)
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
            if found and self.ranges:
                start, last = map(int, found.groups())
                part = data[start : last + 1]
                where = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
                handler.answer(request, 206, {"Content-Range": where}, part)
                return
            handler.answer(request, 200, {"Docker-Content-Digest": digest}, data)

    def serve_upload(self, handler, request, repository, identifier):
        if request.method == "POST":
            handler.body(request)
            self.begin_upload(handler, request, repository)
            return
        if identifier not in self.sessions:
            handler.body(request)
            handler.error(request, 404, "BLOB_UPLOAD_UNKNOWN")
            return
        length = int(request.headers.get("Content-Length") or 0)
        if self.body_max is not None and length > self.body_max:
            handler.body(request)
            handler.answer(request, 413, {}, b"<html>too large</html>")
            return
        {"PATCH": self.patch, "PUT": self.put, "GET": self.tell}[request.method](
            handler, request, repository, identifier
        )

    def begin_upload(self, handler, request, repository):
        query = request.query
        if "mount" in query:
            if self.mount_status:
                handler.error(request, self.mount_status, "UNSUPPORTED")
                return
            data = self.blobs.get(query.get("from"), {}).get(query["mount"])
            if data is not None and self.mounts:
                self.blobs.setdefault(repository, {})[query["mount"]] = data
                handler.answer(request, 201, {"Docker-Content-Digest": query["mount"]})
                return
        identifier = uuid.uuid4().hex
        self.sessions[identifier] = b""
        handler.answer(request, 202, {"Location": self.place(repository, identifier)})

    def place(self, repository, identifier):
        where = f"/v2/{repository}/blobs/uploads/{identifier}?state=x"
        return f"{self.location}{where}" if self.location else where

    def patch(self, handler, request, repository, identifier):
        data = handler.body(request)
        if "Content-Range" in request.headers:
            start = int(request.headers["Content-Range"].partition("-")[0])
            if start != len(self.sessions[identifier]):
                handler.error(request, 416, "RANGE_INVALID")
                return
            if self.patch_max is not None and len(data) > self.patch_max:
                handler.error(request, 416, "RANGE_INVALID")
                return
        self.sessions[identifier] += data
        end = 0 if self.stuck_range else len(self.sessions[identifier]) - 1
        handler.answer(
            request,
            self.patch_status,
            {"Location": self.place(repository, identifier), "Range": f"0-{end}"},
        )

    def put(self, handler, request, repository, identifier):
        data = handler.body(request)
        if data and self.whole_put != 201:
            handler.error(request, self.whole_put, "UNSUPPORTED")
            return
        whole = self.sessions.pop(identifier) + data
        digest = f"sha256:{hashlib.sha256(whole).hexdigest()}"
        if digest != request.query["digest"]:
            handler.error(request, 400, "DIGEST_INVALID")
            return
        stored = self.blobs.setdefault(repository, {})
        if not (self.keeps_old_blobs and digest in stored):
            stored[digest] = whole
        handler.answer(request, 201, {"Docker-Content-Digest": self.lie("layer", digest)})

    def tell(self, handler, request, repository, identifier):
        if not self.session_get:
            handler.error(request, 404, "BLOB_UPLOAD_UNKNOWN")
            return
        size = len(self.sessions[identifier])
        handler.answer(
            request,
            204,
            {"Location": self.place(repository, identifier), "Range": f"0-{max(0, size - 1)}"},
        )

    # Who may.

    def authorized(self, handler, request):
        if not self.users and not self.identity_token:
            return True
        given = request.headers.get("Authorization", "")
        repository = re.match(r"/v2/(.+?)/(?:manifests|blobs)/", request.path)[1]
        actions = "pull" if request.method in ("GET", "HEAD") else "push"
        if self.scheme == "Basic":
            user, _, password = (
                base64.b64decode(given.removeprefix("Basic ") or "").decode().partition(":")
            )
            if user and self.users.get(user) == password:
                return True
            handler.answer(request, 401, {"WWW-Authenticate": 'Basic realm="quirks"'})
            return False
        needed = [f"repository:{repository}:{actions}"]
        if "mount" in request.query:
            needed.append(f"repository:{request.query['from']}:pull")
        token = self.tokens.get(given.removeprefix("Bearer "))
        if token and all(self._covers(token["scopes"], scope) for scope in needed):
            token["uses"] += 1
            if not self.token_uses or token["uses"] <= self.token_uses:
                return True
        realm = self.realm or f"{self.url}/token"
        challenge = f'Bearer realm="{realm}",service="quirks",scope="{needed[0]}"'
        handler.answer(request, 401, {"WWW-Authenticate": challenge})
        return False

    @staticmethod
    def _covers(scopes, needed):
        name, _, action = needed.rpartition(":")
        for scope in scopes:
            given, _, actions = scope.rpartition(":")
            if given == name and action in actions.split(","):
                return True
        return False

    def give_token(self, handler, request):
        form = dict(parse_qsl(handler.body(request).decode()))
        scopes = form.get("scope", "").split() or request.scopes
        request.form = json.dumps(form)
        if request.method == "POST":
            if form.get("refresh_token") != self.identity_token:
                handler.answer(request, 401)
                return
        else:
            given = request.headers.get("Authorization", "").removeprefix("Basic ")
            user, _, password = base64.b64decode(given).decode().partition(":")
            if self.users.get(user) != password:
                handler.answer(request, 401, {}, b"{}")
                return
        if self.first_scope_only:
            scopes = scopes[:1]
        if self.last_scope_only:
            scopes = scopes[-1:]
        token = uuid.uuid4().hex
        self.tokens[token] = {"scopes": scopes, "uses": 0}
        answer: dict = {"token": token}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        handler.answer(request, 200, {}, json.dumps(answer).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    quirks: Quirks

    def setup(self):
        super().setup()
        self.lost = False
        self._read = False

    def body(self, request, most=None):
        """Read the body, or at most so many bytes of it."""
        if self._read:
            return b""
        self._read = True
        left = int(self.headers.get("Content-Length") or 0)
        if most is not None:
            left = min(left, most)
        parts = []
        while left:
            part = self.rfile.read(min(left, 1 << 16))
            if not part:
                break
            parts.append(part)
            left -= len(part)
            request.received += len(part)
        return b"".join(parts)

    def answer(self, request, status, headers=None, data=b""):
        request.status = status
        if self.lost:
            self.reset()
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(data)

    def error(self, request, status, code):
        self.body(request)
        data = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self.answer(request, status, {"Content-Type": "application/json"}, data)

    def reset(self):
        option = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.close_connection = True
        self.connection.close()

    def handle_one_request(self):
        self._read = False
        self.lost = False
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True

    def _serve(self):
        self.quirks.handle(self)

    def log_message(self, format, *arguments):
        pass


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._serve)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


@contextmanager
def running(quirks, *, certificate=None, key=None):
    """Let `quirks` serve on loopback; with a certificate by TLS."""
    handler = type("Handler", (_Handler,), {"quirks": quirks})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        quirks.secure = True
    quirks.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield quirks
    finally:
        server.shutdown()
        server.server_close()
