"""A registry as a client sees it: requests that are authorized, sent again, and redirected.

Source: OCI distribution specification v1.1.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from builders.console.errors import die, warn
from builders.registry.addresses import read_address
from builders.registry.answers import Answer
from builders.registry.credentials import Credentials
from builders.registry.destinations import is_loopback, is_private
from builders.registry.no_answer import NoAnswerError, Obstacle
from builders.registry.redirections import REDIRECTIONS_MAX, location_of, resolved, too_many
from builders.registry.refusals import unreachable
from builders.registry.tokens import Authorizer, Scopes
from builders.registry.transport import Body, Transport

PAUSES_SECONDS: Final = (1, 2, 4, 8, 16)
"""Before each new attempt, where the registry doesn't say how long."""
_LONGEST_PAUSE: Final = 300
_AGES: Final = float(1 << 27)
"""Seconds that nobody counts."""
_AUTHORIZATIONS: Final = 2
"""How often a request is sent again with other credentials: other tokens, and then other scopes."""
_USER_AGENT: Final = "longshore"
_PASSING: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
"""What may be another answer the next time."""
_OF_SOME_TIME: Final = frozenset(
    (Obstacle.REFUSED, Obstacle.NO_HOST, Obstacle.NO_WAY, Obstacle.PROXY)
)
"""What passes where a server has answered before, and else is a wrong name or address."""


@dataclass(frozen=True)
class Payload:
    """A body that can be made again, of `size` bytes."""

    size: int
    make: Callable[[], Iterable[bytes]]


class Client:
    """Asks one registry; for several threads."""

    def __init__(
        self,
        host: str,
        transport: Transport,
        find_credentials: Callable[[], Credentials | None],
        *,
        insecure: bool = False,
        pauses: Sequence[float] = PAUSES_SECONDS,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`host` has its port with it where that is named.

        An `insecure` registry may speak plain HTTP. `pauses` are seconds before each new attempt.
        """
        self.host = host
        self.transport = transport
        self.pauses = pauses
        self.sleep = sleep
        self._schemes = ["https", "http"] if insecure else ["https"]
        if is_loopback(host):
            # Nobody listens in. Plain HTTP is first, since the other way round takes guesses.
            self._schemes = ["http", "https"]
        self._contacted = False
        self._answered: set[str] = set()
        self._authorizer = Authorizer(
            host, find_credentials, self._ask_token_service, insecure=insecure
        )
        self._lock = threading.Lock()

    @property
    def has_credentials(self) -> bool:
        """Whether there are credentials for the registry."""
        return self._authorizer.has_credentials

    @property
    def secure(self) -> bool:
        """Whether the registry is asked by HTTPS."""
        return self._schemes[0] == "https"

    def ask(
        self,
        method: str,
        path: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        payload: Payload | None = None,
    ) -> Answer:
        """Return the answer to a request of `path`, or an address; again where a failure may pass.

        Raises `UserError` where there is no way to the registry.
        """
        return self.persist(
            lambda: self.exchange(method, path, scopes, headers=headers, payload=payload)
        )

    def persist(self, attempt: Callable[[], Answer]) -> Answer:
        """Return what `attempt` does, tried again where it fails in a way that may pass."""
        for pause in self.pauses:
            wait: float
            try:
                answer = attempt()
            except NoAnswerError as error:
                if not self.may_pass(error):
                    raise unreachable(error, self.host) from None
                said, wait = error.said, pause
            else:
                if answer.status not in _PASSING:
                    return answer
                said, wait = answer.said, self.wait_after(answer, pause)
            self.pause(said, wait)
        try:
            return attempt()
        except NoAnswerError as error:
            raise unreachable(error, self.host) from None

    def pause(self, said: str, seconds: float) -> None:
        """Wait before another attempt, after the registry has `said` something."""
        warn(f"the registry {self.host} fails ({said}); another attempt follows in {seconds:g} s")
        # Not all threads at once.
        self.sleep(seconds * (1 + random.random() / 4))

    def exchange(
        self,
        method: str,
        path: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        payload: Payload | None = None,
    ) -> Answer:
        """Return the answer to one request, authorized, and redirected where it has to be.

        Raises `NoAnswerError` where no answer comes.
        """
        for _ in range(_AUTHORIZATIONS):
            used = self._authorizer.header(scopes, large=payload is not None)
            answer = self._follow(method, path, used, headers=headers or {}, payload=payload)
            if answer.status != 401 or not self._is_own(answer.url):
                return answer
            if not self._authorizer.challenged(answer, scopes, used, secure=self.secure):
                return answer
        used = self._authorizer.header(scopes, large=payload is not None)
        return self._follow(method, path, used, headers=headers or {}, payload=payload)

    def resolve(self, location: str, answer: Answer) -> str:
        """Return the address that `location` in `answer` means.

        Raises `UserError` for one that nothing may be sent to.
        """
        return resolved(location, answer, who=f"the registry {self.host}", near=self._is_near())

    def _follow(
        self,
        method: str,
        path: str,
        authorization: str | None,
        *,
        headers: Mapping[str, str],
        payload: Payload | None,
    ) -> Answer:
        answer = self._first(method, path, authorization, headers=headers, payload=payload)
        for _ in range(REDIRECTIONS_MAX):
            location = location_of(answer)
            if location is None:
                return answer
            # What is sent stays what it is: only 307 and 308 say so, and registries mean it.
            if payload and answer.status not in (307, 308):
                return answer
            address = self.resolve(location, answer)
            answer = self._send(method, address, authorization, headers=headers, payload=payload)
        too_many(f"the registry {self.host}")

    def _first(
        self,
        method: str,
        path: str,
        authorization: str | None,
        **what: Any,
    ) -> Answer:
        """Send a request to the registry itself, and find out on the way whether by HTTPS."""
        if "://" in path:
            return self._send(method, path, authorization, **what)
        address = f"{self._schemes[0]}://{self.host}{path}"
        more = len(self._schemes) > 1 and not self._contacted
        first: NoAnswerError | None = None
        try:
            answer = self._send(method, address, authorization, **what)
            if not (more and _wants_tls(answer)):
                self._contacted = True
                return answer
        except NoAnswerError as error:
            if not more or error.obstacle not in (Obstacle.PLAIN_HTTP, Obstacle.BREAK):
                raise
            first = error
        self._schemes.reverse()
        address = f"{self._schemes[0]}://{self.host}{path}"
        try:
            answer = self._send(method, address, authorization, **what)
        except NoAnswerError as error:
            # The guess was right, and something else is wrong.
            says_nothing = (Obstacle.PLAIN_HTTP, Obstacle.BREAK, Obstacle.SILENCE)
            if first and first.obstacle == Obstacle.BREAK and error.obstacle in says_nothing:
                self._schemes.reverse()
                raise first from None
            raise
        self._contacted = True
        return answer

    def _send(
        self,
        method: str,
        address: str,
        authorization: str | None,
        *,
        headers: Mapping[str, str],
        payload: Payload | None,
    ) -> Answer:
        sent = {"User-Agent": _USER_AGENT, **headers}
        if authorization and self._is_own(address):
            sent["Authorization"] = authorization
        body: Body | None = None
        if payload:
            sent["Content-Length"] = str(payload.size)
            body = payload.make() if payload.size else b""
        elif method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = "0"
        try:
            answer = self._sent(method, address, sent, body)
            return answer if answer.ok else replace(answer, secrets=self._authorizer.secrets)
        finally:
            close = getattr(body, "close", None)
            if close:
                close()

    def _is_own(self, address: str) -> bool:
        """Whether `address` is of the registry: no other gets its credentials."""
        # Proxies before registries write the usual port, or leave it out, as they please.
        own = read_address(f"{self._schemes[0]}://{self.host}")
        return own is not None and read_address(address) == own

    def _is_near(self) -> bool:
        name = urlsplit(f"//{self.host}").hostname or ""
        return is_loopback(self.host) or is_private(name)

    def may_pass(self, error: NoAnswerError) -> bool:
        """Whether what gave no answer may give one the next time."""
        if error.obstacle in _OF_SOME_TIME:
            # A server that has answered before is only about to start again.
            return error.server in self._answered
        return error.obstacle in (Obstacle.BREAK, Obstacle.SILENCE)

    def wait_after(self, answer: Answer, pause: float) -> float:
        """Return how many seconds to wait after `answer`; raise `UserError` if it is too long."""
        seconds = retry_after(answer.headers.get("Retry-After"))
        if seconds is None:
            return pause
        if seconds > _LONGEST_PAUSE:
            die(
                f"the registry {self.host} takes no more requests for {_shown(seconds)} "
                f"({answer.said})",
                hint="push again then; nothing that was sent has to be sent again",
            )
        return seconds

    def _ask_token_service(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        return self.persist(
            lambda: self._sent(method, address, {"User-Agent": _USER_AGENT, **headers}, body)
        )

    def _sent(
        self, method: str, address: str, headers: Mapping[str, str], body: Body | None
    ) -> Answer:
        """Send a request, and remember who has answered one."""
        answer = self.transport.send(method, address, headers, body)
        self._answered.add(str(read_address(address)))
        return answer


def retry_after(value: str | None) -> float | None:
    """Return the seconds in a header Retry-After, None where there is none that can be read."""
    if not value:
        return None
    if value.strip().isdecimal():
        return min(float(value), _AGES)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _shown(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _AGES else "years"


def _wants_tls(answer: Answer) -> bool:
    # Servers in Go, and nginx.
    return answer.status == 400 and b"HTTPS" in answer.data.upper()
