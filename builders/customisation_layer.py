"""Builds the customisation layer: links to `contents`, then what the scripts make of them.

The output is a directory with `layer.tar` and `checksum`, its SHA-256 in
hexadecimal and a newline.
"""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from builders import arguments
from builders.closure.graph import read_graph
from builders.console.errors import warn
from builders.elf.static import static_programs
from builders.rootfs.links import link_tree
from builders.rootfs.mountpoints import mountpoints
from builders.rootfs.namespaces import Bind, call_in_chroot
from builders.rootfs.nix_database import write_database
from builders.rootfs.scripts import Environment, check
from builders.tar.sinks import FileSink
from builders.tar.tree_layer import Owner, write_tree_layer

MTIME: Final = 315532800
"""1980-01-01: the time that nixpkgs' stdenv gives to whatever has none, and so the reference's."""

_SESSION: Final = "session"
"""The argument that tells this script that it runs inside of a fakeroot session."""


@dataclass(frozen=True)
class Arguments:
    """What customisation_layer takes.

    Scripts have the names of streamLayeredImage's attributes, in Python's
    spelling. `shell`, `fakeroot`, `python` and `nix_store` are programs, `fakeroot_path` is
    fakeroot's own PATH, `stdenv` the
    standard environment, `library` this package. `contents_closure` is the graph of `contents`, for
    the Nix database.
    """

    image_name: str
    contents: list[str]
    extra_commands: str
    fake_root_commands: str
    enable_fakechroot: bool
    include_nix_db: bool
    store_dir: str
    shell: str
    stdenv: str
    fakeroot: str
    fakeroot_path: str
    python: str
    library: str
    nix_store: str | None
    contents_closure: list[dict[str, Any]] = field(default_factory=list)


def main(argv: list[str]) -> None:
    """Build the layer; with the argument `session`, the part of it inside of fakeroot."""
    build = arguments.load()
    given = build.arguments(Arguments)
    os.umask(0o022)
    root = os.path.join(build.top, "root")
    environment = Environment(shell=given.shell, stdenv=given.stdenv, top=build.top)
    if argv == [_SESSION]:
        run_as_root(given, root, environment)
        pack(build.out, root, given, owner=None)
        return

    os.mkdir(root, 0o755)
    for path in given.contents:
        link_tree(path, root)
    if given.include_nix_db:
        add_database(given, root)
    if given.extra_commands:
        environment.run(
            "extraCommands", given.extra_commands, directory=root, image=given.image_name
        )
    os.mkdir(build.out)
    if given.fake_root_commands:
        enter_fakeroot(given)
    else:
        pack(build.out, root, given, owner=Owner(0, 0))


def add_database(given: Arguments, root: str) -> None:
    """Write the Nix database of the closure of `contents` into `root`."""
    print("Generating the nix database...")
    warn("only the Nix database of the topmost layer that has one is seen in a container")
    if given.nix_store is None:
        raise ValueError("includeNixDB without nix_store")
    write_database(
        root,
        read_graph(given.contents_closure),
        gc_roots=given.contents,
        time=MTIME,
        nix_store=given.nix_store,
    )


def enter_fakeroot(given: Arguments) -> None:
    """Run this script again inside of a fakeroot session: what it packs is what fakeroot says."""
    # The real chown would only be refused, and inside of the sandbox's user
    # namespace with EINVAL, which an unpatched fakeroot takes for a failure.
    environment = {**os.environ, "PATH": given.fakeroot_path, "FAKEROOTDONTTRYCHOWN": "1"}
    status = subprocess.call(
        [
            given.fakeroot,
            "--",
            given.python,
            "-I",
            "-B",
            given.library,
            "customisation_layer",
            _SESSION,
        ],
        env=environment,
    )
    if status:
        # The session has said why.
        sys.exit(status)


def run_as_root(given: Arguments, root: str, environment: Environment) -> None:
    """Run fakeRootCommands in `root`, or with `root` as its root directory."""
    attribute = "fakeRootCommands"
    script = given.fake_root_commands
    try:
        if not given.enable_fakechroot:
            environment.run(attribute, script, directory=root, image=given.image_name)
            return
        program = environment.write(attribute, script, directory="/")
        binds = [
            Bind(environment.top, recursive=False),
            Bind(given.store_dir),
            Bind("/dev"),
            *([Bind("/sys")] if os.path.isdir("/sys") else []),
        ]
        with mountpoints(root, [*(bind.path for bind in binds), "/proc", "/sys"]):
            status = call_in_chroot(root, environment.command(program), binds=binds)
        check(status, attribute=attribute, image=given.image_name)
    finally:
        for word, path in static_programs(script, environment.search_path(), root=root):
            warn(
                f"in docker image {given.image_name}: {attribute} names {word}, which is "
                f"statically linked ({path}): fakeroot can't see its chown, chmod or mknod; "
                "use a dynamically linked program for these"
            )


def pack(out: str, root: str, given: Arguments, *, owner: Owner | None) -> None:
    """Write the layer of `root` and its checksum to the output."""
    exclude = []
    if given.enable_fakechroot:
        top = os.path.dirname(root)
        exclude = [path.strip("/") for path in ("dev", "proc", "sys", given.store_dir, top)]
    path = os.path.join(out, "layer.tar")
    with open(path, "wb", buffering=0) as file:
        sink = FileSink(file.fileno())
        write_tree_layer(sink, root, mtime=MTIME, owner=owner, exclude=exclude)
        sink.flush()
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with open(os.path.join(out, "checksum"), "w", encoding="ascii") as file:
        file.write(f"{digest}\n")
