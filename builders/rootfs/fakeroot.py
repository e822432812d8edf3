"""Fakeroot sessions: owners, devices and capabilities that no build user may make.

They are in the record of a daemon, never on disk: whatever asks for them, the
writing of a layer above all, must run in the same session.
"""

import os
import sys
from collections.abc import Sequence

from builders.layers.walk import walk
from builders.rootfs.namespaces import call_as_owner_0, real_ids


def enter_fakeroot(fakeroot: str, path: str, command: Sequence[str]) -> None:
    """Run `command` in a session of its own; end this process where it fails.

    `fakeroot` is the program and `path` the PATH that it needs itself.
    """
    # The real chown would only be refused, and inside of the sandbox's user
    # namespace with EINVAL, which an unpatched fakeroot takes for a failure.
    environment = {**os.environ, "PATH": path, "FAKEROOTDONTTRYCHOWN": "1"}
    # A file that the daemon gets to know by something else than a chown (an extended attribute,
    # say) has in its record the owner on disk, which is better root than the build's user.
    status = call_as_owner_0([fakeroot, "--", *command], environment)
    if status:
        # The session has said why.
        sys.exit(status)


def give_to_root(root: str) -> None:
    """Give all below `root` that belongs to the user on disk to root, in this session's record.

    Does nothing where files on disk belong to root as it is: in a namespace, or in a build by root.
    """
    real = real_ids()
    if real == (0, 0):
        return
    for path, status in walk(root):
        if (status.st_uid, status.st_gid) == real:
            os.lchown(path, 0, 0)
