"""Layers over a real Debian, whose /bin, /sbin and /lib are links to directories in /usr."""

import pytest

from tests.engine.debian import debian_image
from tests.engine.engines import Docker
from tests.nix.images import build


@pytest.fixture(scope="module")
def base():
    """Debian as a Nix expression."""
    return f'builtins.path {{ path = {debian_image()}; name = "debian.tar"; }}'


CHECK = """
set -eu
for name in bin sbin lib lib64; do test -L /$name; done
test -L /var/run
test "$(stat -c %u:%g:%a /usr/bin)" = 0:0:755
test "$(stat -c %u:%g:%a /run/lock)" = 0:0:1777
test "$(command -v dpkg)" = /usr/bin/dpkg
dpkg -l | grep -c "^ii" | sed "s/^[0-9][0-9]*$/packages/"
apt-get --version | head -n 1 | cut -d " " -f 1
/bin/bash -c "echo bash"
/bin/ls -d /run/app /usr/lib64/mine
ldconfig -p >/dev/null && echo ldconfig
"""
SAID = ["packages", "apt", "bash", "/run/app", "/usr/lib64/mine", "ldconfig"]

LAYERED = """streamLayeredImage {
  name = "app"; tag = "1"; fromImage = BASE; maxLayers = 3; MORE
  contents = [ hello ];
  extraCommands = "mkdir -p lib64/mine var/run/lock";
  config.Env = [ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" ];
}"""
SINGLE = """buildImage {
  name = "app"; tag = "1"; fromImage = BASE; compressor = "none"; MORE
  copyToRoot = [ hello ];
  extraCommands = "mkdir -p lib64/mine var/run/app";
  config.Env = [ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" ];
}"""


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(
            LAYERED.replace(
                "MORE", 'fakeRootCommands = "mkdir -p var/run/app; chown -h 1 bin/hello";'
            ),
            id="layered",
        ),
        pytest.param(
            LAYERED.replace(
                "MORE", 'enableFakechroot = true; fakeRootCommands = "mkdir -p /var/run/app";'
            ),
            id="layered, in a chroot",
        ),
        pytest.param(SINGLE.replace("MORE", ""), id="one layer"),
        pytest.param(
            SINGLE.replace("MORE", 'runAsRoot = "mkdir -p /lib64; dpkg --version; /bin/sh -c :";'),
            id="one layer, by root",
        ),
    ],
)
def test_shell_package_manager_and_the_added_program_work(docker: Docker, base, image):
    name = docker.load(build(image.replace("BASE", base)))
    result = docker.run(name, "-c", CHECK, entrypoint="/bin/sh")
    assert result.stdout.splitlines() == SAID
    assert docker.run(name, entrypoint="/bin/hello").stdout == "Hello, world!\n"
    assert docker.run(name, entrypoint="hello").stdout == "Hello, world!\n"


def test_another_shell_replaces_the_shell_alone(docker: Docker, base):
    image = f"""streamLayeredImage {{
      name = "app"; tag = "1"; fromImage = {base}; maxLayers = 3;
      contents = [ dockerTools.binSh dockerTools.usrBinEnv ];
    }}"""
    name = docker.load(build(image))
    script = "echo $BASH_VERSION; /bin/dpkg -l | /bin/grep -c ^ii"
    shell, packages = docker.run(name, "-c", script, entrypoint="/bin/sh").stdout.splitlines()
    assert shell
    assert int(packages) > 50
