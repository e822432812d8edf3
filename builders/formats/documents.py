"""The JSON documents of an image archive, taken apart with every shape checked."""

import posixpath
from typing import Any, Final, NoReturn

from builders.console.errors import UserError, die
from builders.formats.image_archive import DOCUMENT_LIMIT, RESAVE, ImageArchive
from builders.formats.json_values import parse_counted_json
from builders.tar.header import HARD_LINK, SPARSE, SYMLINK
from builders.tar.member import Member, normalise
from builders.tar.tape import REMAKE

_READ_LIMIT: Final = 1 << 26
"""Bytes of all JSON documents that are read of an archive. Many images may share one."""
_VALUES_LIMIT: Final = 1 << 20
"""Values in all of them. A value of three bytes takes two hundred in memory."""
_LINKS_MAX: Final = 40
"""Links on the way to a file of an archive: as many as Linux follows."""


def read_document(archive: ImageArchive, name: str, *, wanted: str) -> tuple[Any, bytes]:
    """Return the JSON in the member `name`, and its bytes."""
    member = find_file(archive, name, wanted=wanted)
    if member.size > DOCUMENT_LIMIT:
        die(
            f"{archive.what}: {name} has {member.size} bytes, more than the "
            f"{DOCUMENT_LIMIT} that are read of a JSON document",
            hint=RESAVE,
        )
    archive.documents_read += member.size
    if archive.documents_read > _READ_LIMIT:
        die(
            f"{archive.what}: its JSON documents, each as often as others name it, have more than "
            f"{_READ_LIMIT} bytes",
            hint=RESAVE,
        )
    data = archive.content(member)
    try:
        if data is None:
            raise ValueError("it does not start like it")
        document, count = parse_counted_json(data)
    except ValueError as error:
        raise UserError(f"{archive.what}: {name} is not JSON ({error})", hint=RESAVE) from None
    archive.values_read += count
    if archive.values_read > _VALUES_LIMIT:
        die(
            f"{archive.what}: its JSON documents, each as often as others name it, have more than "
            f"{_VALUES_LIMIT} values",
            hint=RESAVE,
        )
    return document, data


def find_file(archive: ImageArchive, name: str, *, wanted: str) -> Member:
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
        if len(seen) > _LINKS_MAX + 1:
            die(f"{archive.what}: {wanted}, more than {_LINKS_MAX} links away", hint=RESAVE)
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


def _follow(archive: ImageArchive, link: Member, *, wanted: str) -> str:
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


def _missing(archive: ImageArchive, wanted: str) -> UserError:
    if archive.has_end:
        return UserError(f"{archive.what}: {wanted}, which the archive does not hold", hint=RESAVE)
    return UserError(
        f"{archive.what} is cut off after {archive.length} bytes: {wanted}, "
        "which the archive does not hold",
        hint=REMAKE,
    )


def wrong_digest(archive: ImageArchive, name: str, found: str) -> NoReturn:
    """Raise the `UserError` of the member `name`, whose name says another digest than `found`."""
    die(
        f"{archive.what}: the content of {name} is not what its name says: its SHA-256 is {found}",
        hint=RESAVE,
    )
