"""What builders take that run the user's scripts; nix/scripts.nix is the counterpart."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from builders.closure.graph import Graph, read_graph
from builders.console.errors import warn
from builders.derivations.arguments import Build
from builders.rootfs.engine_files import copy_engine_files, escaping
from builders.rootfs.nix_database import DatabaseLoader

PYTHON_OPTIONS: Final = ("-I", "-B", "-X", "utf8")
"""With which the package is run: nothing of the user's is loaded, and the locale has no say."""


@dataclass(frozen=True, kw_only=True)
class ScriptArguments:
    """All but `store_dir`, `copy_engine_files` and `directories` are given by nix/scripts.nix.

    `shell`, `fakeroot`, `python` and `nix_store` are programs,
    `fakeroot_path` is fakeroot's own PATH, `stdenv` the standard environment, `library` this
    package. `contents_closure` is the graph of what goes into the Nix database, if any;
    `config_references` is a path in it that only refers to what the configuration needs.
    `directories` are those of builders.rootfs.owned_directories.
    """

    include_nix_db: bool
    config_references: str | None
    copy_engine_files: bool
    directories: list[dict[str, Any]]
    store_dir: str
    shell: str
    stdenv: str
    fakeroot: str
    fakeroot_path: str
    python: str
    library: str
    nix_store: str | None
    contents_closure: list[dict[str, Any]] = field(default_factory=list)


def database_loader(given: ScriptArguments, build: Build) -> DatabaseLoader:
    """Return the program that includeNixDB makes databases with."""
    if given.nix_store is None:
        raise ValueError("include_nix_db without nix_store")
    return DatabaseLoader(
        program=given.nix_store,
        home=os.path.join(build.top, "nix-home"),
        # As it is called in the sandbox.
        user="nixbld",
        what="includeNixDB",
        hint="check that 'nix' in the package set is a Nix that can write its own database",
    )


def database_paths(given: ScriptArguments, contents: Sequence[str]) -> tuple[Graph, list[str]]:
    """Return the graph that the Nix database holds, and the paths to keep: `contents` and others.

    What the configuration needs is kept, too, where it is in the database.
    """
    graph = read_graph(given.contents_closure)
    node = graph.get(given.config_references or "")
    if node is None:
        return graph, list(contents)
    rest = {path: other for path, other in graph.items() if path != node.path}
    return rest, [*contents, *sorted(node.references)]


def check_engine_files(given: ScriptArguments, root: str, *, hint: str) -> None:
    """Copy the files that engines read, where asked to; warn of those that they can't open.

    `hint` says what to do.
    """
    if given.copy_engine_files:
        copy_engine_files(root, store_dir=given.store_dir)
    names = escaping(root)
    if names:
        listed = " and ".join(f"/{name}" for name in names)
        warn(
            f"{listed}: engines read them, but Docker 29 and containerd 2.2 follow no absolute "
            f"link there and refuse to start a container; {hint}"
        )
