"""Trees of symlinks: how `contents` appear in the root of a layered image.

What X11's lndir does, and with it nixpkgs' symlinkJoin: directories are made
anew, files become absolute symlinks to the store, symlinks are copied as they
are, and of two trees that bring the same file the first one wins.
"""

import os
import stat

from builders.console.errors import die

_DIRECTORY_MODE = 0o755


def link_tree(source: str, root: str) -> None:
    """Link all files of the directory `source` into the directory `root`.

    Raises `UserError` where `source` is no directory.
    """
    if not os.path.isdir(source):
        what = "is a file" if os.path.lexists(source) else "does not exist"
        die(
            f"contents: {source} {what}, but only directories can be put into the image's root",
            hint="put the file into a directory of its own, as pkgs.writeTextDir or "
            "pkgs.linkFarm do",
        )
    pending = [(source, root)]
    while pending:
        here, there = pending.pop()
        with os.scandir(here) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                target = os.path.join(there, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if _make_directory(target):
                        pending.append((entry.path, target))
                elif not os.path.lexists(target):
                    link = os.readlink(entry.path) if entry.is_symlink() else entry.path
                    os.symlink(link, target)


def _make_directory(path: str) -> bool:
    """Make the directory `path` where it is missing; return whether it is one now."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mkdir(path, _DIRECTORY_MODE)
        return True
    if stat.S_ISDIR(mode):
        return True
    if not os.path.isdir(path):
        return False
    # An earlier tree brought a symlink to a directory where this one brings a
    # directory. lndir would write through the symlink into the store, and fail;
    # a directory with the links of both is what was meant.
    origin = os.path.realpath(path)
    os.unlink(path)
    os.mkdir(path, _DIRECTORY_MODE)
    link_tree(origin, path)
    return True
