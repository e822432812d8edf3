"""Layers over base images whose directories are links, as Debian's /bin is one to usr/bin."""

import pytest

from tests.nix.images import PREAMBLE, Image, archive, build, build_log, failure, nix, stream
from tests.unit.archives import directory, layer_of, member, plain_members, symlink, tar

LOWER = layer_of(
    directory("usr"),
    directory("usr/bin", mode=0o751, uid=3, gid=4),
    member("usr/bin/sh", b"the base's", mode=0o755),
    directory("usr/lib64"),
    directory("usr/sbin"),
    directory("run", mode=0o1777),
    directory("var"),
    symlink("var/run", "/run"),
    symlink("bin", "bin2"),
    symlink("bin2", "/usr/bin"),
    symlink("sbin", "usr/sbin"),
    symlink("lib", "usr/lib"),
)
UPPER = layer_of(symlink("lib64", "usr/lib64"), member(".wh.lib"))


def base_image(tmp_path, *layers):
    path = tmp_path / "base.tar"
    path.write_bytes(tar(plain_members(layers)))
    return f'builtins.path {{ path = {path}; name = "base.tar"; }}'


@pytest.fixture
def base(tmp_path):
    """An image with links as Debian has them, in two layers, as a Nix expression."""
    return base_image(tmp_path, LOWER, UPPER)


def entries(image: Image) -> dict[str, str]:
    """What the topmost layer has outside of the store, but for its root."""
    found = {}
    for name, entry in image.layer(-1).items():
        if name in ("", ".") or f"{name}/".startswith("nix/"):
            continue
        facts = f"{entry.mode:o} {entry.uid}:{entry.gid}"
        found[name] = (
            f"-> {entry.linkname}" if entry.issym() else facts if entry.isdir() else "file"
        )
    return found


def tree(text: str) -> str:
    """A Nix expression of a directory that a script makes."""
    return f"runCommand \"tree\" {{ }} ''mkdir $out; cd $out; {text}''"


USR = "755 0:0"
BIN = "751 3:4"


def test_contents_go_where_links_of_the_base_image_lead(base):
    image = stream(
        f'streamLayeredImage {{ name = "app"; fromImage = {base}; contents = [ hello ]; }}'
    )
    found = {name: facts for name, facts in entries(image).items() if "share" not in name}
    hello = build("hello")
    assert found == {"usr": USR, "usr/bin": BIN, "usr/bin/hello": f"-> {hello}/bin/hello"}


def test_bin_sh_replaces_the_shell_and_no_directory(base):
    image = stream(
        f'streamLayeredImage {{ name = "app"; fromImage = {base}; '
        "contents = [ dockerTools.binSh ]; }"
    )
    shell = build("dockerTools.binSh").joinpath("bin/sh").readlink()
    assert entries(image) == {"usr": USR, "usr/bin": BIN, "usr/bin/sh": f"-> {shell}"}


@pytest.mark.parametrize(
    "script",
    [
        'extraCommands = "mkdir -p lib64 var/run/app; touch lib64/a";',
        'fakeRootCommands = "mkdir -p lib64 var/run/app; touch lib64/a";',
        'fakeRootCommands = "mkdir -p /lib64 /var/run/app; touch /lib64/a"; '
        "enableFakechroot = true;",
    ],
)
def test_scripts_make_directories_where_links_lead(base, script):
    image = stream(f'streamLayeredImage {{ name = "app"; fromImage = {base}; {script} }}')
    assert entries(image) == {
        "usr": USR,
        "usr/lib64": "755 0:0",
        "usr/lib64/a": "file",
        "run": "1777 0:0",
        "run/app": "755 0:0",
    }


def test_owners_of_moved_files_and_chosen_modes_stay(base):
    image = stream(
        f"""streamLayeredImage {{ name = "app"; fromImage = {base}; fakeRootCommands = ''
          mkdir -p var/run/app bin
          chown 7:8 var/run/app
          chmod 0700 var/run
          ln -s ../sbin/x bin/x
          chown -h 9:9 bin/x
        ''; }}"""
    )
    found = entries(image)
    assert found["run"] == "700 0:0"
    assert found["run/app"] == "755 7:8"
    assert found["usr/bin"] == BIN
    assert found["usr/bin/x"] == "-> ../../sbin/x"
    assert image.layer(-1)["usr/bin/x"].uid == 9


@pytest.mark.parametrize("run_as_root", ["", 'runAsRoot = "mkdir -p /lib64/made";'])
def test_build_image_follows_links_as_well(base, run_as_root):
    image = archive(
        f"""buildImage {{
          name = "app"; fromImage = {base}; {run_as_root}
          copyToRoot = {tree("mkdir -p bin lib64; echo hi > bin/hello")};
          extraCommands = "mkdir -p var/run/app";
        }}"""
    )
    found = entries(image)
    assert found["usr/bin"] == BIN
    assert found["usr/bin/hello"] == "file"
    assert found["run/app"] == "755 0:0"
    assert not {"bin", "lib64", "var/run"} & found.keys()
    assert ("usr/lib64/made" in found) == bool(run_as_root)


def test_a_layer_of_another_owner_leaves_directories_of_the_base_image(base):
    image = archive(
        f'buildImage {{ name = "app"; fromImage = {base}; uid = 7; gid = 8; '
        f"copyToRoot = {tree('mkdir bin; touch bin/x')}; }}"
    )
    assert entries(image)["usr/bin"] == BIN
    assert image.layer(-1)["usr/bin/x"].uid == 7


def test_a_script_with_root_may_replace_a_link(base):
    image = archive(
        f"""buildImage {{
          name = "app"; fromImage = {base};
          runAsRoot = "rm /bin /lib64; mkdir -p /bin/own; ln -s /opt /lib64";
          extraCommands = "mkdir -p var/run/app; touch bin/mine";
        }}"""
    )
    found = entries(image)
    assert found["bin/own"] == "755 0:0"
    assert found["bin/mine"] == "file"
    assert found["lib64"] == "-> /opt"
    assert "run/app" in found
    assert not any(name.startswith("usr") for name in found)


def test_a_link_that_hides_one_of_the_base_image_gets_a_warning(base):
    log = build_log(
        f'(streamLayeredImage {{ name = "app"; fromImage = {base}; '
        'extraCommands = "ln -sfn /opt bin"; }).customisationLayer'
    )
    (warning,) = [line for line in log.splitlines() if line.startswith("warning: ")]
    assert warning == (
        "warning: in docker image app: /bin is a link to bin2 in the base image; the layer's link "
        "to /opt takes its place, and what the base image has in /bin is no longer found there"
    )


def test_a_link_in_contents_is_linked_file_by_file(base):
    sbin = tree("mkdir bin; touch bin/tool; ln -s bin sbin")
    image = stream(
        f'streamLayeredImage {{ name = "app"; fromImage = {base}; contents = [ ({sbin}) ]; }}'
    )
    path = build(sbin)
    assert entries(image) == {
        "usr": USR,
        "usr/bin": BIN,
        "usr/bin/tool": f"-> {path}/bin/tool",
        "usr/sbin": "755 0:0",
        "usr/sbin/tool": f"-> {path}/sbin/tool",
    }


def test_a_base_image_of_nix_keeps_what_its_links_lead_to(base):
    env = tree("mkdir -p $out; ln -s ${coreutils}/bin bin")
    lower = f'buildLayeredImage {{ name = "lower"; contents = [ ({env}) ]; }}'
    image = stream(
        f'streamLayeredImage {{ name = "app"; fromImage = {lower}; contents = [ hello ]; }}'
    )
    found = entries(image)
    assert found["bin/hello"] == f"-> {build('hello')}/bin/hello"
    assert found["bin/ls"] == f"-> {build('coreutils')}/bin/ls"


def test_a_file_and_a_directory_at_one_place_are_one_clear_line(base):
    error = failure(
        f'streamLayeredImage {{ name = "app"; fromImage = {base}; '
        'extraCommands = "mkdir -p bin usr/bin/x; touch bin/x"; }'
    )
    assert error == (
        "error: in docker image app: the layer has /bin/x and /usr/bin/x, which are one place, "
        "since /bin is a link to bin2 in the base image, and only one of them is a directory; "
        "leave out one of them"
    )


@pytest.mark.parametrize(
    "function", ["buildLayeredImage", "buildImage"], ids=["layered", "one layer"]
)
def test_a_store_behind_a_link_is_refused(tmp_path, function):
    base = base_image(
        tmp_path, layer_of(directory("data"), directory("data/nix"), symlink("nix", "data/nix"))
    )
    error = failure(
        f'{function} {{ name = "app"; fromImage = {base}; '
        'config.Cmd = [ "${hello}/bin/hello" ]; }'
    )
    assert (
        "base.tar has /nix as a link to data/nix, but store paths must be in a directory" in error
    )
    assert error.endswith("make /nix a directory in the base image")


PLAIN = layer_of(directory("bin"), member("bin/sh"), directory("lib"), symlink("sh", "bin/sh"))
OVER_PLAIN = [
    '(streamLayeredImage { name = "app"; BASE contents = [ hello ]; '
    'extraCommands = "mkdir -p var/run lib"; '
    'fakeRootCommands = "chown 5 lib"; }).customisationLayer',
    '(buildImage { name = "app"; BASE copyToRoot = [ hello ]; '
    # The mode of the root is the base image's, but for scripts.
    'extraCommands = "mkdir -p var/run lib; chmod 755 ."; }).layer',
]


@pytest.mark.parametrize("image", OVER_PLAIN, ids=["layered", "one layer"])
def test_a_base_image_without_such_links_changes_no_byte(tmp_path, image):
    base = base_image(tmp_path, PLAIN)
    with_base, without = (
        build(image.replace("BASE", given)) for given in (f"fromImage = {base};", "")
    )
    assert (with_base / "layer.tar").read_bytes() == (without / "layer.tar").read_bytes()


def inputs(image: str, base: str, kind: str = "--requisites") -> list[str]:
    """What the derivation of a layer is built from, directly or not."""
    expression = PREAMBLE + image.replace("BASE", base)
    derivation = nix("nix-instantiate", "-E", expression).stdout.strip()
    return nix("nix-store", "-q", kind, derivation).stdout.split()


@pytest.mark.parametrize("image", OVER_PLAIN, ids=["layered", "one layer"])
def test_only_a_layer_over_a_base_image_is_built_after_its_names(tmp_path, image):
    base = base_image(tmp_path, PLAIN)
    assert any("base-names" in name for name in inputs(image, f"fromImage = {base};"))
    assert not any("base-" in name for name in inputs(image, ""))


def test_the_customisation_layer_is_built_without_the_base_image_s_layers(base):
    names = inputs(OVER_PLAIN[0], f"fromImage = {base};", "--references")
    assert any("base-names" in name for name in names)
    assert not any("base-image" in name or "base.tar" in name for name in names)
