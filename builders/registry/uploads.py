"""Sending blobs: one POST and one PUT where a registry takes that, and what others want.

Source: OCI distribution specification v1.1, "Pushing blobs". What registries do beside it is told
at the ways below; docs/push.md has the table.
"""

import re
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final
from urllib.parse import quote, urlencode

from builders.console.errors import UserError, die
from builders.registry.answers import Answer
from builders.registry.bodies import Bytestream
from builders.registry.client import Client, Payload
from builders.registry.destinations import Repository
from builders.registry.no_answer import NoAnswerError
from builders.registry.refusals import refused, unreachable
from builders.registry.tokens import Scopes
from builders.registry.transmission import Attempts, OnSent, Transmission

_SMALLEST_CHUNK: Final = 1 << 20
CHUNK_SIZES: Final = (16 << 20, 4 << 20, _SMALLEST_CHUNK)
"""Bytes of the parts that are tried where a body as a whole is too large."""
_WORTH_RESUMING: Final = 1 << 20
"""Bytes below which a blob is sent again rather than asked about."""
_SIZE_DIGITS: Final = 15
_BINARY: Final = {"Content-Type": "application/octet-stream"}


class Way(Enum):
    """How a body goes to a session of uploading."""

    PUT = auto()
    """As the body of the request that ends it."""
    PATCH = auto()
    """As one body before an empty end: old Artifactory wants it so."""
    CHUNKS = auto()
    """In parts: only where whole bodies are too large. GAR takes none, and GHCR only small ones."""


@dataclass(frozen=True)
class Session:
    """An upload that is under way, at an address that changes with each answer."""

    address: str
    least: int = 0
    """Bytes that a part must have, the last one aside (OCI-Chunk-Min-Length)."""


def push_scopes(repository: Repository) -> Scopes:
    """Return what a push to `repository` needs a token for."""
    return (f"repository:{repository.path}:pull,push",)


def pull_scope(repository: Repository) -> str:
    """Return what reading `repository` needs a token for."""
    return f"repository:{repository.path}:pull"


def check_digest(answer: Answer, digest: str, what: str) -> None:
    """Raise `UserError` where a registry says that what it has is of another digest."""
    said = answer.headers.get("Docker-Content-Digest")
    if said and said.startswith("sha256:") and said != digest:
        die(
            f"the registry says that {what} has the digest {said}, and it has {digest}",
            hint="push again; if that is the same, tell whoever runs the registry",
        )


class Uploads:
    """Sends blobs to one repository; for several threads."""

    def __init__(
        self, client: Client, repository: Repository, *, chunk_size: int | None = None
    ) -> None:
        """With `chunk_size` all larger blobs go in parts of so many bytes."""
        self._client = client
        self._repository = repository
        self._scopes = push_scopes(repository)
        self._base = f"/v2/{repository.path}/blobs"
        self._ways = [Way.CHUNKS] if chunk_size else [Way.PUT, Way.PATCH, Way.CHUNKS]
        smaller = [size for size in CHUNK_SIZES if chunk_size is None or size < chunk_size]
        self._chunks = [chunk_size, *smaller] if chunk_size else smaller
        self._mounts_own = True
        self._damaged: set[str] = set()
        """Blobs that the repository has with another size."""

    def check_access(self) -> None:
        """Raise `UserError` where nothing may be sent to the repository."""
        self._begin()

    def exists(
        self, digest: str, repository: Repository | None = None, *, size: int | None = None
    ) -> bool:
        """Whether the repository, or another one, has the blob, and where `size` is known all."""
        if repository is None:
            path, scopes = f"{self._base}/{digest}", self._scopes
        else:
            path, scopes = f"/v2/{repository.path}/blobs/{digest}", (pull_scope(repository),)
        answer = self._client.ask("HEAD", path, scopes)
        if answer.ok:
            there = _length(answer)
            if size is None or there is None or there == size:
                return True
            if repository is None:
                self._damaged.add(digest)
            return False
        # Who may not look may push all the same, before there is anything.
        if repository is not None or answer.status in (400, 401, 403, 404, 405, 501):
            return False
        raise self._refused(answer, "tell about a layer")

    def begin_unless_there(self, digest: str, *, size: int, trust: bool = True) -> Session | None:
        """Return the session of an upload that is begun, None if the repository has the blob.

        One request does both: a repository mounts what is its own, and begins an upload of the
        rest. A registry that does neither is asked first from then on, and so is one without
        `trust`.
        """
        if trust and self._mounts_own:
            answer = self.mount(digest, self._repository)
            if answer is True:
                return None
            if answer:
                return answer
            self._mounts_own = False
        return None if self.exists(digest, size=size) else self._begin()

    def mount(self, digest: str, source: Repository) -> Session | bool:
        """Let the repository have the blob that `source` has, on the same registry.

        Returns true if it has, a session where the registry would rather have the bytes, and false
        where it says that it can't: Harbor, Quay and Artifactory do in ways of their own.
        """
        query = urlencode({"mount": digest, "from": source.path})
        # Docker Hub wants a token for the source, too, even if anybody may read that.
        read = () if source == self._repository else (pull_scope(source),)
        scopes = (*self._scopes, *read)
        try:
            answer = self._client.exchange("POST", f"{self._base}/uploads/?{query}", scopes)
        except (NoAnswerError, UserError):
            return False
        if answer.status == 201:
            check_digest(answer, digest, "a layer")
            return True
        if answer.status == 202 and answer.headers.get("Location"):
            return self._session(answer)
        return False

    def send(
        self,
        blob: Bytestream,
        *,
        session: Session | None = None,
        on_sent: OnSent = lambda _: None,
    ) -> None:
        """Send the blob, in a `session` where one is open; raises `UserError`."""
        self._send(blob, session, on_sent)
        if blob.digest in self._damaged:
            self._check_mended(blob)

    def _check_mended(self, blob: Bytestream) -> None:
        """Raise `UserError` where a registry has kept what it had of `blob`: some do."""
        answer = self._client.ask("HEAD", f"{self._base}/{blob.digest}", self._scopes)
        there = _length(answer)
        if answer.ok and there is not None and there != blob.size:
            die(
                f"the registry {self._repository.registry} has {there} bytes of {blob.digest}, "
                f"which has {blob.size}, and keeps them whatever is sent",
                hint="let whoever runs it delete that blob, and push again",
            )

    def _send(self, blob: Bytestream, session: Session | None, on_sent: OnSent) -> None:
        attempts = Attempts(self._client)
        while True:
            transmission = Transmission(blob, on_sent)
            try:
                if session is None:
                    session = self._begin()
                if self._try(transmission, session, attempts):
                    return
            except NoAnswerError as error:
                if not self._client.may_pass(error):
                    raise unreachable(error, self._client.host) from None
                attempts.failed(error.said, unreachable(error, self._client.host))
                # It may be there all the same, where only the answer was lost.
                if self.exists(blob.digest) or (
                    self._way == Way.PUT and self._resume(blob, session, on_sent)
                ):
                    return
            transmission.undo()
            session = None

    @property
    def _way(self) -> Way:
        return self._ways[0]

    def _begin(self) -> Session:
        answer = self._client.ask("POST", f"{self._base}/uploads/", self._scopes)
        if answer.status != 202 or not answer.headers.get("Location"):
            raise self._refused(answer, "begin an upload")
        return self._session(answer)

    def _session(self, answer: Answer, before: Session | None = None) -> Session:
        location = answer.headers.get("Location")
        least = (answer.headers.get("OCI-Chunk-Min-Length") or "").strip()
        return Session(
            self._client.resolve(location, answer)
            if location
            else before.address
            if before
            else "",
            int(least) if _is_size(least) else before.least if before else 0,
        )

    def _try(self, transmission: Transmission, session: Session, attempts: Attempts) -> bool:
        """Return whether the blob is there; if not, try again with a new session."""
        way = self._way
        answer = self._by(way, transmission, session)
        if answer.ok:
            check_digest(answer, transmission.blob.digest, "a layer")
            return True
        failure = self._refused(answer, "take a layer")
        if answer.status in (404, 405, 411, 415, 501) and way == Way.PUT and len(self._ways) > 1:
            self._leave(way)
        elif answer.status in (413, 416) and self._smaller(way):
            pass
        elif answer.status in (408, 425, 429) or answer.status >= 500:
            attempts.failed(answer.said, failure, answer)
        elif answer.status in (400, 404, 416):
            # The session is gone, or bytes were lost on the way.
            attempts.failed(answer.said, failure, most=1)
        else:
            raise failure
        return False

    def _by(self, way: Way, transmission: Transmission, session: Session) -> Answer:
        if way == Way.PUT:
            return self._end(session, transmission.blob, transmission.whole())
        if way == Way.PATCH:
            answer = self._exchange("PATCH", session.address, transmission.whole())
        else:
            return self._by_chunks(transmission, session)
        return self._end(self._session(answer, session), transmission.blob) if answer.ok else answer

    def _by_chunks(self, transmission: Transmission, session: Session) -> Answer:
        most = max(self._chunks[0], session.least)
        whole = transmission.blob.size
        with closing(transmission):
            for start in range(0, whole, most):
                # Counted here: what ECR says in Range stays at the first part.
                size = min(most, whole - start)
                headers = {"Content-Range": f"{start}-{start + size - 1}"}
                payload = transmission.part(start, size)
                again = partial(self._exchange, "PATCH", session.address, payload, headers)
                answer = self._client.persist(again)
                if not answer.ok:
                    return answer
                session = self._session(answer, session)
        return self._end(session, transmission.blob)

    def _resume(self, blob: Bytestream, session: Session | None, on_sent: OnSent) -> bool:
        """Send what the registry lacks of a blob that broke off; return whether that worked."""
        if session is None or blob.size < 2 * _WORTH_RESUMING:
            return False
        try:
            answer = self._client.exchange("GET", session.address, self._scopes)
            stored = _stored(answer)
            if not answer.ok or not _WORTH_RESUMING <= stored < blob.size:
                return False
            transmission = Transmission(blob, on_sent)
            headers = {"Content-Range": f"{stored}-{blob.size - 1}"}
            session = self._session(answer, session)
            answer = self._exchange("PATCH", session.address, transmission.whole(stored), headers)
            if answer.ok:
                answer = self._end(self._session(answer, session), blob)
        except NoAnswerError:
            return False
        return answer.ok

    def _end(self, session: Session, blob: Bytestream, payload: Payload | None = None) -> Answer:
        joint = "&" if "?" in session.address else "?"
        address = f"{session.address}{joint}digest={quote(blob.digest, safe='')}"
        return self._exchange("PUT", address, payload)

    def _exchange(
        self,
        method: str,
        address: str,
        payload: Payload | None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = {**_BINARY, **(headers or {})}
        return self._client.exchange(method, address, self._scopes, headers=sent, payload=payload)

    def _leave(self, way: Way) -> None:
        # Other threads may have seen the same.
        if self._ways[0] == way:
            del self._ways[0]

    def _smaller(self, way: Way) -> bool:
        """Go over to smaller parts; return whether there are any."""
        if way != Way.CHUNKS:
            self._ways = [Way.CHUNKS]
            return True
        if len(self._chunks) > 1:
            del self._chunks[0]
            return True
        return False

    def _refused(self, answer: Answer, doing: str) -> UserError:
        return refused(answer, self._repository, doing, logged_in=self._client.has_credentials)


def _stored(answer: Answer) -> int:
    """Return how many bytes a session has, as far as it says so."""
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range") or "")
    # None at all is told as "0-0" as well.
    return int(found[1]) + 1 if found and _is_size(found[1]) and found[1] != "0" else 0


def _length(answer: Answer) -> int | None:
    """Return how long the body is that a HEAD was told of; None, also for 0, where that is open."""
    length = (answer.headers.get("Content-Length") or "").strip()
    return int(length) or None if _is_size(length) else None


def _is_size(text: str) -> bool:
    """Whether `text` is a number of bytes that a blob may have."""
    return text.isdecimal() and len(text) <= _SIZE_DIGITS
