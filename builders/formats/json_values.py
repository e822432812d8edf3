"""JSON that others wrote, read as all readers read it, and taken apart with every shape checked.

Engines are written in Go, whose decoder differs from Python's: it takes a key in any case for the
one that it looks for, merges what keys of one name say, and has no NaN and no infinity. What it
would read differently is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn

from builders.console.errors import die

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_DEPTH_MAX: Final = 100
"""Lists and objects within each other. No image has ten, and Python stops near a thousand."""
_ELEMENTS_MAX: Final = 1 << 18
"""Elements of a list. No image has a thousand, and each takes memory."""
_LARGEST: Final = 1 << 64
_INT64_END: Final = 1 << 63
_SHOWN: Final = 60


def parse_json(data: bytes) -> Any:
    """Return the JSON in `data`, which is UTF-8; raises `ValueError` where it is none.

    Source: RFC 8259, and what Go's encoding/json takes of it.
    """
    document, _ = parse_counted_json(data)
    return document


def parse_counted_json(data: bytes) -> tuple[Any, int]:
    """Return what `parse_json` does, and how many values it consists of, which take memory."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Text that is UTF-8 has no half of a surrogate pair but by an escape.
    return document, _check_values(document, has_escapes="\\u" in text)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, _ in pairs:
            if key not in found:
                raise ValueError(f"the key {_shortened(key)} is there twice in one object")
            # Its first place is left; at a second one it is gone.
            del found[key]
    return found


def _integer(digits: str) -> int:
    # Longer ones Python would not even convert.
    number = int(digits) if len(digits) <= 21 else _LARGEST
    if abs(number) >= _LARGEST:
        raise ValueError(f"the number {_shortened(digits)} is out of range")
    return number


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {_shortened(digits)} is out of range")
    return number


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_values(document: Any, *, has_escapes: bool) -> int:
    """Return how many values there are; raise `ValueError` for nesting too deep, or no text."""
    level = [document]
    depth = count = 0
    while level:
        count += len(level)
        objects = [value for value in level if isinstance(value, dict)]
        if has_escapes:
            texts = (value for value in level if isinstance(value, str))
            for text in chain(texts, *objects):
                _require_text(text)
        depth += 1
        if depth > _DEPTH_MAX + 1:
            raise ValueError("nested too deeply")
        lists = [value for value in level if isinstance(value, list)]
        level = list(chain(*lists, *(value.values() for value in objects)))
    return count


def _require_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"half a surrogate pair in {_shortened(text)}")


def _shortened(text: str) -> str:
    shown = json.dumps(text[:_SHOWN])
    return shown if len(text) <= _SHOWN else f"{shown[:-1]}…"


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
        """Return the member `key` of an object, null where it has none.

        Raises `UserError` where it has one that Go's decoder would take for this one: its case is
        another. That goes for keys that the format names; `lookup` is for those that anybody names.
        """
        properties = self.properties()
        folded = key.casefold()
        for other in properties:
            if other != key and len(other) <= _SHOWN and other.casefold() == folded:
                die(
                    f'{self.where} has the key {_shortened(other)}, which engines take for "{key}"',
                    hint=self.hint,
                )
        return self.lookup(key)

    def lookup(self, key: str) -> "JsonValue":
        """Return the value of `key` in an object of any keys, null where it has none."""
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
        if len(self.value) > _ELEMENTS_MAX:
            die(
                f"{self.where} has {len(self.value)} elements, more than the {_ELEMENTS_MAX} that "
                "are read",
                hint=self.hint,
            )
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

    def flag(self) -> bool:
        """Return true or false; null is false, as to Go's decoder."""
        if not isinstance(self.value, bool | None):
            self._wrong("true or false")
        return bool(self.value)

    def natural(self) -> int:
        """Return an integer that is not negative."""
        # JSON's true is an int to Python.
        if type(self.value) is not int or self.value < 0:
            self._wrong("a number of 0 or more")
        return self.value

    def integer_or_none(self) -> int | None:
        """Return an integer that Go's int64 holds, or None for null."""
        if self.value is None:
            return None
        if type(self.value) is not int or not -_INT64_END <= self.value < _INT64_END:
            self._wrong("a whole number of 64 bits")
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
        found = "missing" if self.value is None else _excerpt(self.value)
        die(f"{self.where} should be {expected} and is {found}", hint=self.hint)


def _excerpt(value: Any) -> str:
    """Return the beginning of `value` as JSON."""
    parts = []
    size = 0
    for part in json.JSONEncoder().iterencode(value):
        parts.append(part)
        size += len(part)
        if size >= _SHOWN:
            break
    return "".join(parts)[:_SHOWN]
