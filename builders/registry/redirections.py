"""Where answers send on to, and where nothing may be sent.

Source: RFC 9110, section 15.4 ("Redirection 3xx").
"""

from typing import Final, NoReturn

from builders.console.errors import die
from builders.registry.addresses import join_address, read_address
from builders.registry.answers import Answer
from builders.registry.destinations import is_private

REDIRECTIONS_MAX: Final = 5
_STATUSES: Final = (301, 302, 303, 307, 308)
_SCHEME_SHOWN: Final = 20
_HINT: Final = "check the name of the registry, or tell whoever runs it"


def location_of(answer: Answer) -> str | None:
    """Return what `answer` sends on to, None where it is no redirection."""
    return answer.headers.get("Location") if answer.status in _STATUSES else None


def resolved(location: str, answer: Answer, *, who: str, near: bool) -> str:
    """Return the address that `location` in an answer of `who` means.

    `near` says that `who` is in a private network itself. Raises `UserError` for an address that
    nothing may be sent to.
    """
    address = join_address(answer.url, location)
    server = read_address(address)
    if server is None:
        # What stands behind the scheme may have a signature in it.
        scheme = location.partition(":")[0][:_SCHEME_SHOWN]
        die(f"{who} redirects to {scheme}:…, no web server", hint=_HINT)
    before = read_address(answer.url)
    if before and before.scheme == "https" and server.scheme != "https":
        die(
            f"{who} redirects to {server.scheme}://{server}, where anybody on the way could read "
            "and change what is sent",
            hint=_HINT,
        )
    if server != before and is_private(server.host) and not near:
        die(f"{who} redirects to {server}, which is an address of a private network", hint=_HINT)
    return address


def too_many(who: str) -> NoReturn:
    """Raise `UserError`: redirections have to end."""
    die(f"{who} redirects again and again", hint=_HINT)
