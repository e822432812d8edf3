"""Files that container engines read by themselves before anything of the image runs.

Engines open them below the image's root and follow no link that leads out of it, which every
absolute link does to them: Docker 29 and containerd 2.2 refuse to start such a container. Source:
openat2(2), RESOLVE_BENEATH, whose rules Go's os.Root has.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from builders.rootfs.on_disk import follow

ENGINE_FILES: Final = (
    "etc/group",
    "etc/hostname",
    "etc/hosts",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/resolv.conf",
)
"""Users, groups and names of hosts; relative to the root."""

_MODE: Final = 0o644


def escaping(root: str) -> list[str]:
    """Return which of `ENGINE_FILES` in the tree at `root` engines can't open, sorted."""
    return [name for name in ENGINE_FILES if _escapes(root, name)]


def copy_engine_files(root: str, *, store_dir: str) -> None:
    """Put copies in the place of links that engines don't follow, of mode 0644.

    Such a link into the store becomes the file that it leads to, one to another file of the image
    becomes relative. What leads nowhere stays.
    """
    for name in escaping(root):
        directory = os.path.join(root, os.path.dirname(name))
        if os.path.islink(directory):
            with _writable(root):
                _replace_directory(root, directory, store_dir)
        path = os.path.join(root, name)
        if os.path.islink(path) and _escapes(root, name):
            with _writable(os.path.dirname(path)):
                _replace_file(root, path, store_dir)


@contextmanager
def _writable(directory: str) -> Iterator[None]:
    """Let files be made in a directory, whatever its mode is afterwards."""
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    os.chmod(directory, mode | stat.S_IWUSR)
    try:
        yield
    finally:
        os.chmod(directory, mode)


def _escapes(root: str, name: str) -> bool:
    if not os.path.lexists(os.path.join(root, name)):
        directory = os.path.join(root, os.path.dirname(name))
        target = _in_store(root, directory) if os.path.islink(directory) else None
        if target is None or not os.path.lexists(os.path.join(target, os.path.basename(name))):
            return False
    real: list[str] = []
    pending = name.split("/")[::-1]
    links = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not real:
                return True
            real.pop()
            continue
        real.append(part)
        path = os.path.join(root, *real)
        if os.path.islink(path):
            target = os.readlink(path)
            links += 1
            if target.startswith("/") or links > 40:
                return True
            real.pop()
            pending += target.split("/")[::-1]
    return False


def _in_store(root: str, path: str) -> str | None:
    """Return where the link `path` leads on the build's machine, None where that is in the tree."""
    real = follow(root, path)
    if real is None or os.path.lexists(real):
        return None
    return os.path.realpath(real[len(root) :])


def _replace_directory(root: str, path: str, store_dir: str) -> None:
    """Replace the link `path` by a directory of links, or a relative link within the tree."""
    _replace(root, path, store_dir, is_kind=os.path.isdir, put=_link_all)


def _replace_file(root: str, path: str, store_dir: str) -> None:
    """Replace the link `path` by a copy, or a relative link within the tree."""
    _replace(root, path, store_dir, is_kind=os.path.isfile, put=_copy)


def _replace(
    root: str,
    path: str,
    store_dir: str,
    *,
    is_kind: Callable[[str], bool],
    put: Callable[[str, str], None],
) -> None:
    real = follow(root, path)
    if real is not None and is_kind(real):
        _link_relatively(path, real)
        return
    origin = _in_store(root, path)
    if origin is None or not origin.startswith(f"{store_dir}/") or not is_kind(origin):
        return
    os.unlink(path)
    put(origin, path)


def _link_all(origin: str, path: str) -> None:
    os.mkdir(path, 0o755)
    for name in sorted(os.listdir(origin)):
        os.symlink(os.path.join(origin, name), os.path.join(path, name))


def _copy(origin: str, path: str) -> None:
    shutil.copyfile(origin, path)
    os.chmod(path, _MODE)


def _link_relatively(path: str, real: str) -> None:
    directory = os.path.realpath(os.path.dirname(path))
    os.unlink(path)
    os.symlink(os.path.relpath(real, directory), path)
