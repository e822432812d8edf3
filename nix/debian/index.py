"""Downloads .debs (and a wheel or two) and finds out what each of their store paths refers to.

    index.py CACHE PACKAGES.NIX SET...

For each SET of packages.nix it writes CACHE/SET.json:

    units: name -> { version, debs: [{ file, sha256 }] or wheels: likewise, references: [unit],
                     libraries: { soname: [unit, directory] }, links: { path: [unit, path] },
                     ... what packages.nix says of it }

A unit is what becomes one store path. Units refer to each other by the
libraries that their ELF files name (DT_NEEDED), by symlinks and by what packages.nix
says; units that refer to each other in a circle become one.
"""

import fcntl
import hashlib
import io
import json
import multiprocessing
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

FACTS_VERSION = 3
UNFINISHED = ".fetch-"
"""What the names of directories begin with that hold what is not yet whole."""
BATCH = 20
"""Packages that apt-get fetches in one call: what an interruption loses at most."""


@dataclass
class Facts:
    """What is in one .deb.

    `depends` are names of packages; `provides` maps sonames to directories,
    `links` relative file names to the targets of symlinks that lead out of the package.
    Names are relative to the root, without `usr/` in front.
    """

    name: str
    version: str
    file: str
    sha256: str
    depends: list[str]
    needed: list[str] = field(default_factory=list)
    provides: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def say(text: str) -> None:
    """Print a line of progress; a later one replaces it on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def fail(text: str) -> NoReturn:
    """End with one line."""
    sys.exit(f"error: {text}")


def stripped(path: str) -> str:
    """Return a file's name in the package's store path."""
    path = posixpath.normpath(path.lstrip("./")) if path.strip("./") else "."
    path = path.removeprefix("usr/")
    top, _, rest = path.partition("/")
    if top in ("sbin", "games"):
        path = f"bin/{rest}" if rest else "bin"
    return path


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

    def _ask(self, names: list[str]) -> None:
        names = [name for name in names if name not in self._asked]
        self._asked.update(names)
        if not names:
            return
        text = subprocess.run(
            ["apt-cache", "show", "--no-all-versions", *names],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
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
                    with open(file, "rb") as deb:
                        digest = hashlib.file_digest(deb, "sha256").hexdigest()
                    if digest != self._offers[name]["SHA256"]:
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
        return facts if facts.sha256 == self._offers[name]["SHA256"] else None

    def _remember(self, facts: Facts) -> None:
        memo = os.path.join(self.cache, f"{facts.file}.json")
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


def read_deb(path: str, offer: dict[str, str]) -> Facts:
    """Return the facts about the .deb at `path`, which apt offers as `offer`."""
    relations = ", ".join(offer.get(key, "") for key in ("Depends", "Pre-Depends"))
    facts = Facts(
        name=offer["Package"],
        version=offer["Version"].rpartition(":")[2],
        file=os.path.basename(path),
        sha256=offer["SHA256"],
        depends=sorted(set(re.findall(r"(?:^|[,|]) *([a-z0-9][a-z0-9.+-]+)", relations))),
    )
    needed = set()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as data:
        assert data.stdout
        with tarfile.open(fileobj=data.stdout, mode="r|") as archive:
            for member in archive:
                own = stripped(member.name)
                if not member.isdir():
                    facts.files.append(own)
                if member.issym():
                    facts.links[own] = member.linkname
                    facts.provides.setdefault(posixpath.basename(own), posixpath.dirname(own))
                elif member.isfile() and member.size > 64:
                    file = archive.extractfile(member)
                    assert file
                    if file.read(4) != b"\x7fELF":
                        continue
                    content = b"\x7fELF" + file.read()
                    soname, needs = dynamic_names(content)
                    needed |= needs
                    name = soname or posixpath.basename(own)
                    if ".so" in name:
                        facts.provides[name] = posixpath.dirname(own)
    facts.needed = sorted(needed - set(facts.provides))
    facts.provides = {
        name: directory
        for name, directory in facts.provides.items()
        if ".so" in name and directory.startswith("lib")
    }
    files = set(facts.files)
    facts.links = {
        path: target for path, target in facts.links.items() if resolved(path, target) not in files
    }
    return facts


def resolved(path: str, target: str) -> str:
    """Return the name, in store-path terms, that a symlink at `path` to `target` leads to."""
    if target.startswith("/"):
        return stripped(target)
    return stripped(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))


def dynamic_names(content: bytes) -> tuple[str | None, set[str]]:
    """Return the SONAME of an ELF file, if it has one, and the DT_NEEDED names."""
    soname, needs = None, set()
    try:
        for segment in ELFFile(io.BytesIO(content)).iter_segments():
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        needs.add(tag.needed)  # type: ignore[attr-defined]
                    elif tag.entry.d_tag == "DT_SONAME":
                        soname = tag.soname  # type: ignore[attr-defined]
    except ELFError:
        pass
    return soname, needs


def fetch_wheel(cache: str, requirement: str) -> dict[str, str]:
    """Return file name and SHA-256 of the wheel `requirement` (name==version), from pip."""
    stem = requirement.replace("==", "-").replace("_", "-")
    here = [name for name in os.listdir(cache) if name.startswith(f"{stem}-")]
    if not here:
        say(f"Fetching the wheel {requirement}")
        with tempfile.TemporaryDirectory(dir=cache, prefix=UNFINISHED) as directory:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", directory, requirement]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                reason = result.stderr.strip().splitlines()[-1:]
                fail(f"pip could not fetch {requirement}: {''.join(reason)}")
            here = os.listdir(directory)
            os.rename(os.path.join(directory, here[0]), os.path.join(cache, here[0]))
    with open(os.path.join(cache, here[0]), "rb") as file:
        return {"file": here[0], "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def closure_of_debs(apt: Apt, seeds: list[str]) -> list[str]:
    """Return the packages that `seeds` need for their DT_NEEDED, themselves included."""
    apt.load(seeds)
    pending, taken = list(seeds), set(seeds)
    provided: dict[str, str] = {}

    def take(names: Iterable[str]) -> None:
        for name in names:
            for soname in apt.facts[name].provides:
                provided.setdefault(soname, name)

    take(seeds)
    while pending:
        names, pending = pending, []
        candidates = [
            other
            for name in names
            if set(apt.facts[name].needed) - set(provided)
            for other in apt.facts[name].depends
            if other.startswith(("lib", "zlib")) or "-libs" in other or "gcc" in other
        ]
        apt.load(apt.offered(candidates))
        take(other for other in candidates if other in apt.facts)
        for name in names:
            for soname in apt.facts[name].needed:
                owner = provided.get(soname)
                if owner and owner not in taken:
                    taken.add(owner)
                    pending.append(owner)
    return sorted(taken)


def main() -> None:
    """Write the index of each set that the command line names."""
    cache, packages, *names = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = wait_for_others(cache)
    try:
        write_indexes(cache, packages, names)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        fail("interrupted; run it again, and it goes on from here")
    finally:
        os.close(lock)


def wait_for_others(cache: str) -> int:
    """Lock the cache; return the lock. What a killed run left behind is removed."""
    lock = os.open(os.path.join(cache, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another fetch to end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    for name in os.listdir(cache):
        if name.startswith(UNFINISHED):
            shutil.rmtree(os.path.join(cache, name), ignore_errors=True)
    return lock


def write_indexes(cache: str, packages: str, names: list[str]) -> None:
    """Fetch what the sets `names` of `packages` are made of, and write their indexes."""
    table = json.loads(
        subprocess.run(
            ["nix-instantiate", "--eval", "--strict", "--json", packages],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    apt = Apt(cache)
    for name in names:
        if name not in table:
            fail(f"there is no set {name} in packages.nix; it has {', '.join(table)}")
        entries = {**table["base"], **table[name]}
        index = make_index(apt, {n: e for n, e in entries.items() if "debs" in e})
        for unit, entry in entries.items():
            if "wheels" in entry:
                index["units"][unit] = {
                    **entry,
                    "version": entry["wheels"][0].partition("==")[2],
                    "wheels": [fetch_wheel(cache, wheel) for wheel in entry["wheels"]],
                    "references": [],
                }
        path = os.path.join(cache, f"{name}.json")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(index, file, indent=1, sort_keys=True)
        os.rename(f"{path}.new", path)
        debs = sum(len(unit.get("debs", ())) for unit in index["units"].values())
        say(f"{name}: {len(index['units'])} store paths of {debs} packages")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    extract_busybox(apt, cache)


def extract_busybox(apt: Apt, cache: str) -> None:
    """Put the static busybox beside the .debs: the first program that runs in the sandbox."""
    apt.load(["busybox-static"])
    target = os.path.join(cache, "bootstrap", "busybox")
    if os.path.exists(target):
        return
    with tempfile.TemporaryDirectory(dir=cache, prefix=UNFINISHED) as directory:
        deb = os.path.join(cache, apt.facts["busybox-static"].file)
        subprocess.run(["dpkg-deb", "-x", deb, directory], check=True)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        for path in ("bin/busybox", "usr/bin/busybox"):
            if os.path.exists(os.path.join(directory, path)):
                os.rename(os.path.join(directory, path), target)


def make_index(apt: Apt, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the index of the packages `entries`, as the module describes it."""
    seeds = [deb for entry in entries.values() for deb in entry["debs"]]
    missing = sorted(set(seeds) - set(apt.offered(seeds)))
    if missing:
        fail(f"apt offers no {', '.join(missing)}; run 'apt-get update', or mend packages.nix")
    debs = closure_of_debs(apt, seeds)
    unit_of = {deb: name for name, entry in entries.items() for deb in entry["debs"]}
    for deb in debs:
        unit_of.setdefault(deb, deb)
    members: dict[str, list[str]] = {}
    for deb in debs:
        members.setdefault(unit_of[deb], []).append(deb)
    for name, entry in entries.items():
        members[name] = entry["debs"]
    provider = {soname: deb for deb in reversed(debs) for soname in apt.facts[deb].provides}
    owner = {file: deb for deb in debs for file in apt.facts[deb].files}

    units: dict[str, dict[str, Any]] = {}
    for name, names in members.items():
        entry = entries.get(name, {})
        libraries, links, references = {}, {}, set()
        extra = [soname for needs in entry.get("needed", {}).values() for soname in needs]
        extra += entry.get("linked", [])
        for deb in names:
            for soname in (*apt.facts[deb].needed, *extra):
                found = provider.get(soname)
                if found and unit_of[found] != name:
                    references.add(unit_of[found])
                    libraries[soname] = [unit_of[found], apt.facts[found].provides[soname]]
            for path, target in apt.facts[deb].links.items():
                found = owner.get(resolved(path, target))
                if found and unit_of[found] != name:
                    references.add(unit_of[found])
                    links[path] = [unit_of[found], resolved(path, target)]
        main = apt.facts[names[0]]
        units[name] = {
            **entry,
            "table": name in entries,
            "version": re.sub(r"[+~]?(dfsg|ds|deb|b\d|really).*$", "", main.version).split("-")[0],
            "debs": [
                {"file": apt.facts[deb].file, "sha256": apt.facts[deb].sha256} for deb in names
            ],
            "libraries": libraries,
            "links": links,
            "references": sorted(references - {name}),
        }
    return {"units": merge_circles(units)}


def merge_circles(units: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return `units`, with those that refer to each other in a circle made one."""
    component = components({name: unit["references"] for name, unit in units.items()})
    merged: dict[str, dict[str, Any]] = {}
    for name, unit in units.items():
        leader = component[name]
        if leader == name:
            merged[name] = {**unit, **merged.get(name, {})} if name in merged else dict(unit)
        else:
            raise_if_named = merged.setdefault(leader, dict(units[leader]))
            raise_if_named["debs"] = raise_if_named["debs"] + unit["debs"]
            for key in ("libraries", "links"):
                raise_if_named[key] = {**unit[key], **raise_if_named[key]}
            raise_if_named["references"] = raise_if_named["references"] + unit["references"]
            merged[name] = {"alias": leader}
    for name, unit in merged.items():
        if "alias" in unit:
            continue
        unit["references"] = sorted({component[ref] for ref in unit["references"]} - {name})
        for key in ("libraries", "links"):
            unit[key] = {
                path: [component[other], where]
                for path, (other, where) in unit[key].items()
                if component[other] != name
            }
    return merged


def components(references: dict[str, list[str]]) -> dict[str, str]:
    """Return for each node the first name of its strongly connected component (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    leader: dict[str, str] = {}

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in references[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other not in leader:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            members: list[str] = []
            while not members or members[-1] != name:
                members.append(stack.pop())
            for member in members:
                leader[member] = min(members)

    sys.setrecursionlimit(100_000)
    for name in references:
        if name not in index:
            visit(name)
    return leader


if __name__ == "__main__":
    main()
