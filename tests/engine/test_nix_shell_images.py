"""Nix shell images: what is in their containers' environment, and building there."""

import os
import pty
import re
import subprocess
import time

import pytest

from tests.engine.engines import Docker
from tests.engine.test_examples import HELLO, example
from tests.nix.images import build

C_PROGRAM = """(pkgs.stdenv.mkDerivation {
  pname = "greet"; version = "1";
  src = runCommand "src" { } ''
    mkdir $out
    echo '#include <stdio.h>
    int main(void) { puts("built from source as " WHO); return 0; }' > $out/greet.c
  '';
  who = "myself";
  buildPhase = "gcc -DWHO=\\"\\\\\\"$who\\\\\\"\\" greet.c -o greet";
  installPhase = "mkdir -p $out/bin; cp greet $out/bin/";
})"""

# As good as that for everything but compiling, and far smaller: Docker's vfs driver copies all
# that is below for every layer.
SCRIPT = """(pkgs.stdenvNoCC.mkDerivation {
  pname = "script"; version = "1";
  dontUnpack = true;
  notes = null; flag = true; list = [ "a" 2 ];
  text = "kept in a file for ${placeholder "out"}"; passAsFile = [ "text" ];
  prefix = "--prefix=${placeholder "out"}";
  installPhase = "mkdir -p $out";
})"""


def shell_image(docker: Docker, arguments, function="streamNixShellImage"):
    return docker.load(build(f"{function} {{ {arguments} }}"))


def interact(docker: Docker, image, *lines, options=()):
    """What a terminal shows when `lines` are typed at the prompt."""
    leader, follower = pty.openpty()
    command = ["docker", "-H", docker.host, "run", "--rm", "-it", "--network=none", *options, image]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""

    def wait_for_prompt(count):
        nonlocal shown
        deadline = time.monotonic() + 60
        while shown.count(b"[nix-shell:") < count and time.monotonic() < deadline:
            try:
                shown += os.read(leader, 4096)
            except OSError:
                return

    try:
        for number, line in enumerate([*lines, "exit"]):
            wait_for_prompt(number + 1)
            os.write(leader, f"{line}\n".encode())
        while True:
            try:
                data = os.read(leader, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data
    finally:
        process.wait(timeout=60)
        os.close(leader)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")


def test_nix_shell_hello(docker: Docker):
    image = docker.load(example("nix-shell-hello"))
    assert re.fullmatch(r"hello-[0-9.]+-env:latest", image)
    shown = interact(docker, image, "buildDerivation && $out/bin/hello")
    assert HELLO in shown
    assert "[nix-shell:~]$ " in shown


def test_nix_shell_hello_stream_is_the_same_image(docker: Docker):
    image = docker.load(example("nix-shell-hello"))
    first = docker.inspect(image)["Id"]
    assert docker.inspect(docker.load(example("nix-shell-hello-stream")))["Id"] == first


def test_nix_shell_extending_build_inputs(docker: Docker):
    image = docker.load(example("nix-shell-extending-build-inputs"))
    shown = interact(docker, image, 'cowsay "Hello, world!"')
    assert "< Hello, world! >" in shown
    assert "(oo)" in shown


def test_nix_shell_adding_shell_hook(docker: Docker):
    image = docker.load(example("nix-shell-adding-shell-hook"))
    shown = interact(docker, image)
    assert shown.index(HELLO) < shown.index("[nix-shell:")


def test_a_program_is_built_from_source(docker: Docker):
    image = shell_image(
        docker, f'drv = {C_PROGRAM}; tag = "1"; run = "buildDerivation >&2 && $out/bin/greet";'
    )
    assert docker.run(image).stdout == "built from source as myself\n"


def test_the_environment_is_that_of_the_derivation(docker: Docker):
    script = (
        'id -u; id -g; id -un; pwd; echo "$HOME"; echo "[$notes] [$flag] [$list] $prefix"; '
        'cat $textPath; echo; echo "$NIX_STORE $NIX_BUILD_CORES $TMPDIR $TERM"; '
        "case $- in *i*) echo interactive; esac; "
        'echo "$(basename "$SHELL") $out"'
    )
    image = shell_image(docker, f"drv = {SCRIPT}; tag = \"1\"; run = ''{script}'';")
    out = build(f"{SCRIPT}")
    assert docker.run(image).stdout.splitlines() == [
        "1000",
        "1000",
        "nixbld",
        "/build",
        "/build",
        f"[] [1] [a 2] --prefix={out}",
        f"kept in a file for {out}",
        "/nix/store 1 /build xterm-256color",
        f"bash {out}",
    ]


def test_name_user_and_home(docker: Docker):
    script = "id -u; id -g; echo $HOME; touch $HOME/x /build/x /nix/store/x && echo written"
    image = shell_image(
        docker,
        f'drv = {SCRIPT}; name = "shell"; tag = "t"; uid = 7; gid = 8; '
        f"homeDirectory = \"/home/me\"; run = ''{script}'';",
    )
    assert image == "shell:t"
    assert docker.run(image).stdout.split() == ["7", "8", "/home/me", "written"]


def test_command_runs_in_an_interactive_shell_and_then_it_ends(docker: Docker):
    image = shell_image(
        docker,
        f"drv = {SCRIPT}; tag = \"1\"; command = ''case $- in *i*) echo interactive; esac'';",
    )
    options = ["--interactive", "--tty"]
    leader, follower = pty.openpty()
    command = ["docker", "-H", docker.host, "run", "--rm", "--network=none", *options, image]
    result = subprocess.run(
        command, stdin=follower, stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    os.close(leader)
    os.close(follower)
    assert result.stdout.split() == ["interactive"]


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_of_run_is_that_of_the_container(docker: Docker, status):
    image = shell_image(docker, f'drv = {SCRIPT}; tag = "1"; run = "(exit {status})";')
    assert docker.run(image, check=False).returncode == status


def test_another_shell(docker: Docker):
    image = shell_image(
        docker,
        f'drv = {SCRIPT}; tag = "1"; shell = "${{bash}}/bin/sh"; run = "echo $0; echo $SHELL";',
    )
    assert docker.run(image).stdout.splitlines()[1] == f"{build('bash')}/bin/sh"
