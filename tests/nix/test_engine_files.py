"""Files that engines read by themselves can be opened beneath the image's root."""

import errno
import stat

import pytest

from tests.nix.images import archive, build_log, failure, stream
from tests.nix.openat2 import read_beneath, unpack

FILES = ["etc/passwd", "etc/group", "etc/nsswitch.conf"]
NSS = "dockerTools.fakeNss"
HOSTS = '(writeTextDir "etc/hosts" "127.0.0.1 here\\n")'
WARNING = "engines read them, but Docker 29 and containerd 2.2 follow no absolute link there"


def test_links_into_the_store_are_what_nixpkgs_makes_and_what_engines_refuse(tmp_path):
    image = stream(f'streamLayeredImage {{ name = "app"; contents = {NSS}; }}')
    assert image.layer(-1)["etc/passwd"].issym()
    with pytest.raises(OSError) as refused:
        read_beneath(unpack(image, tmp_path), "etc/passwd")
    assert refused.value.errno == errno.EXDEV


def test_such_a_link_is_warned_of_with_the_remedy():
    log = build_log(
        f'(streamLayeredImage {{ name = "app"; contents = {NSS}; }}).customisationLayer'
    )
    assert f"/etc/group and /etc/nsswitch.conf and /etc/passwd: {WARNING}" in log
    assert "set copyEngineFiles = true" in log
    copied = f'{{ name = "app"; contents = [ {NSS} hello ]; copyEngineFiles = true; }}'
    assert "warning" not in build_log(f"(streamLayeredImage {copied}).customisationLayer")
    plain = '(streamLayeredImage { name = "app"; contents = hello; }).customisationLayer'
    assert "warning" not in build_log(plain)


IMAGES = {
    "layered": (
        stream,
        f"""streamLayeredImage {{
          name = "app"; contents = [ {NSS} {HOSTS} ]; copyEngineFiles = true;
        }}""",
    ),
    "of a script": (
        stream,
        f"""streamLayeredImage {{
          name = "app"; copyEngineFiles = true;
          extraCommands = "mkdir etc; ln -s ${{{NSS}}}/etc/* ${{{HOSTS}}}/etc/hosts etc";
        }}""",
    ),
    "of a link to a directory": (
        stream,
        f"""streamLayeredImage {{
          name = "app"; copyEngineFiles = true;
          fakeRootCommands =
            "ln -s ${{symlinkJoin {{ name = "n"; paths = [ {NSS} {HOSTS} ]; }}}}/etc etc";
        }}""",
    ),
    "built": (archive, f'buildImage {{ name = "app"; copyToRoot = [ {NSS} {HOSTS} ]; }}'),
    "built as root": (
        archive,
        f'buildImage {{ name = "app"; copyToRoot = [ {NSS} {HOSTS} ]; runAsRoot = "true"; }}',
    ),
    "built of an environment": (
        archive,
        f"""buildImage {{
          name = "app";
          copyToRoot = pkgs.buildEnv {{ name = "root"; paths = [ {NSS} {HOSTS} ]; }};
        }}""",
    ),
    "a shell": (stream, "streamNixShellImage { drv = hello; }"),
    "a user": (
        stream,
        'streamLayeredImage { name = "app"; contents = [ dockerTools.nonRootUser ]; }',
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_engines_can_open_them(kind, tmp_path):
    make, expression = IMAGES[kind]
    image = make(expression)
    root = unpack(image, tmp_path)
    for name in FILES:
        assert read_beneath(root, name), name
    assert read_beneath(root, "etc/passwd").startswith(b"root:x:0:0:")
    layer = image.layer(-1)
    passwd = layer["etc/passwd"]
    assert passwd.isreg()
    assert (stat.S_IMODE(passwd.mode), passwd.uid) == (0o644, 0)
    if "etc/hosts" in layer:
        assert read_beneath(root, "etc/hosts") == b"127.0.0.1 here\n"


def test_a_link_to_a_file_of_the_image_becomes_relative(tmp_path):
    image = stream(
        """streamLayeredImage {
          name = "app"; copyEngineFiles = true;
          extraCommands = "mkdir etc data; echo x > data/hosts; ln -s /data/hosts etc/hosts";
        }"""
    )
    assert image.layer(-1)["etc/hosts"].linkname == "../data/hosts"
    assert read_beneath(unpack(image, tmp_path), "etc/hosts") == b"x\n"


def test_the_remedy_for_what_can_not_be_copied_is_another_one():
    log = build_log(
        """(streamLayeredImage {
          name = "app"; copyEngineFiles = true; extraCommands = "mkdir etc; ln -s /no etc/hosts";
        }).customisationLayer"""
    )
    assert "/etc/hosts: engines read them" in log
    assert "refuse to start a container; make them files, or relative links" in log


def test_copies_can_be_written_to():
    image = stream(
        f"""streamLayeredImage {{
          name = "app"; contents = {NSS}; copyEngineFiles = true;
          extraCommands = "echo a:x:7:7::/: >> etc/passwd";
          fakeRootCommands = "echo a:x:7: >> etc/group";
        }}"""
    )
    assert image.file(-1, "etc/passwd").endswith(b"a:x:7:7::/:\n")
    assert image.file(-1, "etc/group").endswith(b"a:x:7:\n")


def test_the_attribute_is_true_or_false():
    error = failure('streamLayeredImage { name = "app"; copyEngineFiles = "yes"; }')
    assert "copyEngineFiles must be true or false" in error
