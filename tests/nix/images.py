"""Building images with real Nix in its sandbox, and looking into them."""

import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from typing import Any

REPOSITORY = pathlib.Path(__file__).parents[2]

PREAMBLE = f"""
let
  pkgs = import <nixpkgs> {{ }};
  dockerTools = import {REPOSITORY} {{ inherit pkgs; }};
  inherit (pkgs) lib bash coreutils hello runCommand symlinkJoin writeTextDir;
  inherit (dockerTools) buildImage buildImageWithNixDb;
  inherit (dockerTools) buildNixShellImage streamNixShellImage;
  inherit (dockerTools) buildLayeredImage buildLayeredImageWithNixDb streamLayeredImage;
in
"""


def clone(directory: pathlib.Path) -> pathlib.Path:
    """Copy to the new `directory` what a clone has, which is what git knows, and return it."""
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-z"], capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = REPOSITORY / name
        if source.exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, directory / name)
    return directory


class NixError(Exception):
    """A Nix command that failed; `log` is what it printed."""

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log

    @property
    def error(self) -> str:
        """The line that a user looks for: the builder's last, or else the evaluator's."""
        lines = [line.strip() for line in self.log.splitlines()]
        said = [line for line in lines if line.startswith("error: ")]
        assert "Traceback" not in self.log, self.log
        return said[0]


def nix(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a Nix command; raises `NixError`."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NixError(result.stderr)
    return result


def build(expression: str, *options: str) -> pathlib.Path:
    """Build a Nix expression and return its output path."""
    result = nix("nix-build", "--no-out-link", *options, "-E", PREAMBLE + expression)
    return pathlib.Path(result.stdout.strip().splitlines()[-1])


def build_log(expression: str) -> str:
    """Build a Nix expression and return what was printed, from a store that has it or not."""
    return nix("nix-store", "--read-log", deriver(build(expression))).stdout


def deriver(path: os.PathLike[str] | str) -> str:
    """Return the derivation that made a store path."""
    return nix("nix-store", "-q", "--deriver", str(path)).stdout.strip()


def built_layer(expression: str) -> pathlib.Path:
    """Build the image of buildImage, and return the store path in which its layer was made."""
    layer = build(f"({expression}).layer") / "layer.tar"
    return layer.resolve(strict=True).parent


def evaluate(expression: str) -> Any:
    """Evaluate a Nix expression to JSON."""
    result = nix("nix-instantiate", "--eval", "--strict", "--json", "-E", PREAMBLE + expression)
    return json.loads(result.stdout)


def evaluation_warnings(expression: str) -> str:
    """Evaluate a Nix expression to a derivation and return what Nix prints of it."""
    return nix("nix-instantiate", "--eval", "-E", f"{PREAMBLE} ({expression}).drvPath").stderr


def failure(expression: str) -> str:
    """Return the error of an expression that must not build."""
    try:
        path = build(expression)
    except NixError as failed:
        return failed.error
    raise AssertionError(f"{path} was built")


@dataclass(frozen=True)
class Image:
    """A docker-archive, read into memory."""

    data: bytes

    @cached_property
    def members(self) -> dict[str, bytes]:
        """Contents of the archive's members by name, in order."""
        with tarfile.open(fileobj=io.BytesIO(self.data)) as archive:
            files = {}
            for member in archive:
                if member.isfile():
                    file = archive.extractfile(member)
                    assert file
                    files[member.name.removeprefix("./")] = file.read()
            return files

    @property
    def manifest(self):
        """The only entry of manifest.json."""
        (manifest,) = json.loads(self.members["manifest.json"])
        return manifest

    @property
    def config(self):
        """The image configuration."""
        return json.loads(self.members[self.manifest["Config"]])

    @property
    def diff_ids(self) -> list[str]:
        """Hexadecimal digests of the layers, lowest first."""
        return [diff_id.removeprefix("sha256:") for diff_id in self.config["rootfs"]["diff_ids"]]

    def layer(self, number: int) -> dict[str, tarfile.TarInfo]:
        """Members of a layer by name, without leading and trailing punctuation of paths."""
        data = self.members[self.manifest["Layers"][number]]
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            members = list(layer)
        files = {member.name.removeprefix("./").strip("/"): member for member in members}
        # Docker loads no layer in which a name comes twice.
        assert len(files) == len(members)
        return files

    def file(self, number: int, name: str) -> bytes:
        """Content of a file in a layer."""
        data = self.members[self.manifest["Layers"][number]]
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            file = layer.extractfile(self.layer(number)[name].name)
            # TarInfo names are those in the archive, "./" included.
            assert file
            return file.read()

    @property
    def store_paths(self) -> list[list[str]]:
        """The store paths of each layer that has any."""
        layers = []
        for number in range(len(self.manifest["Layers"])):
            names = self.layer(number)
            paths = [f"/{name}" for name in names if name.count("/") == 2 and "nix/store/" in name]
            if paths:
                layers.append(paths)
        return layers


def stream(expression: str, *arguments: str) -> Image:
    """Build a stream script, run it and return the image."""
    script = build(expression)
    return Image(subprocess.run([script, *arguments], check=True, capture_output=True).stdout)


def archive(expression: str) -> Image:
    """Build an image file and return the image; decompression is the command line's."""
    path = build(expression)
    program = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-dcq"]}.get(path.suffix, ["cat"])
    return Image(subprocess.run([*program, path], check=True, capture_output=True).stdout)


def closure(path: os.PathLike[str] | str) -> set[str]:
    """Return the closure of a store path."""
    return set(nix("nix-store", "-qR", str(path)).stdout.split())
