"""Fakeroot sessions: owners, devices and capabilities that no build user may make.

They are in the record of a daemon, never on disk: whatever asks for them, the
writing of a layer above all, must run in the same session.
"""

import os
import subprocess
import sys
from collections.abc import Sequence


def enter_fakeroot(fakeroot: str, path: str, command: Sequence[str]) -> None:
    """Run `command` in a session of its own; end this process where it fails.

    `fakeroot` is the program and `path` the PATH that it needs itself.
    """
    # The real chown would only be refused, and inside of the sandbox's user
    # namespace with EINVAL, which an unpatched fakeroot takes for a failure.
    environment = {**os.environ, "PATH": path, "FAKEROOTDONTTRYCHOWN": "1"}
    status = subprocess.call([fakeroot, "--", *command], env=environment)
    if status:
        # The session has said why.
        sys.exit(status)
