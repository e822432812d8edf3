"""Builds the layer of buildImage: `copyToRoot`, and what the scripts make of it.

The output is as builders.derivations.layer_directory says.
"""

import os
from dataclasses import dataclass
from typing import Final

from builders.closure.graph import read_graph
from builders.derivations import arguments
from builders.derivations.planned import PlannedBase
from builders.derivations.script_arguments import PYTHON_OPTIONS, ScriptArguments, database_loader
from builders.layers.tree import MTIME, write_layer
from builders.rootfs.base_tree import open_base
from builders.rootfs.changes import Snapshot
from builders.rootfs.copies import Copier, CopyWords
from builders.rootfs.fakeroot import enter_fakeroot
from builders.rootfs.nix_database import add_database
from builders.rootfs.root_scripts import run_root_script
from builders.rootfs.scripts import Environment
from builders.rootfs.unpack import lay_over, unpack
from builders.tar.header import Owner

_SESSION: Final = "session"
"""The argument that tells this script that it runs inside of a fakeroot session."""

_COPIES: Final = CopyWords(
    what="copyToRoot",
    circle_hint="remove that link, or set keepContentsDirlinks = true",
    special_hint="make it in runAsRoot or extraCommands",
)

_TEMPORARY_DIRECTORIES: Final = ("NIX_BUILD_TOP", "TEMP", "TEMPDIR", "TMP", "TMPDIR")
"""Variables by which Nix names the build's directory."""


@dataclass(frozen=True, kw_only=True)
class Arguments(ScriptArguments):
    """What single_layer takes, in the names of buildImage's attributes.

    `base` is the output of base_image, `root_path` PATH for runAsRoot.
    """

    base: str | None
    from_image: str | None
    copy_to_root: list[str]
    keep_contents_dirlinks: bool
    extra_commands: str
    run_as_root: str | None
    uid: int
    gid: int
    root_path: str


def main(argv: list[str]) -> None:
    """Build the layer; with the argument `session`, the part of it inside of fakeroot."""
    build = arguments.load()
    given = build.arguments(Arguments)
    os.umask(0o022)
    environment = Environment(shell=given.shell, stdenv=given.stdenv, top=build.top)
    if argv == [_SESSION]:
        changes = run_as_root(given, build, environment)
        write_single_layer(changes, build.out, given, owner=None)
        return
    if given.run_as_root is not None:
        enter_fakeroot(
            given.fakeroot,
            given.fakeroot_path,
            [given.python, *PYTHON_OPTIONS, given.library, "single_layer", _SESSION],
        )
        return
    root = os.path.join(build.top, "root")
    os.mkdir(root, 0o755)
    copy_to(root, given, build)
    extra_commands(root, given, environment)
    write_single_layer(root, build.out, given, owner=Owner(given.uid, given.gid))


def copy_to(root: str, given: Arguments, build: arguments.Build) -> None:
    """Copy copyToRoot, and the Nix database of its closure, into `root`."""
    copier = Copier(root, keep_dirlinks=given.keep_contents_dirlinks, words=_COPIES)
    for path in given.copy_to_root:
        print(f"Adding {path}", flush=True)
        copier.add(path)
    if given.include_nix_db:
        add_database(
            root,
            read_graph(given.contents_closure),
            gc_roots=given.copy_to_root,
            time=MTIME,
            loader=database_loader(given, build),
        )
    copier.finish()


def extra_commands(root: str, given: Arguments, environment: Environment) -> None:
    """Run extraCommands in `root`."""
    if given.extra_commands:
        environment.run("extraCommands", given.extra_commands, directory=root)


def run_as_root(given: Arguments, build: arguments.Build, environment: Environment) -> str:
    """Run runAsRoot over base image and copyToRoot; return the directory of what it changed."""
    root, copies, layer = (os.path.join(build.top, name) for name in ("root", "copies", "layer"))
    if given.from_image:
        print("Unpacking base image...", flush=True)
    layers = PlannedBase.read(given.base).layers if given.base else None
    with open_base(layers, directory=build.top, what=f"fromImage {given.from_image}") as base:
        os.mkdir(root, 0o755)
        if base:
            unpack(base, root)
        snapshot = Snapshot(root, base)
        if given.copy_to_root or given.include_nix_db:
            os.mkdir(copies, 0o755)
            copy_to(copies, given, build)
            lay_over(copies, root, aside=os.path.join(build.top, "aside"))
        run_root_script(
            given.run_as_root or "",
            root,
            name="runAsRoot",
            shell=given.shell,
            path=given.root_path,
            store_dir=given.store_dir,
            temporary_variables=_TEMPORARY_DIRECTORIES,
            musl_hint="name programs of Nix in their place",
        )
        snapshot.move_changes(layer)
    extra_commands(layer, given, environment)
    return layer


def write_single_layer(root: str, out: str, given: Arguments, *, owner: Owner | None) -> None:
    """Write the layer of `root` to the output."""
    # Not before the scripts are done: runAsRoot sees the store, and may change all that it sees.
    os.mkdir(out)
    # As the reference: root's name stands beside its number, but for layers of runAsRoot.
    write_layer(out, root, owner=owner, numeric_owner=owner is None)
