"""Addresses that registries, their token services and the environment name.

Source: RFC 3986; where it lets nearly anything be a host, what name services know counts.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65535
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
"""A name, or an IPv6 address without its brackets."""


@dataclass(frozen=True)
class WebAddress:
    """A server: what is asked there by which protocol; `host` is in lower case."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_address(text: str) -> WebAddress | None:
    """Return the server of the address `text`, None where it is no address of a web server."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not is_host(host) or port == 0:
        return None
    return WebAddress(parts.scheme, host, port or _PORTS[parts.scheme])


def is_host(host: str) -> bool:
    """Whether `host`, without a port and brackets, may be a name or an address."""
    return bool(_HOST.fullmatch(host))


def is_port(text: str) -> bool:
    """Whether `text`, which consists of digits, is a port that somebody can listen at."""
    return 0 < int(text[:9]) <= _PORT_MAX


def join_address(base: str, location: str) -> str:
    """Return what `location` means in an answer of `base`; "" where that can't be told."""
    try:
        return urljoin(base, location)
    except ValueError:
        return ""
