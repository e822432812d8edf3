"""Where symlinks lead that are meant for an image's root and not for the machine that builds it."""

import os
from typing import Final

_MOST_LINKS: Final = 40
"""As many as the kernel follows in one name (path_resolution(7))."""


def follow(root: str, path: str) -> str | None:
    """Return where `path`, below the directory `root`, leads with `root` as the root directory.

    That need not exist; no part of it is a symlink. None where the links lead in a circle.
    """
    real = root
    pending = os.path.relpath(path, root).split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            real = os.path.dirname(real) if real != root else real
            continue
        step = os.path.join(real, name)
        if not os.path.islink(step):
            real = step
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        target = os.readlink(step)
        if target.startswith("/"):
            real = root
        pending += target.split("/")[::-1]
    return real
