"""Builds the layer of buildImage: `copyToRoot`, and what the scripts make of it.

The output is as builders.derivations.layer_directory says.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from builders.derivations import arguments
from builders.derivations.planned import PlannedBase
from builders.derivations.script_arguments import (
    PYTHON_OPTIONS,
    ScriptArguments,
    check_engine_files,
    database_loader,
    database_paths,
)
from builders.layers.tree import MTIME, Inherited, write_layer
from builders.layers.walk import walk
from builders.rootfs.base_links import follow_base_links
from builders.rootfs.base_tree import open_base
from builders.rootfs.changes import Snapshot
from builders.rootfs.copies import ROOT_WRITABLE, Copier, CopyWords
from builders.rootfs.engine_files import copy_engine_files
from builders.rootfs.fakeroot import enter_fakeroot
from builders.rootfs.merged_tree import Node
from builders.rootfs.nix_database import add_database
from builders.rootfs.over_base import OverBase
from builders.rootfs.owned_directories import (
    give_directories,
    make_directories,
    place,
    read_directories,
    set_modes,
)
from builders.rootfs.root_scripts import run_root_script
from builders.rootfs.scripts import Environment
from builders.rootfs.tree_names import read_names
from builders.rootfs.unpack import copy_facts, lay_over, unpack
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

    `base` is the output of base_image, `root_path` PATH for runAsRoot. Without runAsRoot,
    `base_names` is the output of that derivation, where there is a base image.
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
    base_names: str | None


def main(argv: list[str]) -> None:
    """Build the layer; with the argument `session`, the part of it inside of fakeroot."""
    build = arguments.load()
    given = build.arguments(Arguments)
    os.umask(0o022)
    environment = Environment(
        shell=given.shell,
        stdenv=given.stdenv,
        top=build.top,
        inside=build.top,
        store_dir=given.store_dir,
    )
    if argv == [_SESSION]:
        changes, inherited = run_as_root(given, build, environment)
        write_single_layer(changes, build.out, given, owner=None, owners={}, inherited=inherited)
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
    base = read_names(given.base_names) if given.base_names else None
    mode = stat.S_IMODE(os.stat(root).st_mode)
    os.chmod(root, base.mode if base else mode | ROOT_WRITABLE)
    extra_commands(root, given, environment)
    inherited = place_over_base(root, base, given, has_owners=False)
    owners = directory_owners(root, base, given)
    for name in owners.keys() & inherited.keys():
        uid, gid = owners[name].uid, owners[name].gid
        inherited[name] = replace(inherited[name], uid=uid, gid=gid)
    owner = Owner(given.uid, given.gid)
    write_single_layer(root, build.out, given, owner=owner, owners=owners, inherited=inherited)


def directory_owners(root: str, base: Node | None, given: Arguments) -> dict[str, Owner]:
    """Return the owners of `directories` by the names that they have in the layer at `root`."""
    # What is still a directory over a link of the base image has taken its place.
    settled = {path[len(root) + 1 :] for path, _ in walk(root)}
    view = OverBase(root, base, settled) if base else None
    return {
        view.resolve("", directory.path.strip("/")).path
        if view
        else os.path.relpath(place(root, directory), root): Owner(directory.uid, directory.gid)
        for directory in read_directories(given.directories)
    }


def copy_to(root: str, given: Arguments, build: arguments.Build) -> None:
    """Copy copyToRoot, and the Nix database of its closure, into `root`."""
    copier = Copier(root, keep_dirlinks=given.keep_contents_dirlinks, words=_COPIES)
    for path in given.copy_to_root:
        print(f"Adding {path}", flush=True)
        copier.add(path)
    if given.include_nix_db:
        graph, gc_roots = database_paths(given, given.copy_to_root)
        add_database(
            root,
            graph,
            gc_roots=gc_roots,
            time=MTIME,
            loader=database_loader(given, build),
        )
    directories = read_directories(given.directories)
    make_directories(root, directories, store_dir=given.store_dir)
    copier.finish()
    set_modes(root, directories)
    copy_engine_files(root, store_dir=given.store_dir)


def extra_commands(root: str, given: Arguments, environment: Environment) -> None:
    """Run extraCommands in `root`."""
    if given.extra_commands:
        environment.run("extraCommands", given.extra_commands, directory=root)


def place_over_base(
    root: str,
    base: Node | None,
    given: Arguments,
    *,
    has_owners: bool,
    settled: Collection[str] = (),
) -> dict[str, Inherited]:
    """Move what is in `root` to where the links of the base image lead, if there is one."""
    if base is None:
        return {}
    return follow_base_links(
        root, base, store_dir=given.store_dir, has_owners=has_owners, settled=settled
    )


def run_as_root(
    given: Arguments, build: arguments.Build, environment: Environment
) -> tuple[str, dict[str, Inherited]]:
    """Run runAsRoot over base image and copyToRoot, and extraCommands over what it changed.

    Return the directory of the changes, and what it has of directories of the base image.
    """
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
            give_directories(copies, read_directories(given.directories))
            if base:
                # What is copied goes into the base image's root, which stays as it is.
                copy_facts(root, copies)
            inherited = place_over_base(copies, base.root if base else None, given, has_owners=True)
            aside = os.path.join(build.top, "aside")
            lay_over(copies, root, aside=aside, inherited=inherited)
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
        # The script has seen the base image's links: what it put in their places stays there.
        settled = {path[len(layer) + 1 :] for path, _ in walk(layer)}
        extra_commands(layer, given, environment)
        inherited = place_over_base(
            layer, base.root if base else None, given, has_owners=True, settled=settled
        )
    return layer, inherited


def write_single_layer(
    root: str,
    out: str,
    given: Arguments,
    *,
    owner: Owner | None,
    owners: Mapping[str, Owner],
    inherited: Mapping[str, Inherited],
) -> None:
    """Write the layer of `root` to the output; `owners` are exceptions from `owner`."""
    check_engine_files(given, root, hint="make them files, or relative links")
    # Not before the scripts are done: runAsRoot sees the store, and may change all that it sees.
    os.mkdir(out)
    # As the reference: root's name stands beside its number, but for layers of runAsRoot.
    write_layer(
        out,
        root,
        owner=owner,
        owners=owners,
        numeric_owner=owner is None,
        inherited=inherited,
    )
