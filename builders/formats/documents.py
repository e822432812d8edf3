"""The JSON documents of an image archive, taken apart with every shape checked."""

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from builders.console.errors import UserError, die
from builders.formats.archive_files import DOCUMENT_LIMIT, RESAVE, Archive
from builders.tar.header import HARD_LINK, SPARSE, SYMLINK
from builders.tar.reader import REMAKE, Member, normalise

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


def read_document(archive: Archive, name: str, *, wanted: str) -> tuple[Any, bytes]:
    """Return the JSON in the member `name`, and its bytes."""
    member = resolve(archive, name, wanted=wanted)
    if member.size > DOCUMENT_LIMIT:
        die(
            f"{archive.what}: {name} has {member.size} bytes, more than the "
            f"{DOCUMENT_LIMIT} that are read of a JSON document",
            hint=RESAVE,
        )
    data = archive.content(member)
    try:
        if data is None:
            raise ValueError("it does not start like it")
        return json.loads(data), data
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno} column {error.colno}: {error.msg}"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{archive.what}: {name} is not JSON ({reason})", hint=RESAVE)


@dataclass(frozen=True)
class Value:
    """A JSON value that knows where it stands, to be taken apart with its shape checked."""

    value: Any
    where: str

    def __getitem__(self, key: str) -> "Value":
        """Return the member `key` of an object, null where it has none."""
        return Value(self.properties().get(key), f"{self.where}: {key}")

    def properties(self) -> Mapping[str, Any]:
        """Return an object."""
        if not isinstance(self.value, dict):
            self._wrong("an object")
        return self.value

    def or_else(self, value: object) -> "Value":
        """Return `value` in the place of null."""
        return Value(value, self.where) if self.value is None else self

    def elements(self) -> "list[Value]":
        """Return the elements of an array."""
        if not isinstance(self.value, list):
            self._wrong("a list")
        return [
            Value(element, f"{self.where}[{number}]") for number, element in enumerate(self.value)
        ]

    def string(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            self._wrong("a string")
        return self.value

    def string_or_none(self) -> str | None:
        """Return a string, or None for null."""
        return None if self.value is None else self.string()

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
        die(f"{self.where} should be {expected} and is {found}", hint=RESAVE)


def resolve(archive: Archive, name: str, *, wanted: str) -> Member:
    """Return the file that is called `name`, itself or by links; `wanted` says by whom and why."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name or not name:
        die(
            f"{archive.what}: {wanted}, which is not the name of a file in the archive",
            hint=RESAVE,
        )
    current = normalise(name)
    seen: set[str] = set()
    while current not in seen:
        seen.add(current)
        member = archive.members.get(current)
        if member is None:
            via = f", a link to {current}" if len(seen) > 1 else ""
            raise _missing(archive, wanted + via)
        if member.is_file:
            return member
        if member.type in (SYMLINK, HARD_LINK):
            current = _follow(archive, member, wanted=wanted)
        else:
            hint = "pack it without --sparse" if member.type == SPARSE else RESAVE
            die(f"{archive.what}: {wanted}, which is {member.describe()}", hint=hint)
    raise UserError(f"{archive.what}: {wanted}, a link that leads back to itself", hint=RESAVE)


def _follow(archive: Archive, link: Member, *, wanted: str) -> str:
    """Return the name that `link` leads to."""
    # A symbolic link starts from its own directory, a hard link from the archive's root.
    start = posixpath.dirname(link.name) if link.type == SYMLINK else ""
    target = posixpath.normpath(posixpath.join(start, link.linkname))
    if target.startswith(("/", "../")):
        die(
            f"{archive.what}: {wanted}, a link that leads out of the archive ({link.linkname})",
            hint=RESAVE,
        )
    return target


def _missing(archive: Archive, wanted: str) -> UserError:
    if archive.has_end:
        return UserError(f"{archive.what}: {wanted}, which the archive does not hold", hint=RESAVE)
    return UserError(
        f"{archive.what} is cut off after {archive.length} bytes: {wanted}, "
        "which the archive does not hold",
        hint=REMAKE,
    )


def wrong_digest(archive: Archive, name: str, found: str) -> NoReturn:
    """Raise the `UserError` of the member `name`, whose name says another digest than `found`."""
    die(
        f"{archive.what}: the content of {name} is not what its name says: its SHA-256 is {found}",
        hint=RESAVE,
    )
