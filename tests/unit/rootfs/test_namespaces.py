"""Scripts in namespaces, and what is said where the machine has none."""

import codecs
import ctypes
import os

import pytest

from builders.console.errors import UserError
from builders.rootfs import namespaces


@pytest.mark.parametrize("attribute", ["runAsRoot", "enableFakechroot"])
def test_without_user_namespaces_the_error_names_the_remedies(monkeypatch, attribute, tmp_path):
    def refuse(flags, **ids):
        raise PermissionError(1, "Operation not permitted", "unshare")

    monkeypatch.setattr(namespaces, "_enter_namespaces", refuse)
    with pytest.raises(UserError) as failed:
        namespaces.call_in_chroot(str(tmp_path), ["/bin/true"], binds=[], what=attribute)
    message = str(failed.value)
    assert f"can't set up the chroot for {attribute} (unshare: Operation not permitted)" in message
    assert "user.max_user_namespaces" in message
    assert "kernel.unprivileged_userns_clone=1" in message


PR_SET_DUMPABLE = 4


def as_nobody(tmp_path, script, monkeypatch=None):
    """Return the exit status of `script`, run past modes by a user that modes hold for."""
    tmp_path.chmod(0o777)
    # It may not be able to read Python's modules.
    codecs.lookup("ascii")
    if monkeypatch:
        monkeypatch.setattr(namespaces, "_can", lambda change: False)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(tmp_path)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            # As after the start of a program: else /proc/self is root's.
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
            os._exit(namespaces.call_past_modes(["/bin/sh", "-ec", script]))
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@needs_root
def test_modes_do_not_forbid_anything_and_are_seen(tmp_path):
    script = """
        umask 022; mkdir -m 555 d e; [ "$(id -u)" = 65534 ]
        echo new > d/new; chmod u+w e; echo new > e/new; (exec /bin/sh -c 'echo more > d/more')
    """
    assert as_nobody(tmp_path, script) == 0
    assert sorted(os.listdir(tmp_path / "d")) == ["more", "new"]
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "e").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "d/new").stat().st_uid == 65534


@needs_root
def test_without_user_namespaces_modes_hold(tmp_path, monkeypatch):
    assert as_nobody(tmp_path, "mkdir -m 555 d; echo ran > ran", monkeypatch) == 0
    assert (tmp_path / "ran").exists()
    assert as_nobody(tmp_path, "echo new > d/new 2> /dev/null", monkeypatch) != 0
