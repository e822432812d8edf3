"""Saying who one is: the header Authorization, and the tokens that token services give.

Sources: the distribution project's "Token Authentication Specification" and "Token Scope
Documentation"; Docker's "OAuth2 Token Authentication" for identity tokens.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from builders.console.errors import die
from builders.registry.addresses import WebAddress, read_address
from builders.registry.answers import Answer
from builders.registry.challenges import Challenge, read_challenges
from builders.registry.credentials import Credentials, is_token
from builders.registry.destinations import is_loopback, is_private
from builders.registry.redirections import REDIRECTIONS_MAX, location_of, resolved, too_many

Scopes = tuple[str, ...]
Ask = Callable[[str, str, Mapping[str, str], bytes | None], Answer]
"""A request to a token service: method, address, headers and body."""

_CLIENT: Final = "longshore"
_LIFE: Final = 60
"""Seconds that a token is good for where the service doesn't say."""
_MARGIN: Final = 30
"""Seconds that a token should still be good for when something large is begun."""


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    until: float
    life: float


class Authorizer:
    """Knows what to say to one registry; for several threads."""

    def __init__(
        self,
        registry: str,
        find: Callable[[], Credentials | None],
        ask: Ask,
        *,
        insecure: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`find` is asked for the credentials once the registry wants them.

        `ask` sends a request of a token, and `clock` gives seconds. Of an `insecure` registry that
        is asked by plain HTTP the token service may be asked so, too.
        """
        self._registry = registry
        self._find = find
        self._ask = ask
        self._insecure = insecure
        self._clock = clock
        self._lock = threading.RLock()
        self._found: tuple[Credentials | None] | None = None
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, _Token] = {}

    @property
    def has_credentials(self) -> bool:
        """Whether there are credentials for the registry."""
        return self._credentials() is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may read, of all that has been sent."""
        with self._lock:
            credentials = self._found[0] if self._found else None
            tokens = tuple(token.value for token in self._tokens.values())
            return (*(credentials.secrets if credentials else ()), *tokens)

    def header(self, scopes: Scopes, *, large: bool = False) -> str | None:
        """Return the value of the header; None before the registry has asked for one.

        Something `large` begins with a token that is good for some time.
        """
        with self._lock:
            if self._challenge is None:
                return None
            if self._challenge.scheme == "basic":
                credentials = self._credentials()
                return f"Basic {credentials.basic}" if credentials else None
            token = self._tokens.get(scopes)
            margin = min(_MARGIN, token.life / 2) if token and large else 0
            if token is None or self._clock() + margin >= token.until:
                token = self._fetch(self._challenge, scopes)
            return f"Bearer {token.value}"

    def challenged(self, answer: Answer, scopes: Scopes, used: str | None, *, secure: bool) -> bool:
        """Take the challenge in `answer`, status 401, and return whether to try again.

        `used` is what the header said; `secure` says whether the registry is asked by HTTPS. Raises
        `UserError` where the registry wants what can't be given to it.
        """
        with self._lock:
            challenges = read_challenges([answer.headers.get("WWW-Authenticate") or ""])
            by_scheme = {challenge.scheme: challenge for challenge in challenges}
            chosen = by_scheme.get("bearer") or by_scheme.get("basic")
            if chosen is None:
                return False
            if used is not None and used != self._current(scopes):
                # Another thread has been here.
                return True
            if chosen.scheme == "bearer":
                self._check_realm(chosen.parameters.get("realm", ""), secure=secure)
            self._challenge = chosen
            self._tokens.pop(scopes, None)
            if chosen.scheme == "basic":
                return used is None and self.has_credentials
            # Some services read the first scope alone, and some the last.
            needed = chosen.parameters.get("scope", "")
            self._tokens[scopes] = self._fetch(chosen, _united(needed, scopes))
            return True

    def _current(self, scopes: Scopes) -> str | None:
        token = self._tokens.get(scopes)
        if token:
            return f"Bearer {token.value}"
        credentials = self._credentials()
        return f"Basic {credentials.basic}" if credentials else None

    def _credentials(self) -> Credentials | None:
        with self._lock:
            if self._found is None:
                self._found = (self._find(),)
            return self._found[0]

    def _check_realm(self, realm: str, *, secure: bool) -> None:
        server = read_address(realm)
        if server is None:
            die(
                f"the registry {self._registry} sends to {realm!r} for a token, which is no "
                "address of a web server",
                hint="check the name of the registry, or tell whoever runs it",
            )
        if server.scheme != "https" and (secure or not self._may_be_plain(server)):
            die(
                f"the registry {self._registry} sends to {server.scheme}://{server} for a "
                "token, where credentials could be read on their way",
                hint="tell whoever runs it that its token service has to use HTTPS",
            )

    def _may_be_plain(self, server: WebAddress) -> bool:
        # A registry on this machine is as safe by plain HTTP; what it sends to may be elsewhere.
        return self._insecure or is_loopback(server.host)

    def _asked(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Return the answer of a token service, wherever it sends on to.

        Another server gets no credentials, and none of the requests after it.
        """
        first = read_address(address)
        who = self._service(address)
        used = dict(headers)
        for _ in range(REDIRECTIONS_MAX):
            answer = self._ask(method, address, used, body)
            location = location_of(answer)
            if location is None:
                return answer
            near = first is not None and (is_loopback(first.host) or is_private(first.host))
            address = resolved(location, answer, who=who, near=near)
            server = read_address(address)
            if server and server.scheme != "https" and not self._may_be_plain(server):
                self._check_realm(address, secure=True)
            if server != first:
                if body is not None:
                    die(
                        f"{who} sends on to {server} what has the identity token in it",
                        hint="tell whoever runs it that another host gets no credentials",
                    )
                used.pop("Authorization", None)
        too_many(who)

    def _service(self, address: str) -> str:
        host = urlsplit(address).netloc.rpartition("@")[2]
        return f"the token service {host} of the registry {self._registry}"

    def _fetch(self, challenge: Challenge, scopes: Scopes) -> _Token:
        """Return a token for `scopes`; raises `UserError` where the service gives none."""
        credentials = self._credentials()
        if credentials and credentials.registry_token:
            return _Token(credentials.registry_token, float("inf"), float("inf"))
        realm = challenge.parameters["realm"]
        service = challenge.parameters.get("service", "")
        answer = None
        if credentials and credentials.identity_token:
            answer = self._post(realm, service, scopes, credentials.identity_token)
            # Old services know no POST; the token is then a password.
            if answer.status in (404, 405):
                credentials = Credentials(user="<token>", password=credentials.identity_token)
                answer = None
        if answer is None:
            answer = self._get(realm, service, scopes, credentials)
        return self._read(answer, realm, credentials)

    def _post(self, realm: str, service: str, scopes: Scopes, identity_token: str) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT,
            "scope": " ".join(scopes),
            "refresh_token": identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._asked("POST", realm, headers, urlencode(form).encode())

    def _get(
        self, realm: str, service: str, scopes: Scopes, credentials: Credentials | None
    ) -> Answer:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials:
            if credentials.user:
                query.append(("account", credentials.user))
            headers["Authorization"] = f"Basic {credentials.basic}"
        joint = "&" if urlsplit(realm).query else "?"
        return self._asked("GET", f"{realm}{joint}{urlencode(query)}", headers, None)

    def _read(self, answer: Answer, realm: str, credentials: Credentials | None) -> _Token:
        document = answer.document()
        if not answer.ok or not isinstance(document, dict):
            self._refused(answer, realm, credentials)
        value = document.get("token") or document.get("access_token")
        if not isinstance(value, str) or not is_token(value):
            self._refused(answer, realm, credentials)
        life = document.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else float(_LIFE)
        return _Token(value, self._clock() + seconds, seconds)

    def _refused(self, answer: Answer, realm: str, credentials: Credentials | None) -> None:
        # Its answer may be or repeat a token.
        where = self._service(realm)
        if answer.ok:
            die(f"{where} answers without a token", hint="try again, or tell whoever runs it")
        status = f"HTTP status {answer.status}"
        server = read_address(answer.url)
        if server != read_address(realm) and credentials is not None:
            die(
                f"{where} sends on to {server}, which gets no credentials and gives no token "
                f"({status})",
                hint="tell whoever runs it that another host gets no credentials",
            )
        if answer.status not in (400, 401, 403):
            # Nothing that another login would change.
            die(
                f"{where} gives no token ({status})",
                hint="push again later, or tell whoever runs it",
            )
        if credentials is None:
            die(
                f"{where} gives nobody a token who has not logged in ({status})",
                hint=f"log in with 'docker login {self._registry}', or podman, or skopeo",
            )
        die(
            f"{where} doesn't take the credentials ({status}): the login is wrong or has expired",
            hint=f"log in again with 'docker login {self._registry}', or podman, or skopeo",
        )


def _united(first: str, scopes: Sequence[str]) -> Scopes:
    """Return `scopes` with `first`, of which some services take no notice elsewhere, before them.

    A scope of a repository with more actions takes the place of the same with fewer.
    """
    merged: dict[str, dict[str, None]] = {}
    for scope in (*first.split(), *scopes):
        name, _, actions = scope.rpartition(":")
        merged.setdefault(name, {}).update(dict.fromkeys(actions.split(",")))
    return tuple(f"{name}:{','.join(sorted(actions))}" for name, actions in merged.items())
