"""The proxy that the environment names for an address.

Sources: what curl, and Go's golang.org/x/net/http/httpproxy, read of http_proxy, https_proxy,
all_proxy and no_proxy.
"""

import base64
import ipaddress
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from builders.console.errors import die
from builders.registry.addresses import read_address
from builders.registry.destinations import is_loopback, without_port

_HINT: Final = (
    "set https_proxy and http_proxy to one like http://USER:PASSWORD@HOST:PORT, or unset them"
)


@dataclass(frozen=True)
class Proxy:
    """A proxy at `address`, and user and password for it where it wants them."""

    address: str
    login: str = field(default="", repr=False)

    @property
    def scheme(self) -> str:
        """How it is asked."""
        return urlsplit(self.address).scheme

    @property
    def headers(self) -> Mapping[str, str] | None:
        """What it is told beside the request."""
        if not self.login:
            return None
        packed = base64.b64encode(self.login.encode()).decode()
        return {"proxy-authorization": f"Basic {packed}"}


def find_proxy(scheme: str, host: str) -> Proxy | None:
    """Return the proxy for `host`, which has its port with it, None where none is to be used.

    Raises `UserError` where what the environment names is no proxy.
    """
    proxies = urllib.request.getproxies()
    text = proxies.get(scheme) or proxies.get("all")
    # As Go's clients have it, loopback needs no proxy, whatever is said of others.
    if not text or is_loopback(host) or _is_excepted(host, proxies):
        return None
    return _read(text)


def _read(text: str) -> Proxy:
    full = text if "://" in text else f"http://{text}"
    scheme = full.partition(":")[0]
    if scheme not in ("http", "https"):
        die(f"the environment names a proxy of the kind {scheme}", hint=_HINT)
    if read_address(full) is None:
        # Its password is in it.
        die("the environment names a proxy whose address can't be read", hint=_HINT)
    parts = urlsplit(full)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return Proxy(plain.geturl(), f"{user}:{password}" if user else "")


def _is_excepted(host: str, proxies: Mapping[str, str]) -> bool:
    if urllib.request.proxy_bypass(host):
        return True
    # What Go reads, too: addresses in brackets, and networks.
    try:
        address = ipaddress.ip_address(without_port(host))
    except ValueError:
        return False
    return any(_covers(word.strip(), address) for word in proxies.get("no", "").split(","))


def _covers(word: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(without_port(word), strict=False)
    except ValueError:
        return False
