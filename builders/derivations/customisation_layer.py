"""Builds the customisation layer: links to `contents`, then what the scripts make of them.

The output is a directory with `layer.tar` and `checksum`, its SHA-256 in
hexadecimal and a newline.
"""

import os
from dataclasses import dataclass
from typing import Final

from builders.console.errors import warn
from builders.derivations import arguments
from builders.derivations.script_arguments import (
    PYTHON_OPTIONS,
    ScriptArguments,
    check_engine_files,
    database_loader,
    database_paths,
)
from builders.layers.tree import MTIME, write_layer
from builders.rootfs.base_links import follow_base_links
from builders.rootfs.engine_files import copy_engine_files
from builders.rootfs.fakeroot import enter_fakeroot, give_to_root
from builders.rootfs.links import link_tree
from builders.rootfs.mountpoints import mountpoints
from builders.rootfs.namespaces import Bind, call_in_chroot
from builders.rootfs.nix_database import add_database
from builders.rootfs.owned_directories import (
    give_directories,
    make_directories,
    read_directories,
    set_modes,
)
from builders.rootfs.scripts import Environment, checked, warn_of_static_programs
from builders.rootfs.store_links import warn_of_lost_changes
from builders.rootfs.tree_names import read_names
from builders.tar.header import Owner

_SESSION: Final = "session"
"""The argument that tells this script that it runs inside of a fakeroot session."""

_BUILD: Final = "/build"
"""Where a script in a chroot finds the build's directory."""


@dataclass(frozen=True, kw_only=True)
class Arguments(ScriptArguments):
    """What customisation_layer takes, in the names of streamLayeredImage's attributes.

    `base_names` is the output of that derivation, where there is a base image.
    """

    contents: list[str]
    extra_commands: str
    fake_root_commands: str
    enable_fakechroot: bool
    base_names: str | None


def main(argv: list[str]) -> None:
    """Build the layer; with the argument `session`, the part of it inside of fakeroot."""
    build = arguments.load()
    given = build.arguments(Arguments)
    os.umask(0o022)
    root = os.path.join(build.top, "root")
    environment = Environment(
        shell=given.shell,
        stdenv=given.stdenv,
        top=build.top,
        # In a chroot, the directory has one name on all machines, as it has in the sandbox.
        inside=_BUILD if argv == [_SESSION] and given.enable_fakechroot else build.top,
        store_dir=given.store_dir,
    )
    directories = read_directories(given.directories)
    if argv == [_SESSION]:
        give_directories(root, directories)
        if given.fake_root_commands:
            run_fake_root_commands(given, root, environment)
        give_to_root(root)
        write_customisation(build.out, root, given, owner=None)
        return

    os.mkdir(root, 0o755)
    for path in given.contents:
        link_tree(
            path,
            root,
            store_dir=given.store_dir,
            what="contents",
            file_hint="put the file into a directory of its own, as pkgs.writeTextDir or "
            "pkgs.linkFarm do",
        )
    if given.include_nix_db:
        graph, gc_roots = database_paths(given, given.contents)
        add_database(
            root,
            graph,
            gc_roots=gc_roots,
            time=MTIME,
            loader=database_loader(given, build),
        )
    make_directories(root, directories, store_dir=given.store_dir)
    set_modes(root, directories)
    if given.copy_engine_files:
        # Before the scripts, which may then write to them.
        copy_engine_files(root, store_dir=given.store_dir)
    if given.extra_commands:
        environment.run("extraCommands", given.extra_commands, directory=root)
    if given.fake_root_commands or not all(directory.is_roots for directory in directories):
        enter_fakeroot(
            given.fakeroot,
            given.fakeroot_path,
            [given.python, *PYTHON_OPTIONS, given.library, "customisation_layer", _SESSION],
        )
    else:
        write_customisation(build.out, root, given, owner=Owner(0, 0))


def run_fake_root_commands(given: Arguments, root: str, environment: Environment) -> None:
    """Run fakeRootCommands in `root`, or with `root` as its root directory."""
    name, chroot = "fakeRootCommands", "enableFakechroot"
    script = given.fake_root_commands
    try:
        if not given.enable_fakechroot:
            environment.run(name, script, directory=root)
            return
        program = environment.write(name, script, directory="/")
        if os.path.lexists(root + _BUILD):
            warn(
                f"{chroot}: {_BUILD} is the build's own directory while {name} runs, and the image "
                "has nothing that is in it; take another directory"
            )
        nothing = os.path.join(environment.top, "empty")
        os.mkdir(nothing)
        binds = [
            Bind(_BUILD, source=environment.top, recursive=False),
            Bind(given.store_dir),
            Bind("/dev"),
            *([Bind("/sys")] if os.path.isdir("/sys") else []),
        ]
        targets = [*(bind.path for bind in binds), "/proc", "/sys"]
        inside = _BUILD + root[len(environment.top) :]
        with (
            mountpoints(root, targets, what=chroot),
            checked(name, root=root, store_dir=given.store_dir) as result,
        ):
            result.status = call_in_chroot(
                root,
                environment.command(program),
                # The root directory a second time, inside of itself, is a trap for find and rm.
                binds=[*binds, Bind(inside, source=nothing, recursive=False)],
                what=chroot,
                environment=environment.variables(),
            )
    finally:
        warn_of_lost_changes(root, store_dir=given.store_dir, name=name)
        warn_of_static_programs(script, environment.search_path(), root=root, name=name)


def write_customisation(out: str, root: str, given: Arguments, *, owner: Owner | None) -> None:
    """Write the layer of `root` and its checksum to the output."""
    hint = "set copyEngineFiles = true"
    if given.copy_engine_files:
        hint = "make them files, or relative links"
    check_engine_files(given, root, hint=hint)
    exclude = []
    if given.enable_fakechroot:
        exclude = [path.strip("/") for path in ("dev", "proc", "sys", given.store_dir, _BUILD)]
    inherited = {}
    if given.base_names:
        inherited = follow_base_links(
            root,
            read_names(given.base_names),
            store_dir=given.store_dir,
            has_owners=owner is None,
            linked=given.contents,
        )
    os.mkdir(out)
    write_layer(out, root, owner=owner, exclude=exclude, inherited=inherited)
