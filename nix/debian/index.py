"""Downloads .debs (and a wheel or two) and finds out what each of their store paths refers to.

    index.py CACHE PACKAGES.NIX SET...

For each SET of packages.nix it writes CACHE/SET-GENERATION.json, where GENERATION is a hash of
packages.nix and of these programs, so that checkouts of other versions have indexes of their own:

    units: name -> { version, debs: [{ file, sha256 }] or wheels: likewise, references: [unit],
                     libraries: { soname: [unit, directory] }, links: { path: [unit, path] },
                     usrMerged: whether its lib/ is below usr/ in the .deb,
                     ... what packages.nix says of it }

A unit is what becomes one store path. Units refer to each other by the
libraries that their ELF files name (DT_NEEDED), by symlinks and by what packages.nix
says; units that refer to each other in a circle become one.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Any, NoReturn

from debs import digest_of, resolved
from offers import UNFINISHED, Apt, fail, say


def fetch_wheel(cache: str, requirement: str, python: str) -> dict[str, str]:
    """Return file name and SHA-256 of the wheel `requirement` (name==version), from pip.

    `python` is the version of the interpreter that it is for, like 3.13.
    """
    stem = requirement.replace("==", "-").replace("_", "-")
    tags = (f"-cp{python.replace('.', '')}-", "-abi3-", "-py3-")

    def fits(name: str) -> bool:
        return name.startswith(f"{stem}-") and any(tag in name for tag in tags)

    here = [name for name in os.listdir(cache) if fits(name)]
    if not here:
        say(f"Fetching the wheel {requirement} for Python {python}")
        with tempfile.TemporaryDirectory(dir=cache, prefix=UNFINISHED) as directory:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--python-version", python]
            command += ["--dest", directory, requirement]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                reason = result.stderr.strip().splitlines()[-1:]
                fail(f"pip could not fetch {requirement}: {''.join(reason)}")
            here = os.listdir(directory)
            os.rename(os.path.join(directory, here[0]), os.path.join(cache, here[0]))
    return {"file": here[0], "sha256": digest_of(os.path.join(cache, here[0]))}


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


def generation(packages: str) -> str:
    """Return what the indexes are made by, as units.nix finds it, too."""
    here = os.path.dirname(os.path.abspath(__file__))
    programs = (os.path.join(here, name) for name in ("debs.py", "index.py", "offers.py"))
    digests = "".join(digest_of(path) for path in (packages, *programs))
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


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
    versions = table.pop("versions", {})
    apt = Apt(cache)
    for name in names:
        if name not in table:
            fail(f"there is no set {name} in packages.nix; it has {', '.join(table)}")
        entries = with_names_of(apt, {**table["base"], **table[name]}, versions)
        index = make_index(apt, {n: e for n, e in entries.items() if "debs" in e})
        for unit, entry in entries.items():
            if "wheels" in entry:
                index["units"][unit] = {
                    **entry,
                    "version": entry["wheels"][0].partition("==")[2],
                    "wheels": [
                        fetch_wheel(cache, wheel, entry["forPython"]) for wheel in entry["wheels"]
                    ],
                    "references": [],
                }
        path = os.path.join(cache, f"{name}-{generation(packages)}.json")
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


def with_names_of(
    apt: Apt, entries: dict[str, dict[str, Any]], versions: dict[str, dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return `entries` of packages.nix with the names that the packages have here.

    `versions` is what packages.nix calls so; each is filled in wherever it stands, as @NAME@.
    """
    text = json.dumps(entries)
    missing = []
    for name, source in versions.items():
        if f"@{name}@" in text:
            version = apt.version_in_dependency(source["package"], source["dependsOn"])
            if version is None:
                missing.append(f"{source['package']} that depends on {source['dependsOn']}")
            else:
                text = text.replace(f"@{name}@", version)
    if missing:
        fail_for_lack_of(missing)
    entries = json.loads(text)
    found = apt.find(deb for entry in entries.values() for deb in entry["debs"])
    named: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        lacking = [deb for deb in entry["debs"] if deb not in found]
        # Wheels are second best; then there are no .debs.
        other = "debs" if lacking and "wheels" in entry else "wheels"
        named[name] = {key: value for key, value in entry.items() if key != other}
        if "debs" in named[name]:
            missing += lacking
            named[name]["debs"] = [found.get(deb, deb) for deb in entry["debs"]]
    if missing:
        fail_for_lack_of(sorted(set(missing)))
    return named


def fail_for_lack_of(missing: list[str]) -> NoReturn:
    """End with one line that names what apt should offer."""
    fail(f"apt offers no {', '.join(missing)}; run 'apt-get update', or mend packages.nix")


def make_index(apt: Apt, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the index of the packages `entries`, as the module describes it."""
    seeds = [deb for entry in entries.values() for deb in entry["debs"]]
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
            "usrMerged": main.usr_merged,
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
