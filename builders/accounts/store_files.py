"""Looking into store paths on this machine: where one names another, and which files are equal.

What is not here, or can't be read, is passed over: an image is explained without its store, too.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Final

from builders.accounts.known import EqualFiles, Evidence
from builders.accounts.layer_scan import (
    SMALLEST_EQUAL,
    StoreFile,
    hash_of,
    mentioned,
    sorted_equal,
)
from builders.compression.readers import CHUNK
from builders.console.errors import UserError
from builders.layers.walk import walk

_HASHES: Final = re.compile(rb"[0-9a-df-np-sv-z]{32}(?=-)")


def find_evidence(path: str, reference: str) -> Evidence | None:
    """Return the first place in the store path `path` that names `reference`."""
    wanted = hash_of(reference)
    for file, status in _files(path):
        with suppress(OSError):
            place = _place_in(file, status, wanted)
            if place:
                return place
    return None


def _place_in(file: str, status: os.stat_result, wanted: bytes) -> Evidence | None:
    if stat.S_ISLNK(status.st_mode):
        at = os.fsencode(os.readlink(file)).find(wanted)
        if at >= 0:
            return Evidence(file, at)
    elif stat.S_ISREG(status.st_mode):
        with open(file, "rb", buffering=0) as content:
            for hash_, offset in mentioned(content):
                if hash_ == wanted:
                    return Evidence(file, offset)
    return None


def evidence_on_way(way: tuple[str, ...]) -> dict[tuple[str, str], Evidence]:
    """Return where each path on a way names the next one, as far as they are on this machine."""
    found = {}
    for pair in pairwise(way):
        place = find_evidence(*pair)
        if place:
            found[pair] = place
    return found


def equal_files(paths: Iterable[str]) -> tuple[EqualFiles, ...]:
    """Return which files of several of `paths` are equal, those of the most bytes first."""
    by_size: dict[int, list[StoreFile]] = {}
    for path in paths:
        for file, status in _files(path):
            if stat.S_ISREG(status.st_mode) and status.st_size >= SMALLEST_EQUAL:
                by_size.setdefault(status.st_size, []).append((path, file))
    groups = []
    for size, files in by_size.items():
        if len({path for path, _ in files}) < 2:
            continue
        same: dict[str, list[StoreFile]] = {}
        for path, file in files:
            with suppress(OSError):
                same.setdefault(_digest(file), []).append((path, file))
        groups += [(size, group) for group in same.values()]
    return sorted_equal(groups)


def content_without_hashes(path: str) -> str | None:
    """Return a digest of the store path `path` that no hash of a store path takes part in.

    Two paths of the same one differ in nothing but what they refer to. None where it is not here,
    or can't be read.
    """
    if not os.path.lexists(path):
        return None
    try:
        return _digest_without_hashes(path)
    except (OSError, UserError):
        return None


def _digest_without_hashes(path: str) -> str:
    digest = hashlib.sha256()
    for file, status in sorted(walk(path)):
        kind = stat.S_IFMT(status.st_mode) | status.st_mode & stat.S_IXUSR
        digest.update(b"%o %s\0" % (kind, os.fsencode(file[len(path) :])))
        if stat.S_ISLNK(status.st_mode):
            digest.update(_HASHES.sub(b"", os.fsencode(os.readlink(file))))
        elif stat.S_ISREG(status.st_mode):
            # Whole, since a hash may lie across the border of two pieces.
            with open(file, "rb") as content:
                digest.update(_HASHES.sub(b"", content.read()))
    return digest.hexdigest()


def _files(path: str) -> Iterator[tuple[str, os.stat_result]]:
    if os.path.lexists(path):
        with suppress(OSError, UserError):
            yield from walk(path)


def _digest(file: str) -> str:
    digest = hashlib.sha256()
    with open(file, "rb", buffering=0) as content:
        while data := content.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()
