"""Credentials for registries, as docker and podman keep them.

Sources: docker's documentation of config.json and of the protocol of credential helpers;
containers-auth.json(5). Nothing here is ever printed: what fails says which file or helper it was.
"""

import base64
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from builders.console.errors import UserError, die
from builders.formats.json_values import parse_json
from builders.registry.destinations import DOCKER_HUB, Repository

_DOCKER_HUB_SERVER: Final = "https://index.docker.io/v1/"
_IDENTITY_USER: Final = "<token>"
"""The user that a helper names where the secret is an identity token."""
_NOT_FOUND: Final = "credentials not found in native keychain"
"""What helpers say of servers that they don't know (docker-credential-helpers)."""
_LOG_IN: Final = "log in again with 'docker login', 'podman login' or 'skopeo login'"
_HELPER_PATIENCE: Final = 60
_FILE_MAX: Final = 8 << 20


@dataclass(frozen=True)
class Credentials:
    """A user and the password, or an identity token, or a token for the registry itself."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """What follows "Basic " in a header."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may read of it."""
        all_ = (self.password, self.identity_token, self.registry_token, self.basic)
        return tuple(secret for secret in all_ if secret)


def is_token(text: str) -> bool:
    """Whether `text` can be a token, which stands in a header as it is."""
    return text.isascii() and text.isprintable()


def find_credentials(repository: Repository, variables: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for `repository`, None where there are none.

    The first of the files decides that has some, and in it the key that says most of the
    repository. Raises `UserError` where a file can't be read or a helper fails.
    """
    for path in auth_files(variables):
        config = _read(path)
        if config is None:
            continue
        found = _in_file(config, repository, path=path, variables=variables)
        if found is not None:
            return found
    return None


def auth_files(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the files that may hold credentials, the one that counts most first."""
    home = variables.get("HOME") or os.path.expanduser("~")
    if named := variables.get("REGISTRY_AUTH_FILE"):
        if not os.path.exists(named):
            die(f"REGISTRY_AUTH_FILE names {named}, which is missing", hint="correct or unset it")
        yield named
    if directory := variables.get("DOCKER_CONFIG"):
        yield os.path.join(directory, "config.json")
    if directory := variables.get("XDG_RUNTIME_DIR"):
        yield os.path.join(directory, "containers/auth.json")
    directory = variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    yield os.path.join(directory, "containers/auth.json")
    if not variables.get("DOCKER_CONFIG"):
        yield os.path.join(home, ".docker/config.json")


def _read(path: str) -> Mapping[str, Any] | None:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_MAX)
        # Somebody may only have touched it.
        document = parse_json(data) if data.strip() else {}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        die(f"can't read the credentials in {path}: {error.strerror}", hint="make it readable")
    except ValueError:
        # What is wrong there is next to secrets.
        raise UserError(f"{path} is not JSON", hint=f"mend it, or {_LOG_IN}") from None
    if not isinstance(document, dict):
        die(f"{path} holds no JSON object", hint=f"mend it, or {_LOG_IN}")
    return document


def _in_file(
    config: Mapping[str, Any], repository: Repository, *, path: str, variables: Mapping[str, str]
) -> Credentials | None:
    keys = _keys(repository)
    helpers = _by_key(config.get("credHelpers"))
    for key in keys:
        if helper := helpers.get(key):
            return _ask_helper(helper, repository, path=path, variables=variables)
    entries = _by_key(config.get("auths"))
    for key in keys:
        found = _from_entry(entries.get(key), path)
        if found is not None:
            return found
    if store := config.get("credsStore"):
        return _ask_helper(store, repository, path=path, variables=variables)
    return None


def _keys(repository: Repository) -> list[str]:
    """Return the keys that mean the repository, what says most of it first."""
    parts = str(repository).split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _by_key(entries: Any) -> dict[str, Any]:
    """Return `entries` under keys as `_keys` has them; docker writes some as addresses."""
    if not isinstance(entries, dict):
        return {}
    return {_normalised(key): value for key, value in reversed(entries.items())}


def _normalised(key: str) -> str:
    key = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    key = key.removesuffix("/v1").removesuffix("/v2")
    host, slash, rest = key.partition("/")
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DOCKER_HUB
    return f"{host}{slash}{rest}"


def _from_entry(entry: Any, path: str) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    identity, registry = _text(entry.get("identitytoken")), _text(entry.get("registrytoken"))
    user, password = _text(entry.get("username")), _text(entry.get("password"))
    if packed := entry.get("auth"):
        try:
            # Lines end in it where the program base64 made them.
            joined = re.sub(r"[\r\n]", "", str(packed))
            text = base64.b64decode(joined, validate=True).decode()
        except ValueError:
            raise UserError(f"{path}: an entry is not base64", hint=_LOG_IN) from None
        # Docker pads with zero bytes.
        user, _, password = text.rstrip("\0").partition(":")
    if not (identity or registry or user):
        return None
    if not is_token(registry):
        die(f"{path}: an entry has a token with characters that tokens can't have", hint=_LOG_IN)
    return Credentials(user, password, identity, registry)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _ask_helper(
    helper: Any, repository: Repository, *, path: str, variables: Mapping[str, str]
) -> Credentials | None:
    """Return what docker-credential-`helper` says of the registry."""
    if not isinstance(helper, str) or "/" in helper or "\0" in helper:
        die(
            f"{path} names a helper for credentials that can be none", hint=f"mend it, or {_LOG_IN}"
        )
    program = f"docker-credential-{helper}"
    server = _DOCKER_HUB_SERVER if repository.registry == DOCKER_HUB else repository.registry
    try:
        result = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            errors="replace",
            env=dict(variables),
            timeout=_HELPER_PATIENCE,
        )
    except FileNotFoundError:
        die(
            f"there is no program {program}, which {path} names for credentials",
            hint=f"install it, or {_LOG_IN}",
        )
    except OSError as error:
        die(f"can't run {program}: {error.strerror}", hint=f"mend it, or {_LOG_IN}")
    except subprocess.TimeoutExpired:
        die(f"{program} said nothing for {_HELPER_PATIENCE} s", hint="try it by hand")
    said = result.stdout.strip()
    if result.returncode:
        if _NOT_FOUND in said or _NOT_FOUND in result.stderr:
            return None
        # Its output may have the secret in it.
        die(
            f"{program} has no credentials for {server} (exit status {result.returncode})",
            hint=f"see what it says with 'echo {server} | {program} get', or {_LOG_IN}",
        )
    try:
        answer = parse_json(said.encode())
        user, secret = _text(answer.get("Username")), _text(answer.get("Secret"))
    except (ValueError, AttributeError):
        raise UserError(f"{program} answers no JSON object", hint=_LOG_IN) from None
    if user == _IDENTITY_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret) if user or secret else None
