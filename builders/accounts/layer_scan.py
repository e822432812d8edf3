"""Looking into layers: which store paths are in a tar, how large they are, what they name.

References are found as Nix finds them, by the hash in the name of a store path, wherever the bytes
of a file or the target of a link have the path. What is compressed inside of a file hides them from
Nix, too.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from builders.accounts.known import EqualFiles, Evidence
from builders.compression.readers import CHUNK, Reader, Section
from builders.tar.header import HARD_LINK, SYMLINK
from builders.tar.member import Member, normalise
from builders.tar.reader import Scan
from builders.tar.tape import Tape

_HASH: Final = "[0-9a-df-np-sv-z]{32}"
_NAME: Final = rf"{_HASH}-[0-9A-Za-z+._?=-]{{1,211}}"
_MEMBER: Final = re.compile(rf"((?:[^/]+/)*store/{_NAME})(?:/|$)")
"""The name of a member in a store path. Stores lie in /nix, or elsewhere."""
_MENTION: Final = b"/store/"
_HASH_LENGTH: Final = 32
_SPAN: Final = len(_MENTION) + _HASH_LENGTH
_HASH_DIGITS: Final = frozenset(b"0123456789abcdfghijklmnpqrsvwxyz")

SMALLEST_EQUAL: Final = 4096
"""Bytes of a file that is worth to be named where it is there twice."""

StoreFile = tuple[str, str]
"""A store path, and the path of a file in it."""


def hash_of(path: str) -> bytes:
    """Return the hash in the name of a store path, by which references are found."""
    return os.path.basename(path)[:_HASH_LENGTH].encode(errors="replace")


@dataclass
class LayerContents:
    """What is in a layer, in bytes of its tar.

    `paths` are those of store paths, `directories` of what else is there, by the first two
    directories. `mentions` tells of each store path, "" for all that is in none, where it names a
    hash for the first time. `files` are those of store paths that are worth to be compared, with
    their paths, by size and content.
    """

    paths: dict[str, int] = field(default_factory=dict)
    directories: dict[str, int] = field(default_factory=dict)
    mentions: dict[str, dict[bytes, Evidence]] = field(default_factory=dict)
    files: dict[tuple[int, bytes], list[StoreFile]] = field(default_factory=dict)


class _Hashed:
    """Another reader, all of whose bytes are hashed."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def scan_layer(source: Reader, *, what: str, with_files: bool = False) -> LayerContents:
    """Return what is in the uncompressed layer that `source` reads; `what` names it in errors.

    Its files are hashed only if `with_files`, since that takes a while. Raises `UserError` where
    it is damaged.
    """
    found = LayerContents()
    tape = Tape(source, what=what)
    end = 0
    for member in Scan(tape):
        path = store_path_of(member.name)
        start, end = end, member.offset + -(-member.stored // 512) * 512
        if path is None:
            directory = _directory(member)
            found.directories[directory] = found.directories.get(directory, 0) + end - start
        else:
            found.paths[path] = found.paths.get(path, 0) + end - start
        mentions = found.mentions.setdefault(path or "", {})
        if member.type == SYMLINK:
            _note(os.fsencode(member.linkname), 0, f"/{member.name}", mentions)
        elif member.type == HARD_LINK:
            # Its target is only the other name of the file, whose content is both's.
            file = f"/{normalise(member.linkname)}"
            there = found.mentions.get(store_path_of(file[1:]) or "", {})
            for hash_, evidence in list(there.items()):
                if evidence.file == file:
                    mentions.setdefault(hash_, evidence)
        if member.is_file and member.size >= _SPAN:
            content: Reader = Section(tape, member.size)
            wanted = with_files and path is not None and member.size >= SMALLEST_EQUAL
            hashed = _Hashed(content)
            for hash_, offset in mentioned(hashed if wanted else content):
                mentions.setdefault(hash_, Evidence(f"/{member.name}", offset))
            if wanted:
                same = found.files.setdefault((member.size, hashed.digest), [])
                same.append((path or "", f"/{member.name}"))
    return found


def store_path_of(name: str) -> str | None:
    """Return the store path that the member `name` of a layer is in, if any."""
    match = _MEMBER.match(name)
    return f"/{match[1]}" if match else None


def _directory(member: Member) -> str:
    parts = member.name.split("/")
    return "/" + "/".join(parts[:2] if len(parts) > 2 else parts[:1] if len(parts) > 1 else [])


def mentioned(source: Reader) -> Iterator[tuple[bytes, int]]:
    """Yield the hashes of store paths that `source` names, with the offset of each in bytes."""
    kept = b""
    position = 0
    while data := source.read(CHUNK):
        window = kept + data
        for hash_, at in _hashes(window):
            yield hash_, position - len(kept) + at
        position += len(data)
        # What is cut at the end comes again, whole; what was whole has no place in so few bytes.
        kept = window[-(_SPAN - 1) :]


def _hashes(window: bytes) -> Iterator[tuple[bytes, int]]:
    at = window.find(_MENTION)
    while at != -1:
        start = at + len(_MENTION)
        found = window[start : start + _HASH_LENGTH]
        if len(found) == _HASH_LENGTH and _HASH_DIGITS.issuperset(found):
            yield found, start
        at = window.find(_MENTION, start - 1)


def _note(text: bytes, offset: int, file: str, mentions: dict[bytes, Evidence]) -> None:
    for hash_, at in _hashes(text):
        mentions.setdefault(hash_, Evidence(file, offset + at))


def merged_mentions(
    layers: Mapping[int, LayerContents],
) -> dict[str, dict[bytes, Evidence]]:
    """Return the mentions of all layers, by store path."""
    found: dict[str, dict[bytes, Evidence]] = {}
    for layer in layers.values():
        for path, mentions in layer.mentions.items():
            known = found.setdefault(path, {})
            for hash_, evidence in mentions.items():
                known.setdefault(hash_, evidence)
    return found


def equal_in_layers(layers: Iterable[LayerContents]) -> tuple[EqualFiles, ...]:
    """Return which files of several store paths are equal, those of the most bytes first.

    A file that several layers have, one over the other, is one.
    """
    found: dict[tuple[int, bytes], dict[StoreFile, None]] = {}
    for layer in layers:
        for key, files in layer.files.items():
            found.setdefault(key, {}).update(dict.fromkeys(files))
    return sorted_equal((size, files) for (size, _), files in found.items())


def sorted_equal(groups: Iterable[tuple[int, Collection[StoreFile]]]) -> tuple[EqualFiles, ...]:
    """Return those of `groups`, each of one content and size, that are of several store paths."""
    found = [
        EqualFiles(size, tuple(sorted(file for _, file in files)))
        for size, files in groups
        if len({path for path, _ in files}) > 1
    ]
    return tuple(sorted(found, key=lambda equal: (-equal.more, equal.files)))
