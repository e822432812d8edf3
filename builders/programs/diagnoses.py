"""What has changed in the store, as Nix's database knows it."""

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from builders.blobs.diagnosis import Diagnosis
from builders.console.errors import UserError
from builders.remedies import CHECK_STORE, MAKE_AGAIN

STORE_PATH: Final = re.compile(r"(/.*?/[0-9a-z]{32}-[^/]+)(/.*)?")
"""A store path, and what may follow in it."""
_AT_A_TIME: Final = 4


class StoreDiagnosis(Diagnosis):
    """Finds out which path of a layer has changed, by the hashes in Nix's database."""

    def __init__(self, image: str) -> None:
        """`image` is what the user gave: a plan, a script, an archive or a layout."""
        super().__init__(_remedy(image))

    def changed(self, number: int, paths: Sequence[str]) -> UserError:
        """Return the failure of a layer; of paths that were fetched the store knows nothing."""
        fetched = [path for path in paths if STORE_PATH.fullmatch(path) and not _is_here(path)]
        if not fetched:
            return super().changed(number, paths)
        return UserError(
            f"layer {number} has another digest than the image says: what a binary cache has at "
            f"{', '.join(fetched[:3])} is not what the image was made of",
            hint="push from the machine that built the image, or build it again with that cache",
        )

    def find_changed(self, paths: Sequence[str]) -> Sequence[str]:
        """Return the store paths that don't have the hash of Nix's database."""
        found = (STORE_PATH.fullmatch(path) for path in paths)
        candidates = list(dict.fromkeys(path[1] for path in found if path))
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            changed = pool.map(_has_changed, candidates)
            return [path for path, found in zip(candidates, changed, strict=True) if found]


def _is_here(path: str) -> bool:
    return os.path.lexists(path)


def _has_changed(path: str) -> bool:
    # What isn't registered fails as well, and about that nothing is known.
    return not _succeeds("--verify-path", path) and _succeeds("--check-validity", path)


def _succeeds(*arguments: str) -> bool:
    try:
        result = subprocess.run(
            ["nix-store", *arguments], stdin=subprocess.DEVNULL, capture_output=True
        )
    except OSError:
        return False
    return not result.returncode


def _remedy(image: str) -> str:
    """Return what to do about files of `image`: they are those of the store, or its own."""
    path = os.path.realpath(image)
    if STORE_PATH.fullmatch(path) or not os.path.exists(path):
        return CHECK_STORE
    if os.path.isfile(path):
        with open(path, "rb") as file:
            # A document of ours, or a stream script.
            if file.read(2) in (b"#!", b"{\n", b'{"'):
                return CHECK_STORE
    return MAKE_AGAIN
