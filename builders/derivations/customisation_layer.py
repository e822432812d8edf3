"""Builds the customisation layer: links to `contents`, then what the scripts make of them.

The output is a directory with `layer.tar` and `checksum`, its SHA-256 in
hexadecimal and a newline.
"""

import os
from dataclasses import dataclass
from typing import Final

from builders.closure.graph import read_graph
from builders.derivations import arguments
from builders.derivations.script_arguments import PYTHON_OPTIONS, ScriptArguments, database_loader
from builders.layers.tree import MTIME, write_layer
from builders.rootfs.fakeroot import enter_fakeroot, give_to_root
from builders.rootfs.links import link_tree
from builders.rootfs.mountpoints import mountpoints
from builders.rootfs.namespaces import Bind, call_in_chroot
from builders.rootfs.nix_database import add_database
from builders.rootfs.scripts import Environment, check_status, warn_of_static_programs
from builders.tar.header import Owner

_SESSION: Final = "session"
"""The argument that tells this script that it runs inside of a fakeroot session."""


@dataclass(frozen=True, kw_only=True)
class Arguments(ScriptArguments):
    """What customisation_layer takes, in the names of streamLayeredImage's attributes."""

    contents: list[str]
    extra_commands: str
    fake_root_commands: str
    enable_fakechroot: bool


def main(argv: list[str]) -> None:
    """Build the layer; with the argument `session`, the part of it inside of fakeroot."""
    build = arguments.load()
    given = build.arguments(Arguments)
    os.umask(0o022)
    root = os.path.join(build.top, "root")
    environment = Environment(shell=given.shell, stdenv=given.stdenv, top=build.top)
    if argv == [_SESSION]:
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
        add_database(
            root,
            read_graph(given.contents_closure),
            gc_roots=given.contents,
            time=MTIME,
            loader=database_loader(given, build),
        )
    if given.extra_commands:
        environment.run("extraCommands", given.extra_commands, directory=root)
    if given.fake_root_commands:
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
        nothing = os.path.join(environment.top, "empty")
        os.mkdir(nothing)
        binds = [
            Bind(environment.top, recursive=False),
            Bind(given.store_dir),
            Bind("/dev"),
            *([Bind("/sys")] if os.path.isdir("/sys") else []),
        ]
        targets = [*(bind.path for bind in binds), "/proc", "/sys"]
        with mountpoints(root, targets, what=chroot):
            status = call_in_chroot(
                root,
                environment.command(program),
                # The root directory a second time, inside of itself, is a trap for find and rm.
                binds=[*binds, Bind(root, source=nothing, recursive=False)],
                what=chroot,
            )
        check_status(status, name=name)
    finally:
        warn_of_static_programs(script, environment.search_path(), root=root, name=name)


def write_customisation(out: str, root: str, given: Arguments, *, owner: Owner | None) -> None:
    """Write the layer of `root` and its checksum to the output."""
    exclude = []
    if given.enable_fakechroot:
        top = os.path.dirname(root)
        exclude = [path.strip("/") for path in ("dev", "proc", "sys", given.store_dir, top)]
    os.mkdir(out)
    write_layer(out, root, owner=owner, exclude=exclude)
