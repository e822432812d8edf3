"""What layers became when they were compressed, remembered from one push to the next.

A file of lines in the user's cache directory, each an object of JSON: the diff ID, the compressor,
and the digest and size of the blob. Lines are added in one write, so that several pushes may do it
at once; what can't be read or written is done without.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from builders.image.names import is_digest

_SIZE_MAX: Final = 4 << 20
"""Bytes of the file, after which its older half goes."""


class DigestCache:
    """Blobs by diff ID and compressor."""

    def __init__(self, path: str | None) -> None:
        """Nothing is remembered where there is no `path`."""
        self._path = path
        self._known: dict[tuple[str, str], tuple[str, int]] = {}
        self._load()

    def get(self, diff_id: str, compressor: str) -> tuple[str, int] | None:
        """Return digest and size of the blob."""
        return self._known.get((diff_id, compressor))

    def add(self, diff_id: str, compressor: str, digest: str, size: int) -> None:
        """Remember a blob."""
        if self._known.get((diff_id, compressor)) == (digest, size) or self._path is None:
            return
        self._known[diff_id, compressor] = (digest, size)
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            file = os.open(self._path, flags, 0o644)
            try:
                os.write(file, _line(diff_id, compressor, digest, size))
            finally:
                os.close(file)

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except OSError:
            return
        for line in data.splitlines():
            # Another version may have written it, or only half of it.
            with suppress(ValueError, TypeError, KeyError, RecursionError):
                entry = json.loads(line)
                diff_id, compressor = str(entry["diffId"]), str(entry["compressor"])
                digest, size = str(entry["digest"]), entry["size"]
                if is_digest(digest) and isinstance(size, int) and size > 0:
                    self._known[diff_id, compressor] = (digest, size)
        if len(data) > _SIZE_MAX:
            self._shorten(self._path)

    def _shorten(self, path: str) -> None:
        entries = list(self._known.items())
        kept = entries[len(entries) // 2 :]
        with suppress(OSError):
            temporary = f"{path}.{os.getpid()}"
            with open(temporary, "wb") as file:
                file.writelines(_line(*key, *value) for key, value in kept)
            os.replace(temporary, path)


def cache_path(variables: Mapping[str, str]) -> str | None:
    """Return where the file is; None for a user who has no home."""
    home = variables.get("HOME")
    directory = variables.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else None)
    return os.path.join(directory, "longshore/layers.jsonl") if directory else None


def _line(diff_id: str, compressor: str, digest: str, size: int) -> bytes:
    entry = {"diffId": diff_id, "compressor": compressor, "digest": digest, "size": size}
    return json.dumps(entry).encode() + b"\n"
