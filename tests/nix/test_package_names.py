"""nix/debian/fetch: names and versions of packages, as apt's index has them.

Each test makes an index for the real apt: a repository of files, and settings that know no other.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile

import pytest

from tests.nix.images import REPOSITORY

INDEX_PY = REPOSITORY / "nix/debian/index.py"
RESOLVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from index import with_names_of
from offers import Apt
table = json.load(sys.stdin)
versions = table.pop("versions")
entries = table["base"] | table["large"]
print(json.dumps(with_names_of(Apt(sys.argv[2]), entries, versions)))
"""
"""Prints the entries of packages.nix with the names that apt offers."""

RELEASES = {
    "Debian 12": ("12", "5.36", "3.11", "1.19", "14", "17", "15", False, False),
    "Debian 13": ("14", "5.40", "3.13", "1.24", "19", "21", "17", True, True),
    "Debian testing": ("16", "5.42", "3.14", "1.26", "21", "25", "18", True, True),
    "Ubuntu 24.04": ("13", "5.38", "3.12", "1.22", "18", "21", "16", True, False),
}
"""Versions of what SOURCES has; whether names have t64; whether there is a python3-isal."""
SOURCES = {
    "gcc": ("gcc", "cpp (= 4:1), gcc-{0} (>= {0}.2.0-1~), gcc-x86-64-linux-gnu"),
    "perl": ("perl", "perl-base (= {0}.1), perl-modules-{0} (>= {0}.1), libperl{0} (= {0}.1-2)"),
    "python": ("python3", "python{0} (>= {0}.1-1~), libpython3-stdlib (= {0}.1-1)"),
    "golang": ("golang-go", "golang-{0}-go, golang-src (>= 2:{0}~1)"),
    "llvm": ("llvm", "llvm-runtime (= 1:{0}.0-1), llvm-{0} (>= {0}~)"),
    "openjdk": ("default-jre-headless", "openjdk-{0}-jre-headless, java-common"),
    "postgresql": ("postgresql", "postgresql-{0}"),
}


class Repository:
    """Packages that apt offers in a test, and nothing else."""

    def __init__(self, directory):
        self.directory = directory
        self.cache = directory / "cache"
        self.stanzas = []
        for name in ("packages", "cache", "apt/lists/partial", "apt/archives/partial", "apt/none"):
            (directory / name).mkdir(parents=True)
        settings = {
            "Dir::State": directory / "apt",
            "Dir::State::status": directory / "apt/status",
            "Dir::Cache": directory / "apt",
            "Dir::Etc": directory / "apt",
            "Dir::Etc::parts": directory / "apt/none",
            "APT::Sandbox::User": "root",
        }
        (directory / "apt/status").touch()
        config = directory / "apt/apt.conf"
        config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
        (directory / "apt/sources.list").write_text(f"deb [trusted=yes] file:{directory} ./\n")
        self.environment = {**os.environ, "APT_CONFIG": str(config)}

    def offer(self, name, version="1.0-1", **fields):
        """Name a package that can't be had."""
        self._describe(name, version, fields, size=1, sha256="0" * 64, file=f"{name}.deb")

    def build(self, name, files, compression="xz", version="1.0-1", **fields):
        """Make a package of `files`, by their names."""
        tree = self.directory / "trees" / name
        for path, content in {**files, "DEBIAN/control": ""}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content.encode() if isinstance(content, str) else content)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: nobody\nDescription: nothing\n"
        )
        deb = self.directory / "packages" / f"{name}.deb"
        command = ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", tree, deb]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        file = f"packages/{name}.deb"
        self._describe(name, version, fields, deb.stat().st_size, digest, file)

    def _describe(self, name, version, fields, size, sha256, file):
        self.stanzas.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            f"Maintainer: nobody\nDescription: nothing\n"
            f"Filename: ./{file}\nSize: {size}\nSHA256: {sha256}\n"
            + "".join(f"{key}: {value}\n" for key, value in fields.items())
        )

    def update(self):
        """Let apt read it."""
        # Each paragraph ends with an empty line, or apt fails to download the last one.
        (self.directory / "Packages").write_text("".join(f"{text}\n" for text in self.stanzas))
        command = ["apt-get", "update", "-qq"]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def fetch(self, packages):
        """Run index.py for a text of packages.nix."""
        self.update()
        (self.directory / "packages.nix").write_text(packages)
        return subprocess.run(
            [
                "/usr/bin/python3",
                "-B",
                INDEX_PY,
                self.cache,
                self.directory / "packages.nix",
                "base",
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def units(self, packages):
        """Return the units of the index that is made for a text of packages.nix."""
        result = self.fetch(packages)
        assert result.returncode == 0, result.stderr
        (index,) = self.cache.glob("base-*.json")
        return json.loads(index.read_text())["units"]


@pytest.fixture
def apt(tmp_path):
    """A repository that has only what `fetch` itself takes."""
    repository = Repository(tmp_path)
    repository.build("busybox-static", {"usr/bin/busybox": "busybox"})
    return repository


@pytest.mark.parametrize("release", RELEASES)
def test_all_names_are_found_in_each_release(tmp_path, release):
    *numbers, time64, has_isal = RELEASES[release]
    table = json.loads(
        subprocess.check_output(
            [
                "nix-instantiate",
                "--eval",
                "--strict",
                "--json",
                REPOSITORY / "nix/debian/packages.nix",
            ]
        )
    )
    text = json.dumps(table)
    repository = Repository(tmp_path)
    for (name, (package, depends)), number in zip(SOURCES.items(), numbers, strict=True):
        text = text.replace(f"@{name}@", number)
        repository.offer(package, Depends=depends.format(number))
    wanted = {
        deb
        for entries in (json.loads(text)["base"], json.loads(text)["large"])
        for entry in entries.values()
        for deb in entry["debs"]
    }
    for name in wanted - {package for package, _ in SOURCES.values()}:
        if name == "libmagic1" and time64:
            repository.offer("libmagic1t64", "1:5.45-3", Provides="libmagic1 (= 1:5.45-3)")
        elif name != "python3-isal" or has_isal:
            repository.offer(name)
    repository.update()

    found = json.loads(
        subprocess.run(
            [
                "/usr/bin/python3",
                "-B",
                "-c",
                RESOLVE,
                REPOSITORY / "nix/debian",
                tmp_path / "cache",
            ],
            input=json.dumps(table),
            env=repository.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    )
    gcc, perl, python, *_ = numbers
    assert found["gcc-unwrapped"]["debs"] == [f"gcc-{gcc}", f"cpp-{gcc}", f"libgcc-{gcc}-dev"]
    assert f"libperl{perl}" in found["perl"]["debs"]
    assert f"/perl/{perl}:" in found["perl"]["wrappers"]["bin/perl"]["PERL5LIB"]
    assert found["python3-unwrapped"]["debs"][0] == f"python{python}"
    assert found["python3-unwrapped"]["symlinks"] == {"bin/python3": f"python{python}"}
    assert ("libmagic1t64" if time64 else "libmagic1") in found["file"]["debs"]
    assert ("debs" in found["python-isal"], "wheels" in found["python-isal"]) == (
        (True, False) if has_isal else (False, True)
    )
    assert not re.findall(r"@(?!out@)\w+@", json.dumps(found))


def test_a_package_is_found_by_what_it_provides(apt):
    apt.build("libnew1t64", {"usr/share/new": "new"}, Provides="libnew1 (= 1.0-1)")
    units = apt.units('{ base.new.debs = [ "libnew1" ]; }')
    assert [deb["file"] for deb in units["new"]["debs"]] == ["libnew1t64_1.0-1_all.deb"]


def test_a_name_that_two_packages_provide_is_not_guessed(apt):
    for name in ("mawk", "gawk"):
        apt.offer(name, Provides="awk")
    result = apt.fetch('{ base.awk.debs = [ "awk" ]; }')
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "error: apt offers no awk; run 'apt-get update', or mend packages.nix"
    )


def test_all_that_apt_lacks_is_named_in_one_line(apt):
    apt.offer("here")
    result = apt.fetch('{ base = { a.debs = [ "here" "one" ]; b.debs = [ "two" "one" ]; }; }')
    assert result.returncode == 1
    assert (
        result.stderr
        == "error: apt offers no one, two; run 'apt-get update', or mend packages.nix\n"
    )


VERSIONED = """{
  versions.cc = { package = "cc"; dependsOn = "cc-@version@"; };
  base.cc = { debs = [ "cc-@cc@" ]; symlinks."bin/cc" = "cc-@cc@"; };
}"""


def test_of_two_versions_the_one_that_is_depended_on_is_taken(apt):
    apt.offer("cc", Depends="cc-base (= 1), cc-9.1 (>= 9.1.0-6~)")
    apt.build("cc-9.1", {"usr/bin/cc-9.1": "9"})
    apt.build("cc-10", {"usr/bin/cc-10": "10"})
    units = apt.units(VERSIONED)
    assert units["cc"]["debs"][0]["file"] == "cc-9.1_1.0-1_all.deb"
    assert units["cc"]["symlinks"] == {"bin/cc": "cc-9.1"}


@pytest.mark.parametrize("depends", ["libcc-9", "cc-base", "cc-9-base"])
def test_a_version_that_no_dependency_names_is_an_error(apt, depends):
    apt.offer("cc", Depends=depends)
    result = apt.fetch(VERSIONED)
    assert result.returncode == 1
    assert result.stderr == (
        "error: apt offers no cc that depends on cc-@version@; "
        "run 'apt-get update', or mend packages.nix\n"
    )


def test_packages_that_are_compressed_with_zstd_are_kept_with_xz(apt):
    apt.build("tool", {"usr/bin/tool": "a tool"}, compression="zstd")
    for _ in range(2):
        (deb,) = apt.units('{ base.tool.debs = [ "tool" ]; }')["tool"]["debs"]
        file = apt.cache / deb["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == deb["sha256"]
        assert b"data.tar.xz  " in file.read_bytes()
        assert b"data.tar.zst" not in file.read_bytes()
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", file], check=True, capture_output=True)
        with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as archive:
            assert archive.extractfile("./usr/bin/tool").read() == b"a tool"


@pytest.mark.parametrize(("directory", "merged"), [("lib", False), ("usr/lib", True)])
def test_the_index_says_whether_a_package_has_its_libraries_below_usr(apt, directory, merged):
    apt.build("libc", {f"{directory}/libc.so.6": "libc"})
    assert apt.units('{ base.libc.debs = [ "libc" ]; }')["libc"]["usrMerged"] is merged
