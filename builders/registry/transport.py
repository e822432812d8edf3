"""Requests over HTTP: pools of connections, TLS, proxies, and failures told by their kind.

What is sent is not sent again here, and no redirection is followed: that takes somebody who knows
what the request was for.
"""

import errno
import glob
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProxyError
from urllib3.util import Timeout
from urllib3.util.ssl_match_hostname import CertificateError

from builders.console.errors import UserError
from builders.registry.addresses import read_address
from builders.registry.answers import Answer
from builders.registry.destinations import is_address
from builders.registry.no_answer import NoAnswerError, Obstacle
from builders.registry.proxies import Proxy, find_proxy

Body = bytes | Iterable[bytes]

PATIENCE_SECONDS: Final = 120
"""Seconds that a registry may be without a byte."""
_CONNECT_SECONDS: Final = 30
_ANSWER_MAX: Final = 8 << 20
"""Bytes of an answer: of a manifest registries take 4 MiB."""
_CERTIFICATES: Final = ("/etc/docker/certs.d", "/etc/containers/certs.d")
"""Where docker and podman look for authorities of a registry of one's own."""
_NO_TLS: Final = frozenset(
    ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
)
"""What OpenSSL says where the other side answers in plain text."""
_NO_AGREEMENT: Final = re.compile(
    r"HANDSHAKE_FAILURE|PROTOCOL|UNRECOGNIZED_NAME|CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED"
    r"|INSUFFICIENT_SECURITY|KEY_TOO_SMALL|NO_CIPHERS|NO_SHARED_CIPHER|NO_SUITABLE"
)
"""What is in OpenSSL's reasons of what is the same each time."""
_NO_WAY: Final = frozenset(
    (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL)
)


class Transport:
    """Sends requests; `requests` and `sent`, in bytes of bodies, count what went out."""

    def __init__(
        self,
        *,
        verify: bool = True,
        connections: int = 8,
        authorities: Sequence[str] = (),
        certificates: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`connections` to each host are kept.

        Without `verify` any certificate will do. `authorities` are files of those that are trusted
        beside the system's, and `certificates` is one for who has none of the system's.
        """
        self.requests = 0
        self.sent = 0
        self._verify = verify
        self._connections = connections
        self._authorities = authorities
        self._certificates = certificates
        self._patience = patience
        self._pools: dict[tuple[Proxy | None, str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None
    ) -> Answer:
        """Send a request; raises `NoAnswerError` where no answer comes.

        A body that is no `bytes` has its Content-Length in `headers`.
        """
        with self._lock:
            self.requests += 1
        pool = self._pool(url)
        try:
            response = pool.request(
                method,
                url,
                headers=dict(headers),
                body=self._counted(body),
                preload_content=False,
                redirect=False,
                retries=False,
            )
            try:
                data = response.read(_ANSWER_MAX + 1)
                if len(data) > _ANSWER_MAX:
                    # What follows would be taken for the next answer.
                    response.close()
            finally:
                response.release_conn()
        except (HTTPError, OSError) as error:
            obstacle, said = self._failure(error)
            raise NoAnswerError(obstacle, said, str(read_address(url) or "")) from None
        whole = len(data) <= _ANSWER_MAX
        return Answer(response.status, response.headers, data[:_ANSWER_MAX], url, whole)

    def _counted(self, body: Body | None) -> Body | None:
        if isinstance(body, bytes):
            with self._lock:
                self.sent += len(body)
            return body
        return None if body is None else self._counting(body)

    def _counting(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for piece in body:
            yield piece
            with self._lock:
                self.sent += len(piece)

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        proxy = find_proxy(parts.scheme, host)
        with self._lock:
            key = (proxy, parts.scheme, host)
            if key not in self._pools:
                # To read all authorities takes longer than most requests.
                secure = "https" in (parts.scheme, proxy.scheme if proxy else "")
                self._pools[key] = self._new_pool(proxy, self._context(host) if secure else None)
            return self._pools[key]

    def _new_pool(self, proxy: Proxy | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        timeout = Timeout(connect=self._connect_patience, read=self._patience)
        if proxy is None:
            return urllib3.PoolManager(
                maxsize=self._connections,
                timeout=timeout,
                ssl_context=context,
                cert_reqs=self._requirements,
            )
        return urllib3.ProxyManager(
            proxy.address,
            proxy_headers=proxy.headers,
            maxsize=self._connections,
            timeout=timeout,
            ssl_context=context,
            cert_reqs=self._requirements,
        )

    @property
    def _requirements(self) -> str:
        # Some versions of urllib3 ask for more than the context does.
        return "CERT_REQUIRED" if self._verify else "CERT_NONE"

    @property
    def _connect_patience(self) -> float:
        return min(_CONNECT_SECONDS, self._patience)

    def _context(self, host: str) -> ssl.SSLContext:
        # With what SSL_CERT_FILE and SSL_CERT_DIR name.
        context = ssl.create_default_context()
        for file in filter(os.path.exists, self._authorities):
            _trust(context, file)
        if self._certificates and not context.cert_store_stats()["x509_ca"]:
            _trust(context, self._certificates)
        for directory in _CERTIFICATES:
            for path in glob.glob(f"{glob.escape(os.path.join(directory, host))}/*.crt"):
                _trust(context, path)
            for path in glob.glob(f"{glob.escape(os.path.join(directory, host))}/*.cert"):
                key = f"{path.removesuffix('.cert')}.key"
                try:
                    context.load_cert_chain(path, key, password=lambda: "")
                except (OSError, ValueError) as error:
                    raise _unusable(f"the certificate {path} with the key {key}", error) from None
        if is_address(host):
            # urllib3 compares them itself: before 2.0 it gives no address to the TLS library.
            context.check_hostname = False
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return context

    def _failure(self, error: Exception) -> tuple[Obstacle, str]:
        """Return what `error` means; what it says of addresses and headers is left out."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ProxyError):
                return Obstacle.PROXY, _reason(causes)
        for cause in causes:
            if isinstance(cause, socket.gaierror):
                return Obstacle.NO_HOST, f"{cause.strerror}"
            if isinstance(cause, CertificateError):
                return Obstacle.CERTIFICATE, "it is one for another host"
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Obstacle.CERTIFICATE, cause.verify_message
            if isinstance(cause, ssl.SSLError) and (cause.reason or "") in _NO_TLS:
                return Obstacle.PLAIN_HTTP, "it speaks no TLS"
            if isinstance(cause, ssl.SSLError) and _NO_AGREEMENT.search(cause.reason or ""):
                return Obstacle.NO_TLS, cause.reason.lower().replace("_", " ")
            if isinstance(cause, ConnectionRefusedError):
                return Obstacle.REFUSED, "connection refused"
            if isinstance(cause, OSError) and cause.errno in _NO_WAY:
                return Obstacle.NO_WAY, _reason(causes)
            # Some versions of urllib3 take what failed at once for a kind of it.
            if type(cause) is ConnectTimeoutError:
                return Obstacle.NO_WAY, f"no connection within {self._connect_patience:g} s"
        late = (TimeoutError, urllib3.exceptions.TimeoutError)
        if any(isinstance(cause, late) for cause in causes):
            return Obstacle.SILENCE, f"nothing came for {self._patience:g} s"
        return Obstacle.BREAK, _reason(causes)


def _trust(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:
        raise _unusable(f"the certificates in {path}", error) from None


def _unusable(what: str, error: OSError | ValueError) -> UserError:
    said = error.strerror if isinstance(error, OSError) and error.errno in errno.errorcode else ""
    return UserError(
        f"can't use {what} ({said or 'what stands there is none'})",
        hint="mend it, or take it away",
    )


def _reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"{cause.strerror}"
        if isinstance(cause, OSError) and cause.errno and cause.errno in errno.errorcode:
            return os.strerror(cause.errno).lower()
        if isinstance(cause, OSError) and str(cause).startswith("Tunnel connection failed"):
            return str(cause)
    return "the connection broke off"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it came from, which urllib3 keeps in several places."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        at = pending.pop(0)
        if isinstance(at, BaseException) and id(at) not in seen:
            seen.add(id(at))
            yield at
            original = getattr(at, "original_error", None)
            reason = getattr(at, "reason", None)
            pending += [*at.args, original, reason, at.__cause__, at.__context__]
