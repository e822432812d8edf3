"""What is at the other end of the standard streams."""

import fcntl
import os


def takes_output(fd: int) -> bool:
    """Whether the file descriptor `fd` can be written to.

    Where a shell starts a script with a closed stream, bash leaves the script itself in its place.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False
