"""What a registry asks for before it answers: the header WWW-Authenticate.

Sources: RFC 9110, section 11.6.1; the distribution project's "Token Authentication Specification".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_SCHEME: Final = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)(?=\s|,|$)(?!\s*=)")
_PARAMETER: Final = re.compile(
    r"""\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))"""
)


@dataclass(frozen=True)
class Challenge:
    """A way to say who one is; `scheme` and the names of the parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges in the values of the header, as far as they can be read."""
    found = []
    for header in headers:
        position = 0
        while scheme := _SCHEME.match(header, position):
            position = scheme.end()
            parameters = {}
            while parameter := _PARAMETER.match(header, position):
                position = parameter.end()
                name, quoted, plain = parameter.groups()
                value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters[name.lower()] = value
            found.append(Challenge(scheme[1].lower(), parameters))
    return found
