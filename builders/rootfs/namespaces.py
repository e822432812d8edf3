"""Namespaces and mounts with plain system calls: a chroot that needs no privileges, and its kin.

Sources: user_namespaces(7), pid_namespaces(7), mount(2), capabilities(7), capset(2), prctl(2);
linux/sched.h, linux/mount.h, linux/capability.h and linux/prctl.h for the constants.
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from builders.console.errors import UserError

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_DAC_OVERRIDE: Final = 1
_LINUX_CAPABILITY_VERSION_3: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Bind:
    """A directory that shows up in the chroot under the same name.

    `recursive` brings along what is mounted below it. With `source`, that directory shows up
    there instead.
    """

    path: str
    recursive: bool = True
    source: str | None = None


def call_in_chroot(
    root: str,
    command: Sequence[str],
    *,
    binds: Sequence[Bind],
    what: str,
    network: bool = True,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run `command` as root of a chroot at `root`; return its exit status.

    The chroot has `binds` and a /proc of its own processes, for as long as the
    command runs: everything happens in user, mount and pid namespaces that end
    with it. The directories to mount on must exist. The ipc namespace stays
    shared, since fakeroot talks to its daemon through System V message queues. The network is the
    build's, or none; `environment` comes over the build's.

    Raises `UserError`, which names `what` it was for, where the system allows no user namespaces.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            _become_root_of_namespaces(0 if network else CLONE_NEWNET)
            _in_child(root, command, binds, {**os.environ, **(environment or {})})
        except OSError as error:
            os.write(writer, f"{error.filename or 'namespaces'}: {error.strerror}".encode())
        finally:
            os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        failure = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if failure:
        raise UserError(
            f"can't set up the chroot for {what} ({failure})",
            hint="allow user namespaces on the build machine: sysctl user.max_user_namespaces "
            "above 0, and kernel.unprivileged_userns_clone=1 or "
            "kernel.apparmor_restrict_unprivileged_userns=0 where they exist",
        )
    return os.waitstatus_to_exitcode(status)


def call_past_modes(command: Sequence[str]) -> int:
    """Run `command` as it is, but able to write where nothing but a mode forbids it.

    A directory of mode 0555 takes new files, and its mode stays for the command to see and to
    change. Where the system allows no user namespaces, `command` runs without that. Returns its
    exit status. Source: capabilities(7), "Ambient capability set".
    """
    able = os.geteuid() != 0 and _can(_pass_modes)
    return subprocess.call(command, preexec_fn=_pass_modes if able else None)


def call_as_owner_0(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` where this user's files belong to user 0 and group 0; return its exit status.

    Where the system allows no user namespaces, `command` runs without that.
    """
    able = os.geteuid() != 0 and _can(_become_owner_0)
    preexec = _become_owner_0 if able else None
    return subprocess.call(command, env=environment, preexec_fn=preexec)


def _become_owner_0() -> None:
    _enter_namespaces(CLONE_NEWUSER, uid=0, gid=0)


def _can(change: Callable[[], None]) -> bool:
    """Whether `change` works, which is tried in a process of its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with suppress(OSError):
                change()
                status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _pass_modes() -> None:
    """Give CAP_DAC_OVERRIDE to this process and all programs that it starts."""
    uid, gid = real_ids()
    _enter_namespaces(CLONE_NEWUSER, uid=uid, gid=gid)
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, for the capabilities below 32 and then the others.
    data = struct.pack("=6I", *(3 * [1 << _CAP_DAC_OVERRIDE]), 0, 0, 0)
    _check(_libc.capset(header, data), "capset")
    raise_it = (PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
    _check(_libc.prctl(*map(ctypes.c_ulong, raise_it)), "prctl")


def _become_root_of_namespaces(more: int) -> None:
    _enter_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | more, uid=0, gid=0)
    mount(None, "/", MS_REC | MS_PRIVATE)


def _enter_namespaces(flags: int, *, uid: int, gid: int) -> None:
    """Enter new namespaces, a user namespace among them, as the user `uid` and the group `gid`."""
    real_uid, real_gid = real_ids()
    _check(_libc.unshare(flags), "unshare")
    # Without this an unprivileged process may not write its gid_map (user_namespaces(7)).
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {real_uid} 1")
    _write("/proc/self/gid_map", f"{gid} {real_gid} 1")


def _in_child(
    root: str, command: Sequence[str], binds: Sequence[Bind], environment: Mapping[str, str]
) -> None:
    """Run `command` in a further child, since only children enter the new pid namespace."""
    # Innermost first: the build's directory holds the root, which must not be
    # bound into itself with the mounts that follow.
    for bind in sorted(binds, key=lambda bind: bind.recursive):
        mount(
            bind.source or bind.path,
            root + bind.path,
            MS_BIND | (MS_REC if bind.recursive else 0),
        )
    child = os.fork()
    if child == 0:
        proc = f"{root}/proc"
        try:
            mount("proc", proc, 0, kind="proc")
        except PermissionError:
            # The kernel refuses a new proc where parts of the old one are masked.
            mount("/proc", proc, MS_BIND | MS_REC)
        os.chroot(root)
        os.chdir("/")
        # Python ignores them, and what is started would, too.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execve(command[0], list(command), environment)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def mount(source: str | None, target: str, flags: int, *, kind: str | None = None) -> None:
    """Make one mount; an OSError names the target. Source: the manual page mount(2)."""
    result = _libc.mount(
        source.encode() if source else None,
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        None,
    )
    _check(result, target)


def _check(result: int, what: str) -> None:
    """Raise the OSError, which names `what`, of a system call that returned `result`."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def real_ids() -> tuple[int, int]:
    """Return the user and group of this process as the kernel has them: fakeroot's are made up."""
    ids = {}
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in ("Uid", "Gid"):
                ids[key] = int(value.split()[1])
    return ids["Uid"], ids["Gid"]


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
