"""Scripts and the store: links that lead there, and builds without a sandbox."""

import stat
import subprocess

import pytest

from tests.nix.images import (
    Image,
    build,
    build_log,
    built_layer,
    deriver,
    failure,
    nix,
    stream,
)

LAYERED = '(streamLayeredImage { name = "app"; contents = coreutils; %s }).customisationLayer'


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("chmod 4755 bin/id", "the mode (to 4755) of /bin/id"),
        ("chown 5:6 bin/id", "the owner (to 5:6) of /bin/id"),
        (
            '${pkgs.python3}/bin/python3 -c \'import os; os.setxattr("bin/id", "user.a", b"b")\'',
            "the extended attribute user.a of /bin/id",
        ),
    ],
)
@pytest.mark.parametrize("fakechroot", ["false", "true"])
def test_a_change_of_a_store_file_is_warned_of(script, expected, fakechroot):
    image = f"fakeRootCommands = ''{script} ''; enableFakechroot = {fakechroot};"
    log = build_log(LAYERED % image)
    assert f"warning: in docker image app: fakeRootCommands changes {expected}, which is" in log
    assert 'by a copy before: cp -r --remove-destination "$(readlink -f /bin/id)" /bin/id' in log


def test_run_as_root_is_warned_of_a_change_of_a_store_file():
    root = 'symlinkJoin { name = "root"; paths = [ coreutils ]; }'
    image = f'buildImage {{ name = "app"; copyToRoot = {root}; runAsRoot = "chmod 4755 /bin/id"; }}'
    # The log of the derivation in which the scripts of buildImage's image run.
    log = nix("nix-store", "--read-log", deriver(built_layer(image))).stdout
    assert "runAsRoot changes the mode (to 4755) of /bin/id, which is a link to /nix/store/" in log


def test_a_change_of_a_copy_is_kept_and_not_warned_of():
    replace = 'cp -r --remove-destination "$(readlink -f bin/id)" bin/id; chmod 4755 bin/id'
    attributes = f"fakeRootCommands = ''{replace}'';"
    assert "warning" not in build_log(LAYERED % attributes)
    image = stream(f'streamLayeredImage {{ name = "app"; contents = coreutils; {attributes} }}')
    assert stat.S_IMODE(image.layer(-1)["bin/id"].mode) == 0o4755


WRITES = "echo a:x:1:1::/: >> etc/passwd"


@pytest.mark.parametrize(
    "attributes",
    [
        f'extraCommands = "{WRITES}";',
        f'fakeRootCommands = "{WRITES}";',
        'fakeRootCommands = "echo >> /etc/passwd"; enableFakechroot = true;',
        'extraCommands = "cd etc; echo >> passwd";',
        'extraCommands = "touch etc/passwd";',
    ],
)
def test_writing_to_a_link_into_the_store_says_so_and_how_to_replace_it(attributes):
    error = failure(
        f'streamLayeredImage {{ name = "app"; contents = dockerTools.fakeNss; {attributes} }}'
    )
    name = attributes.split()[0]
    assert f"in docker image app: {name} failed to write to etc/passwd, which is a link to" in error
    assert 'cp -r --remove-destination "$(readlink -f etc/passwd)" etc/passwd && chmod' in error


def test_the_way_to_replace_a_link_works():
    image = stream(
        f"""streamLayeredImage {{
          name = "app"; contents = dockerTools.fakeNss;
          extraCommands = ''
            cp -r --remove-destination "$(readlink -f etc/passwd)" etc/passwd &&
              chmod -R u+w etc/passwd
            {WRITES}
          '';
        }}"""
    )
    assert image.file(-1, "etc/passwd").endswith(b"a:x:1:1::/:\n")


def test_a_script_that_fails_for_another_reason_says_how():
    error = failure(
        """streamLayeredImage {
          name = "app"; contents = dockerTools.fakeNss; extraCommands = "cat etc/passwd; exit 3";
        }"""
    )
    assert "extraCommands failed with exit code 3" in error


CHROOT = """(streamLayeredImage {
  name = "app"; enableFakechroot = true;
  fakeRootCommands = ''%s'';
})"""


@pytest.mark.parametrize("script", ["mkdir -p /tmp; chmod 1777 /tmp", "mkdir -m 1777 /tmp"])
def test_without_the_sandbox_a_fakechroot_image_is_the_same(script):
    expression = CHROOT % f"{script}; echo $NIX_BUILD_TOP $TMPDIR $PWD > /where"
    inside = build(f"{expression}.customisationLayer") / "layer.tar"
    # What is valid already would not be built again.
    other = expression.replace("''", "''# Outside.\n", 1)
    outside = build(f"{other}.customisationLayer", "--option", "sandbox", "false") / "layer.tar"
    assert inside.read_bytes() == outside.read_bytes()
    image = Image(subprocess.run([build(other)], check=True, capture_output=True).stdout)
    assert stat.S_IMODE(image.layer(-1)["tmp"].mode) == 0o1777
    assert image.file(-1, "where") == b"/build /build /\n"


def test_a_directory_that_was_made_to_mount_on_stays_if_a_script_changes_it():
    layer = stream(CHROOT % "chmod 0700 /nix; chown 7 /nix").layer(-1)
    assert stat.S_IMODE(layer["nix"].mode) == 0o700
    assert layer["nix"].uid == 7
    assert "nix/store" not in layer
    assert "nix" not in stream(CHROOT % "true").layer(-1)
