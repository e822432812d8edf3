"""A script over a whole file system, as root.

It runs in a fakeroot session, with a directory as its root. What it sees beside is mounted
there for as long as it runs: the build's store paths, /dev, /proc and /sys.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from builders.console.errors import warn
from builders.rootfs.mountpoints import mountpoints
from builders.rootfs.namespaces import Bind, call_in_chroot
from builders.rootfs.scripts import checked, warn_of_static_programs
from builders.rootfs.store_links import warn_of_lost_changes


def run_root_script(
    text: str,
    root: str,
    *,
    name: str,
    shell: str,
    path: str,
    store_dir: str,
    temporary_variables: Collection[str],
    musl_hint: str,
) -> None:
    """Run the script `text` with the directory `root` as its root and working directory.

    `name` is what the user calls the script; `shell` is bash, `path` the script's PATH. What
    `temporary_variables` name is /tmp for the script, which has no network. Where the image's own
    programs can't run in it, a warning says so, with `musl_hint` for what to do. Raises `UserError`
    where the script fails, or where the system has no namespaces for it.
    """
    binds = [Bind("/dev"), *([Bind("/sys")] if os.path.isdir("/sys") else [])]
    temporary = os.path.join(root, "tmp")
    if not os.path.lexists(temporary):
        os.mkdir(temporary)
        os.chmod(temporary, 0o1777)
    _warn_of_musl(root, name, musl_hint)
    mounts = [*(bind.path for bind in binds), store_dir, "/proc", "/sys"]
    try:
        with (
            mountpoints(root, mounts, what=name),
            _store(root, store_dir) as store,
            _readable(text, name) as script,
            checked(name, root=root, store_dir=store_dir) as result,
        ):
            # bash begins its complaints with the last argument and the line of what it evaluates.
            program = f'eval "exec {script}<&-; $(</proc/self/fd/{script})"'
            result.status = call_in_chroot(
                root,
                [shell, "-e", "-c", program, name],
                binds=[*binds, *store],
                what=name,
                network=False,
                # The build's directory is no part of what the script sees.
                environment={
                    **dict.fromkeys(temporary_variables, "/tmp"),
                    "PATH": path,
                    "HOME": "/root",
                    "PWD": "/",
                },
            )
    finally:
        warn_of_lost_changes(root, store_dir=store_dir, name=name)
        warn_of_static_programs(text, path.split(":"), root=root, name=name)


@contextmanager
def _readable(text: str, name: str) -> Iterator[int]:
    """Give a file descriptor that `text` can be read from, whatever the root directory is."""
    # Programs can't be given a text of any length as an argument.
    file = os.memfd_create(name, 0)
    try:
        os.write(file, text.encode())
        yield file
    finally:
        os.close(file)


def _warn_of_musl(root: str, name: str, hint: str) -> None:
    """Warn where the image's own programs can't run, before they say so in their way."""
    if any(name.startswith("ld-musl-") for name in _list(os.path.join(root, "lib"))):
        warn(
            "programs of the base image use musl and can't load fakeroot's library: "
            f"in {name} they fail with 'Error relocating'; {hint}"
        )


def _list(directory: str) -> list[str]:
    if os.path.islink(directory) or not os.path.isdir(directory):
        return []
    return os.listdir(directory)


@contextmanager
def _store(root: str, store_dir: str) -> Iterator[list[Bind]]:
    """Give the mounts by which the build's store paths are in the tree's store."""
    target = root + store_dir
    own = set(os.listdir(target))
    if not own:
        yield [Bind(store_dir)]
        return
    # The base image has a store. Its paths must be seen, too, so each of the others is mounted by
    # itself; the sandbox, where each is a mount, leaves no other way.
    made = []
    binds = []
    try:
        for entry in os.scandir(store_dir):
            if entry.name in own:
                continue
            place = os.path.join(target, entry.name)
            made.append(place)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                continue
            if entry.is_dir():
                os.mkdir(place)
            else:
                os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            binds.append(Bind(entry.path))
        yield binds
    finally:
        for place in made:
            # A script may have moved the store away.
            with suppress(FileNotFoundError):
                if os.path.isdir(place) and not os.path.islink(place):
                    os.rmdir(place)
                else:
                    os.unlink(place)
