"""Packages as apt offers them: names, versions, and the .debs in the cache."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from typing import NoReturn

from debs import Facts, digest_of, read_deb

FACTS_VERSION = 4
UNFINISHED = ".fetch-"
"""What the names of directories begin with that hold what is not yet whole."""
BATCH = 20
"""Packages that apt-get fetches in one call: what an interruption loses at most."""


def say(text: str) -> None:
    """Print a line of progress; a later one replaces it on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def fail(text: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"error: {text}")


class Apt:
    """Packages as apt offers them, and their files in the cache."""

    def __init__(self, cache: str) -> None:
        self.cache = cache
        self.facts: dict[str, Facts] = {}
        self._offers: dict[str, dict[str, str]] = {}
        self._asked: set[str] = set()

    def load(self, names: Iterable[str]) -> None:
        """Get the .debs of the packages `names`, and read them."""
        wanted = [name for name in dict.fromkeys(names) if name not in self.facts]
        self._ask(wanted)
        missing = [name for name in wanted if name in self._offers and not self._is_here(name)]
        self._download(missing)
        unread = []
        for name in wanted:
            if name in self._offers:
                facts = self._known(name)
                if facts:
                    self.facts[name] = facts
                else:
                    unread.append(name)
        if not unread:
            return
        pool = multiprocessing.Pool(initializer=leave_interruptions_to_the_parent)
        try:
            read = pool.imap(read_one, [(self._path(n), self._offers[n]) for n in unread])
            for number, (name, facts) in enumerate(zip(unread, read, strict=True)):
                say(f"Reading packages: {number} of {len(unread)}, {name}")
                self.facts[name] = facts
                self._remember(facts)
            pool.close()
        except BaseException:
            # An interruption waits for nothing.
            pool.terminate()
            raise
        finally:
            pool.join()

    def offered(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that apt offers."""
        wanted = list(dict.fromkeys(names))
        self._ask(wanted)
        return [name for name in wanted if name in self._offers]

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Return for each of `names` the package that apt offers for it, where it offers one.

        That is the package of this name, or else the only one that provides it: Debian names
        libraries anew when their interface changes, and says in `Provides` what the name was
        (libmagic1t64 provides libmagic1).
        """
        wanted = list(dict.fromkeys(names))
        found = {name: name for name in self.offered(wanted)}
        for name in wanted:
            if name not in found:
                providers = self.offered(self._providers(name))
                if len(providers) == 1:
                    found[name] = providers[0]
        return found

    def version_in_dependency(self, package: str, pattern: str) -> str | None:
        """Return what stands for `@version@` in `pattern` among the packages `package` needs.

        `gcc-@version@` is found in `gcc-14 (>= 14.2.0-6~)`, and gives `14`.
        """
        if not self.offered([package]):
            return None
        before, _, after = pattern.partition("@version@")
        dependency = re.compile(
            rf"(?:^|[,|]) *{re.escape(before)}([0-9][0-9.]*){re.escape(after)}(?=[ ,:|(]|$)"
        )
        offer = self._offers[package]
        found = dependency.search(
            ", ".join(offer.get(key, "") for key in ("Depends", "Pre-Depends"))
        )
        return found and found[1]

    def _providers(self, name: str) -> list[str]:
        text = _output_of("apt-cache", "showpkg", name)
        lines = text.partition("\nReverse Provides:")[2].splitlines()
        return sorted({line.split()[0] for line in lines if line.strip()})

    def _ask(self, names: list[str]) -> None:
        names = [name for name in names if name not in self._asked]
        self._asked.update(names)
        if not names:
            return
        text = _output_of("apt-cache", "show", "--no-all-versions", *names)
        for paragraph in text.split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
            if "Package" in fields and "SHA256" in fields:
                self._offers[fields["Package"]] = fields

    def _path(self, name: str) -> str:
        offer = self._offers[name]
        version = offer["Version"].replace(":", "%3a")
        return os.path.join(self.cache, f"{name}_{version}_{offer['Architecture']}.deb")

    def _is_here(self, name: str) -> bool:
        path = self._path(name)
        size = int(self._offers[name]["Size"])
        return os.path.exists(path) and os.path.getsize(path) == size

    def _download(self, names: list[str]) -> None:
        total = sum(int(self._offers[name]["Size"]) for name in names) / 1e6
        done = 0.0
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            say(f"Fetching packages: {start} of {len(names)}, {done:.0f} of {total:.0f} MB")
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=UNFINISHED) as directory:
                # apt drops its privileges to a user who must be able to write here.
                os.chmod(directory, 0o777)
                result = subprocess.run(
                    [
                        "apt-get",
                        "download",
                        "-qq",
                        *(f"{name}={self._offers[name]['Version']}" for name in batch),
                    ],
                    cwd=directory,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if result.returncode:
                    reason = result.stderr.strip().splitlines()[-1:]
                    fail(f"apt-get download failed: {''.join(reason)}; run 'apt-get update'")
                for name in batch:
                    file = os.path.join(directory, os.path.basename(self._path(name)))
                    if digest_of(file) != self._offers[name]["SHA256"]:
                        fail(f"{name} was damaged on its way; run this again")
                    os.rename(file, self._path(name))
            done += sum(int(self._offers[name]["Size"]) for name in batch) / 1e6
        if names:
            say(f"Fetched {len(names)} packages, {total:.0f} MB")

    def _known(self, name: str) -> Facts | None:
        try:
            with open(f"{self._path(name)}.json", encoding="utf-8") as file:
                known = json.load(file)
            if known.pop("facts") != FACTS_VERSION:
                return None
            facts = Facts(**known)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if facts.offered != self._offers[name]["SHA256"]:
            return None
        return facts if os.path.exists(os.path.join(self.cache, facts.file)) else None

    def _remember(self, facts: Facts) -> None:
        memo = f"{self._path(facts.name)}.json"
        with open(f"{memo}.new", "w", encoding="utf-8") as file:
            json.dump({"facts": FACTS_VERSION, **asdict(facts)}, file)
        os.rename(f"{memo}.new", memo)


def leave_interruptions_to_the_parent() -> None:
    """Let a worker process go on when Ctrl-C is pressed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def read_one(deb: tuple[str, dict[str, str]]) -> Facts:
    """Return the facts about a path and what apt offers there."""
    return read_deb(*deb)


def _output_of(*command: str) -> str:
    """Return what a command prints. apt-cache says of names that it doesn't know by its status."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
