"""examples/setup.sh: what the commands find missing, on a machine that is made of stubs."""

import os
import pathlib
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).parents[2]
INSTALL_NIX = 'repository=$1; . "$1/examples/setup.sh"; install_missing "${nix_needs[@]}"'


@pytest.fixture
def machine(tmp_path):
    """A directory of programs, which shadow the real ones; apt-get writes down what it is told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "nix").mkdir()
    stub(programs / "apt-get", f'echo "$@" >> {tmp_path}/told')
    stub(programs / "nix-build", "exit 0")
    return tmp_path


def stub(path, command):
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def told(machine, group):
    """Return what apt-get is told to install, where the group of build users is there or not."""
    stub(machine / "bin/getent", f'[ "$1 $2" = "group nixbld" ] && exit {0 if group else 2}')
    subprocess.run(
        ["bash", "-euc", INSTALL_NIX, "sh", REPOSITORY],
        env={
            "PATH": f"{machine}/bin:{os.environ['PATH']}",
            "HOME": str(machine),
            "NIX_CONF_DIR": f"{machine}/nix",
        },
        check=True,
    )
    file = machine / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if line.startswith("install ")]


BUILD_USERS = ["install -y --no-install-recommends nix-setup-systemd"]

root = pytest.mark.skipif(os.geteuid() != 0, reason="a plain user needs no build users")


@root
def test_nix_without_its_build_users_gets_them(machine):
    assert told(machine, group=False) == BUILD_USERS


@root
def test_a_nix_that_is_set_to_need_no_build_users_is_left_alone(machine):
    (machine / "nix/nix.conf").write_text("sandbox = true\nbuild-users-group =\n")
    assert told(machine, group=False) == []


def test_a_nix_that_has_build_users_is_left_alone(machine):
    assert told(machine, group=True) == []


# tests/debian/release.sh: what runs side by side waits only for what the other changes.

HOLD = """
  repository=$1 release=stand-in
  . "$1/examples/setup.sh"
  . "$1/tests/debian/release.sh"
"""


def lock(tmp_path, command):
    return subprocess.run(
        ["bash", "-euc", HOLD + command, "sh", REPOSITORY],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LONGSHORE_CACHE": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "free"),
    [
        ("get_lock home", "base"),
        ("get_lock engines; get_lock base; release_lock", "base"),
        ("get_lock home", None),
        ("get_lock engines; get_lock base; release_lock", None),
    ],
)
def test_a_lock_is_of_one_thing_and_can_be_released(tmp_path, command, free):
    name = free or command.split()[1].rstrip(";")
    result = lock(tmp_path, f'{command}; flock --nonblock "$cache/{name}.lock" true')
    assert result.returncode == (0 if free else 1), result.stderr
