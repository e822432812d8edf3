"""writableTmp and nonRootUser: what a store path can't hold, in images of all kinds."""

import stat

import pytest

from tests.nix.images import archive, build_log, evaluate, failure, stream
from tests.nix.test_linked_base_images import base_image
from tests.unit.archives import directory, layer_of, member, symlink

HELPERS = """[
  dockerTools.writableTmp
  (dockerTools.nonRootUser.override {
    name = "app"; uid = 70; gid = 71; group = "apps"; home = "/app"; directories = [ "/var/app/x" ];
  })
]"""

IMAGES = {
    "layered": (stream, 'streamLayeredImage { name = "app"; contents = %s; }'),
    "layered with scripts": (
        stream,
        """streamLayeredImage {
          name = "app"; contents = %s;
          extraCommands = "touch tmp/file"; fakeRootCommands = "touch app/file";
        }""",
    ),
    "fakechroot": (
        stream,
        """streamLayeredImage {
          name = "app"; contents = %s; enableFakechroot = true;
          fakeRootCommands = "touch /app/file";
        }""",
    ),
    "built": (archive, 'buildImage { name = "app"; copyToRoot = %s; uid = 5; }'),
    "built as root": (archive, 'buildImage { name = "app"; copyToRoot = %s; runAsRoot = "id"; }'),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_directories_have_their_owners_and_modes(kind):
    make, expression = IMAGES[kind]
    layer = make(expression % HELPERS).layer(-1)
    facts = {
        name: (oct(stat.S_IMODE(layer[name].mode)), layer[name].uid, layer[name].gid)
        for name in ("tmp", "app", "var/app/x")
    }
    assert facts == {
        "tmp": ("0o1777", 0, 0),
        "app": ("0o755", 70, 71),
        "var/app/x": ("0o755", 70, 71),
    }
    assert layer["var/app"].uid == (5 if kind == "built" else 0)


@pytest.mark.parametrize("kind", IMAGES)
def test_directories_have_their_owners_and_modes_over_links_of_a_base_image(kind, tmp_path):
    base = base_image(
        tmp_path,
        layer_of(
            directory("mnt"),
            *(directory(f"mnt/{name}") for name in ("tmp", "app")),
            symlink("tmp", "mnt/tmp"),
            symlink("app", "/mnt/app"),
            # What leads to no directory is replaced.
            member("plain", b""),
            symlink("file", "plain"),
        ),
    )
    helpers = HELPERS.replace("/var/app/x", "/file/x")
    make, expression = IMAGES[kind]
    layer = make(expression.replace("{", f"{{ fromImage = {base};", 1) % helpers).layer(-1)
    facts = {
        name: (oct(stat.S_IMODE(layer[name].mode)), layer[name].uid, layer[name].gid)
        for name in ("mnt/tmp", "mnt/app", "file/x")
    }
    assert facts == {
        "mnt/tmp": ("0o1777", 0, 0),
        "mnt/app": ("0o755", 70, 71),
        "file/x": ("0o755", 70, 71),
    }


@pytest.mark.parametrize("kind", IMAGES)
def test_scripts_may_remove_directories(kind):
    make, expression = IMAGES[kind]
    if kind == "built as root":
        expression = expression.replace('"id"', '"rm -r tmp"')
    else:
        script = "rm -r tmp; mkdir -p app"
        expression = expression.replace('extraCommands = "touch tmp/file";', "")
        expression = expression.replace("{", f'{{ extraCommands = "{script}";', 1)
    layer = make(expression % HELPERS).layer(-1)
    assert "tmp" not in layer
    assert layer["app"].uid == 70


@pytest.mark.parametrize("kind", IMAGES)
def test_the_user_and_the_group_have_names(kind):
    make, expression = IMAGES[kind]
    image = make(expression % HELPERS)
    assert b"\napp:x:70:71:app:/app:/bin/sh\n" in image.file(-1, "etc/passwd")
    assert b"\napps:x:71:\n" in image.file(-1, "etc/group")


def test_one_word_is_enough():
    image = stream(
        """streamLayeredImage {
          name = "app"; contents = with dockerTools; [ writableTmp nonRootUser ];
          config.User = dockerTools.nonRootUser.user;
        }"""
    )
    home = image.layer(-1)["home/user"]
    assert (home.uid, home.gid) == (1000, 1000)
    assert image.config["config"]["User"] == "1000:1000"
    called = 'dockerTools.nonRootUser { name = "jane"; }'
    assert evaluate(f"({called}).home") == "/home/jane"


def test_shells_have_a_temporary_directory_and_certificates():
    image = stream("streamNixShellImage { drv = hello; }")
    assert stat.S_IMODE(image.layer(-1)["tmp"].mode) == 0o1777
    env = dict(entry.partition("=")[::2] for entry in image.config["config"]["Env"])
    bundle = evaluate('"${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"')
    assert env["SSL_CERT_FILE"] == env["NIX_SSL_CERT_FILE"] == bundle
    assert [bundle.rpartition("/etc")[0]] in image.store_paths or any(
        bundle.rpartition("/etc")[0] in paths for paths in image.store_paths
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('name = "A b";', "name must be a name of small letters"),
        ('home = "here";', "home must be an absolute path below /"),
        ('home = "/";', 'home must be an absolute path below /, not the string "/"'),
        ("uid = -1;", "id must be a number from 0 on, not the number -1"),
        ('directories = [ "data" ];', "directories must be absolute paths"),
        ('hom = "/x";', "unknown attribute 'hom'; did you mean 'home'?"),
    ],
)
def test_bad_arguments_are_refused(arguments, expected):
    assert expected in failure(f"dockerTools.nonRootUser.override {{ {arguments} }}")


def test_a_home_that_a_chroot_leaves_out_gets_a_warning():
    layer = """(streamLayeredImage {
      name = "app"; contents = dockerTools.nonRootUser.override { home = "/build"; };
      enableFakechroot = true; fakeRootCommands = "true";
    }).customisationLayer"""
    assert "enableFakechroot: /build is the build's own directory" in build_log(layer)


def test_a_file_in_the_way_of_a_directory_is_an_error():
    error = failure(
        """streamLayeredImage {
          name = "app"; contents = [ (writeTextDir "home" "") dockerTools.nonRootUser ];
        }"""
    )
    assert "/home/user should be a directory, but something else is in the image there" in error
