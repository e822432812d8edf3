"""JSON that others wrote, taken apart with every shape checked."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from builders.console.errors import die

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class JsonValue:
    """A JSON value that knows where it stands, to be taken apart with its shape checked.

    What has another shape than asked for raises `UserError`, with `where` for its subject and
    `hint` for what to do.
    """

    value: Any
    where: str
    hint: str

    def __getitem__(self, key: str) -> "JsonValue":
        """Return the member `key` of an object, null where it has none."""
        return JsonValue(self.properties().get(key), f"{self.where}: {key}", self.hint)

    def in_any_case(self, key: str) -> "JsonValue":
        """Return the member `key` however its letters are written, as Go's decoder finds it.

        Raises `UserError` for two that differ in nothing else: which one counts depends on the
        reader.
        """
        names = [name for name in self.properties() if name.lower() == key.lower()]
        if len(names) > 1:
            die(f"{self.where} has both {names[0]} and {names[1]}", hint=self.hint)
        return self[names[0] if names else key]

    def properties(self) -> Mapping[str, Any]:
        """Return an object."""
        if not isinstance(self.value, dict):
            self._wrong("an object")
        return self.value

    def or_else(self, value: object) -> "JsonValue":
        """Return `value` in the place of null."""
        return JsonValue(value, self.where, self.hint) if self.value is None else self

    def elements(self) -> "list[JsonValue]":
        """Return the elements of an array."""
        if not isinstance(self.value, list):
            self._wrong("a list")
        return [
            JsonValue(element, f"{self.where}[{number}]", self.hint)
            for number, element in enumerate(self.value)
        ]

    def string(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            self._wrong("a string")
        return self.value

    def string_or_none(self) -> str | None:
        """Return a string, or None for null."""
        return None if self.value is None else self.string()

    def natural(self) -> int:
        """Return an integer that is not negative."""
        # JSON's true is an int to Python.
        if type(self.value) is not int or self.value < 0:
            self._wrong("a number of 0 or more")
        return self.value

    def strings(self) -> tuple[str, ...]:
        """Return an array of strings; null is an empty one, as Go's encoder writes it."""
        if self.value is None:
            return ()
        if not isinstance(self.value, list) or not all(isinstance(e, str) for e in self.value):
            self._wrong("a list of strings")
        return tuple(self.value)

    def digest(self) -> str:
        """Return the hexadecimal digits of a SHA-256 digest."""
        match = _DIGEST.fullmatch(self.string())
        if not match:
            self._wrong('"sha256:" and 64 hexadecimal digits')
        return match[1]

    def _wrong(self, expected: str) -> NoReturn:
        found = "missing" if self.value is None else json.dumps(self.value)[:60]
        die(f"{self.where} should be {expected} and is {found}", hint=self.hint)
