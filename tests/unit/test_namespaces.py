"""What is said where the machine has no user namespaces."""

import pytest

from builders.console.errors import UserError
from builders.rootfs import namespaces


@pytest.mark.parametrize("attribute", ["runAsRoot", "enableFakechroot"])
def test_without_user_namespaces_the_error_names_the_remedies(monkeypatch, attribute, tmp_path):
    def refuse(flags):
        raise PermissionError(1, "Operation not permitted", "unshare")

    monkeypatch.setattr(namespaces, "_unshare", refuse)
    with pytest.raises(UserError) as failed:
        namespaces.call_in_chroot(str(tmp_path), ["/bin/true"], binds=[], attribute=attribute)
    message = str(failed.value)
    assert f"can't set up the chroot for {attribute} (unshare: Operation not permitted)" in message
    assert "user.max_user_namespaces" in message
    assert "kernel.unprivileged_userns_clone=1" in message
