"""The Nix database of an image: what lets Nix commands run in its containers."""

import os
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from builders.closure.graph import Graph
from builders.console.errors import UserError, warn


@dataclass(frozen=True)
class DatabaseLoader:
    """The program that makes a Nix database of a registration, with the option --load-db.

    `home` is for its own files, `user` the name of directories for the build's user. `what` is the
    subject of its errors, and `hint` says what to do.
    """

    program: str
    home: str
    user: str
    what: str
    hint: str


def registration(graph: Graph) -> str:
    """Return the validity registration of all paths of `graph`.

    The format is that of `nix-store --dump-db` and `--load-db`: per path its
    name, NAR hash, NAR size in bytes, deriver (none), the number of references
    and the references, one a line.
    """
    lines: list[str] = []
    for node in sorted(graph.values(), key=lambda node: node.path):
        references = sorted(node.all_references)
        lines += [node.path, node.nar_hash, str(node.nar_size), "", str(len(references))]
        lines += references
    return "".join(f"{line}\n" for line in lines)


def add_database(
    root: str, graph: Graph, *, gc_roots: Sequence[str], time: int, loader: DatabaseLoader
) -> None:
    """Write the database, and say so; arguments are those of `write_database`."""
    print("Generating the nix database...")
    warn("only the Nix database of the topmost layer that has one is seen in a container")
    write_database(root, graph, gc_roots=gc_roots, time=time, loader=loader)


def write_database(
    root: str, graph: Graph, *, gc_roots: Sequence[str], time: int, loader: DatabaseLoader
) -> None:
    """Make the database of the store in `root` say that all paths of `graph` are valid.

    Registration `time` is in seconds since 1970, the same for every path, so
    that the database does not depend on the clock. `gc_roots` are linked below
    `/nix/var/nix/gcroots/docker`.
    """
    result = subprocess.run(
        # In a fakeroot session, Nix would give the store to the group of its build users.
        [loader.program, "--option", "build-users-group", "", "--load-db"],
        input=registration(graph),
        text=True,
        capture_output=True,
        check=False,
        env={
            **os.environ,
            "NIX_REMOTE": f"local?root={root}",
            # Nix looks both up, and the sandbox's build user need not have either.
            "USER": "nobody",
            "HOME": loader.home,
        },
    )
    if result.returncode:
        raise UserError(
            f"{loader.what}: '{os.path.basename(loader.program)} --load-db' failed: "
            f"{result.stderr.strip()}",
            hint=loader.hint,
        )
    path = os.path.join(root, "nix/var/nix/db/db.sqlite")
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE ValidPaths SET registrationTime = ?", (time,))
            database.commit()
    except sqlite3.Error as error:
        raise UserError(
            f"{loader.what}: can't write {path}: {error}", hint="see whether the disk is full"
        ) from None
    _drop_traces(root, loader.user)
    links = os.path.join(root, "nix/var/nix/gcroots/docker")
    os.makedirs(links, exist_ok=True)
    for target in gc_roots:
        link = os.path.join(links, os.path.basename(target))
        if not os.path.lexists(link):
            os.symlink(target, link)


def _drop_traces(root: str, user_name: str) -> None:
    """Remove what this build left: 8 MB held in reserve, locks, and what names its root or user.

    The directories stay. Nix makes the rest again where it runs, but for the link that keeps
    profiles from being collected as garbage, which leads to the image's own here.
    """
    state = os.path.join(root, "nix/var/nix")
    for name in ("db/reserved", "db/big-lock"):
        path = os.path.join(state, name)
        if os.path.lexists(path):
            os.unlink(path)
    for entry in os.scandir(os.path.join(state, "temproots")):
        os.unlink(entry.path)
    profiles = os.path.join(state, "gcroots/profiles")
    if os.path.lexists(profiles):
        os.unlink(profiles)
    os.symlink("/nix/var/nix/profiles", profiles)
    for name in ("gcroots/per-user", "profiles/per-user"):
        # Older versions make a directory for the build's user, whose name depends on the machine.
        directory = os.path.join(state, name)
        for user in os.listdir(directory) if os.path.isdir(directory) else ():
            os.rename(os.path.join(directory, user), os.path.join(directory, user_name))
