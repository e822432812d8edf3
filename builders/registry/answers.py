"""What a registry answers.

Source: OCI distribution specification v1.1, "Error Codes".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from builders.formats.json_values import parse_json

_SAID_MAX: Final = 300
"""Characters of what a registry says that are passed on."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request of `url`; `headers` take names in any case.

    `data` is only the beginning of what came where that is not the `whole`. No message shows the
    `secrets`.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes
    url: str
    whole: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether what was asked for is done, or on its way."""
        return 200 <= self.status < 300

    @property
    def codes(self) -> frozenset[str]:
        """The error codes in it."""
        return frozenset(str(error.get("code")) for error in self._errors())

    @property
    def said(self) -> str:
        """What it says of a failure, in one line with the status; pages for people are left out."""
        parts = [
            " ".join(str(part) for part in (error.get("code"), error.get("message")) if part)
            for error in self._errors()
        ]
        if not parts and b"<" not in self.data[:64]:
            parts = [self.data.decode(errors="replace").strip()]
        text = " ".join("; ".join(filter(None, parts)).split())
        # What a registry repeats of a request must show no token.
        text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.+/=~-]+", r"\1 …", text)
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return ": ".join(filter(None, (f"HTTP status {self.status}", text[:_SAID_MAX])))

    def document(self) -> Any:
        """Return the JSON in it, None where it is none."""
        try:
            return parse_json(self.data)
        except ValueError:
            return None

    def _errors(self) -> list[dict[str, Any]]:
        # Whoever stands between may answer with anything.
        try:
            document = json.loads(self.data)
        except (ValueError, RecursionError):
            return []
        errors = document.get("errors") if isinstance(document, dict) else None
        found = errors if isinstance(errors, list) else []
        return [error for error in found if isinstance(error, dict)]
