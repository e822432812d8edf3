"""What builders take that run the user's scripts; nix/scripts.nix is the counterpart."""

import os
from dataclasses import dataclass, field
from typing import Any, Final

from builders.derivations.arguments import Build
from builders.rootfs.nix_database import DatabaseLoader

PYTHON_OPTIONS: Final = ("-I", "-B", "-X", "utf8")
"""With which the package is run: nothing of the user's is loaded, and the locale has no say."""


@dataclass(frozen=True, kw_only=True)
class ScriptArguments:
    """All but the first two are given by nix/scripts.nix.

    `shell`, `fakeroot`, `python` and `nix_store` are programs,
    `fakeroot_path` is fakeroot's own PATH, `stdenv` the standard environment, `library` this
    package. `contents_closure` is the graph of what goes into the Nix database, if any.
    """

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


def database_loader(given: ScriptArguments, build: Build) -> DatabaseLoader:
    """Return the program that includeNixDB makes databases with."""
    if given.nix_store is None:
        raise ValueError("include_nix_db without nix_store")
    return DatabaseLoader(
        program=given.nix_store,
        home=os.path.join(build.top, "nix-home"),
        what="includeNixDB",
        hint="check that 'nix' in the package set is a Nix that can write its own database",
    )
