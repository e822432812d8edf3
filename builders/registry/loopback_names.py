"""Names under which engines pull from a registry on loopback, and those that were left behind.

A load that was killed could not remove its name. Whoever loads next can: the name says where its
registry was, and on which machine.
"""

import hashlib
import http.client
import re
import secrets
import socket
from contextlib import closing
from typing import Final

ADDRESS: Final = "127.0.0.1"
TAG: Final = "latest"
PATTERN: Final = f"{ADDRESS}:*/longshore-*"
"""What engines find such names with (Go's path.Match)."""
_NAME: Final = re.compile(
    rf"{re.escape(ADDRESS)}:(?P<port>\d{{1,5}})/(?P<repository>longshore-(?P<machine>[0-9a-f]{{8}})"
    r"-[0-9a-f]{32})(?:[:@].+)?"
)
_PATIENCE: Final = 1
"""Seconds for which a registry may say nothing to somebody on its own machine."""
_MACHINE_ID: Final = "/etc/machine-id"


def new_repository() -> str:
    """Return a name that can't be guessed, by which this machine knows its own."""
    return f"longshore-{_machine()}-{secrets.token_hex(16)}"


def is_left_over(reference: str) -> bool:
    """Whether `reference` is such a name of this machine, whose registry is no more."""
    found = _NAME.fullmatch(reference)
    if not found or found["machine"] != _machine():
        return False
    connection = http.client.HTTPConnection(ADDRESS, int(found["port"]), timeout=_PATIENCE)
    with closing(connection):
        try:
            connection.request("HEAD", f"/v2/{found['repository']}/manifests/{TAG}")
            return connection.getresponse().status != http.client.OK
        except TimeoutError:
            # Of some other program, or of one that is stopped.
            return False
        except (OSError, http.client.HTTPException, OverflowError):
            return True


def _machine() -> str:
    """Return eight digits that containers and machines don't share."""
    try:
        with open(_MACHINE_ID, "rb") as file:
            known = file.read(256)
    except OSError:
        known = b""
    return hashlib.sha256(known + socket.gethostname().encode()).hexdigest()[:8]
