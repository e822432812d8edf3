"""Getting store paths that are not on this machine out of binary caches, each without its closure.

A store path in the store has its closure there as well. What is only sent on needs none: it is
unpacked into a directory of its own. That it is the right one, the digests of the layer tell.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from builders.console.errors import die
from builders.remedies import CHECK_STORE

_STORE_PATH: Final = re.compile(r"(/.*?/[0-9a-z]{32}-[^/]+)(/.*)?")
_AT_A_TIME: Final = 4
_NEW_COMMANDS: Final = ("--extra-experimental-features", "nix-command")


class Fetcher:
    """Fetches store paths into `directory`."""

    def __init__(self, directory: str, *, tell: Callable[[str], object]) -> None:
        """`tell` is told of each path that is fetched."""
        self._directory = directory
        self._tell = tell
        self._caches: list[str] | None = None

    def prepare(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Fetch what is missing of `paths`; return where these store paths lie now.

        Raises `UserError` for one that no binary cache has.
        """
        missing = dict.fromkeys(
            found[1]
            for path in paths
            if not os.path.lexists(path) and (found := _STORE_PATH.fullmatch(path))
        )
        if not missing:
            return {}
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            places = dict(zip(missing, pool.map(self._fetch, missing), strict=True))
        for path, place in places.items():
            if place is None:
                die(f"{path} is missing, and no binary cache has it", hint=CHECK_STORE)
        return {path: place for path, place in places.items() if place}

    def find(self, path: str) -> str | None:
        """Return where the file at `path`, a store path, is or lies now; None if nobody has it."""
        return path if os.path.exists(path) else self._fetch(path)

    def _fetch(self, path: str) -> str | None:
        target = os.path.join(self._directory, os.path.basename(path))
        for cache in self._substituters():
            if self._unpack(path, cache, target):
                self._tell(f"fetched {path} from {cache}")
                return target
        return None

    def _substituters(self) -> Sequence[str]:
        if self._caches is None:
            self._caches = _configured_caches()
        return self._caches

    @staticmethod
    def _unpack(path: str, cache: str, target: str) -> bool:
        """Unpack `path` out of `cache`; return whether it was there."""
        dump = ["nix", *_NEW_COMMANDS, "store", "dump-path", "--store", cache, path]
        with (
            subprocess.Popen(
                dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as source,
            subprocess.Popen(
                ["nix-store", "--restore", target], stdin=source.stdout, stderr=subprocess.DEVNULL
            ) as restore,
        ):
            if source.stdout:
                source.stdout.close()
            done = restore.wait() == 0 and source.wait() == 0
        if done:
            _as_in_the_store(target)
        elif os.path.lexists(target):
            os.rename(target, f"{target}.part-{os.path.basename(cache)}")
        return done


def _configured_caches() -> list[str]:
    """Return the binary caches that Nix is set up with."""
    for command in (("config", "show"), ("show-config",)):
        try:
            result = subprocess.run(
                ["nix", *_NEW_COMMANDS, *command, "--json"], capture_output=True, text=True
            )
        except FileNotFoundError:
            die(
                "store paths of the image are missing, and there is no program 'nix' to get them",
                hint="install Nix, or push from the machine that built the image",
            )
        if not result.returncode:
            return list(json.loads(result.stdout)["substituters"]["value"])
    return []


def _as_in_the_store(path: str) -> None:
    """Give all at `path` the modes that it has in a store, where nothing can be written."""
    for directory, _, names in os.walk(path):
        for name in names:
            _make_read_only(os.path.join(directory, name))
        os.chmod(directory, 0o555)
    if not os.path.isdir(path) or os.path.islink(path):
        _make_read_only(path)


def _make_read_only(path: str) -> None:
    if not os.path.islink(path):
        executable = os.stat(path).st_mode & 0o100
        os.chmod(path, 0o555 if executable else 0o444)
