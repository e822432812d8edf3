"""Real registries on loopback, the images in them, and a proxy that makes one fail."""

import contextlib
import hashlib
import http.client
import io
import json
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.engine.engines import skopeo_copy

_START_LIMIT = 60
"""Seconds that a registry has for starting: it takes a fraction of one."""

INDEX_TYPES = {
    "application/vnd.oci.image.manifest.v1+json": "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json": (
        "application/vnd.docker.distribution.manifest.list.v2+json"
    ),
}
"""Which kind of index lists which kind of manifest."""


@dataclass(frozen=True)
class Certificate:
    """A certificate for loopback that has signed itself, and its key."""

    certificate: pathlib.Path
    key: pathlib.Path


@dataclass(frozen=True)
class Registry:
    """A registry that listens at `address` (host and port), and the log that it writes."""

    address: str
    log: pathlib.Path

    def name(self, repository: str) -> str:
        """Return the name under which an image of `repository` is pulled."""
        return f"{self.address}/{repository}"

    def push(self, archive: pathlib.Path, repository: str, tag: str, *options: str) -> str:
        """Push a docker-archive, and return the digest of its manifest."""
        digest = archive.parent / f"{tag}.digest"
        skopeo_copy(
            f"docker-archive:{archive}",
            f"docker://{self.name(repository)}:{tag}",
            "--dest-tls-verify=false",
            f"--digestfile={digest}",
            *options,
        )
        return digest.read_text().strip()

    def push_index(self, repository: str, tag: str, platforms: Mapping[str, str]) -> str:
        """Make an index of manifests, and return its digest.

        `platforms` are their digests by "os/architecture" or "os/architecture/variant".
        """
        entries: list[dict[str, Any]] = []
        for platform, digest in platforms.items():
            system, architecture, *variant = platform.split("/")
            data, kind = self._manifest(repository, digest)
            entries.append(
                {
                    "mediaType": kind,
                    "size": len(data),
                    "digest": digest,
                    "platform": {"os": system, "architecture": architecture}
                    | ({"variant": variant[0]} if variant else {}),
                }
            )
        media_type = INDEX_TYPES[entries[0]["mediaType"]]
        index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
        data = json.dumps(index).encode()
        url = f"http://{self.name('v2/' + repository)}/manifests/{tag}"
        headers = {"Content-Type": media_type}
        request = urllib.request.Request(url, data=data, method="PUT", headers=headers)
        with urllib.request.urlopen(request):
            return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _manifest(self, repository: str, digest: str) -> tuple[bytes, str]:
        request = urllib.request.Request(
            f"http://{self.name('v2/' + repository)}/manifests/{digest}",
            headers={"Accept": ", ".join(INDEX_TYPES)},
        )
        with urllib.request.urlopen(request) as answer:
            return answer.read(), answer.headers["Content-Type"]


@contextmanager
def registry(
    directory: pathlib.Path,
    *,
    users: Mapping[str, str] | None = None,
    certificate: Certificate | None = None,
) -> Iterator[Registry]:
    """Run a registry whose data and log lie in `directory`, until the block ends.

    `users` are passwords by name, without which nobody gets anything; with `certificate` it
    speaks TLS. It ends with this process even if that is killed.
    """
    directory.mkdir()
    configuration, log = directory / "config.json", directory / "log"
    settings: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": f"{directory}/data"}},
        "http": {"addr": "127.0.0.1:0"},
    }
    if certificate:
        settings["http"]["tls"] = {
            "certificate": str(certificate.certificate),
            "key": str(certificate.key),
        }
    if users:
        passwords = directory / "passwords"
        passwords.write_text("".join(_password(*user) for user in users.items()))
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
    # JSON is YAML.
    configuration.write_text(json.dumps(settings))
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "docker-registry", "serve", configuration],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Registry(address=_await_address(server, log), log=log)
    finally:
        server.terminate()
        server.wait()


def _password(user: str, password: str) -> str:
    command = ["htpasswd", "-Bbn", user, password]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _await_address(server: subprocess.Popen[bytes], log: pathlib.Path) -> str:
    deadline = time.monotonic() + _START_LIMIT
    while server.poll() is None and time.monotonic() < deadline:
        found = re.search(r'msg="listening on (127\.0\.0\.1:\d+)', log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"docker-registry does not listen; its log:\n{log.read_text()}")


def self_signed(directory: pathlib.Path) -> Certificate:
    """Make a certificate for 127.0.0.1 that nobody else has signed."""
    made = Certificate(certificate=directory / "certificate.pem", key=directory / "key.pem")
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-noenc", "-days", "3650", "-subj", "/CN=tests"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        *("-out", str(made.certificate), "-keyout", str(made.key)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made


def unused_address() -> str:
    """Return an address of loopback where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


def busybox_archive(path: pathlib.Path, *, architecture: str = "amd64", says: str) -> pathlib.Path:
    """Write an image whose only program is busybox and whose command prints `says`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        # Docker makes directories that no layer has, but only root could enter them.
        directory = tarfile.TarInfo("bin")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)
        _add(archive, "bin/busybox", pathlib.Path(shutil.which("busybox")).read_bytes(), mode=0o755)
    diff_id = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "echo", says]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as out:
        _add(out, "layer.tar", layer.getvalue())
        _add(out, "config.json", json.dumps(config).encode())
        _add(out, "manifest.json", json.dumps(manifest).encode())
    return path


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))


@dataclass
class Flaky:
    """A proxy in front of a registry, for clients that know of it and for others.

    To each of the first requests for a manifest or a blob one of `faults` happens: "500", "503" or
    another status, "reset" (the connection is reset), "cut" (half of the answer comes), "stall"
    (nothing comes any more after that half), or "none".
    `requests` are the paths that were asked for, faulty answers included.
    """

    registry: Registry
    faults: Sequence[str]
    address: str = ""
    requests: list[str] = field(default_factory=list)

    def name(self, repository: str) -> str:
        """Return the name under which an image of `repository` is pulled through the proxy."""
        return f"{self.address}/{repository}"


@contextmanager
def flaky(registry: Registry, *faults: str) -> Iterator[Flaky]:
    """Run a proxy that lets `faults` happen before it passes on what `registry` answers."""
    proxy = Flaky(registry, list(faults))
    left = iter(faults)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fault = None
            with lock:
                if "/manifests/" in self.path or "/blobs/" in self.path:
                    proxy.requests.append(self.path)
                    fault = next(left, None)
            if fault == "reset":
                self._reset()
            elif fault in (None, "none", "cut", "stall"):
                self._pass_on(cut=fault in ("cut", "stall"))
                if fault == "stall":
                    # Until the client goes away.
                    self.connection.recv(1)
            else:
                self.send_error(int(fault))

        def _reset(self) -> None:
            # Closing without lingering sends RST in place of FIN.
            option = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            self.close_connection = True
            self.connection.close()

        def _pass_on(self, *, cut: bool) -> None:
            upstream = http.client.HTTPConnection(registry.address)
            # A client of an HTTP proxy asks for the whole URL.
            path = re.sub(r"^http://[^/]+", "", self.path)
            upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            answer = upstream.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = self.close_connection or cut
            upstream.close()

        def log_message(self, *_: object) -> None:
            """Be silent."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Be silent: clients that go away, and connections that were reset, are part of it."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield proxy
