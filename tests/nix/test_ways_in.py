"""default.nix, the overlay, the flake and its template; and what they need of nixpkgs."""

import json
import re
import subprocess
import tarfile

import pytest

from tests.nix.images import REPOSITORY, NixError, build, clone, evaluate, failure, nix

STAND_IN = ["--impure", "--override-input", "nixpkgs", f"path:{REPOSITORY}/nix/debian"]
OVERLAID = f"import <nixpkgs> {{ overlays = [ (import {REPOSITORY}/nix/overlay.nix) ]; }}"


def test_the_overlay_takes_the_place_of_docker_tools():
    path = build(f'(({OVERLAID}).dockerTools.buildImage {{ name = "app"; }})')
    assert path == build('buildImage { name = "app"; }')


def test_the_overlay_has_nix_prefetch_docker():
    program = build(f"({OVERLAID}).nix-prefetch-docker") / "bin/nix-prefetch-docker"
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--image-name" in said


def test_the_overlay_keeps_what_is_not_defined_here():
    before = "(final: previous: { dockerTools = { legacy = 1; buildImage = 2; }; })"
    pkgs = (
        f"(import <nixpkgs> {{ overlays = [ {before} (import {REPOSITORY}/nix/overlay.nix) ]; }})"
    )
    assert evaluate(f"{pkgs}.dockerTools.legacy") == 1
    assert evaluate(f"lib.isFunction {pkgs}.dockerTools.buildImage || true") is True
    assert evaluate(f'({pkgs}.dockerTools.buildImage {{ name = "app"; }}).imageName') == "app"


def test_docker_tools_can_be_overridden():
    other = 'writeTextDir "bin/fakeroot" ""'
    image = '{ name = "app"; fakeRootCommands = "true"; }'
    pkgs = "inherit (pkgs) writeTextDir;"
    changed = f"(let {pkgs} in dockerTools.override {{ fakeroot = {other}; }})"
    assert evaluate(f"({changed}.streamLayeredImage {image}).drvPath") != evaluate(
        f"(streamLayeredImage {image}).drvPath"
    )
    same = "(dockerTools.override (old: { inherit (old) fakeroot; }))"
    assert evaluate(f"({same}.streamLayeredImage {image}).drvPath") == evaluate(
        f"(streamLayeredImage {image}).drvPath"
    )


def test_overrides_reach_what_runs_in_the_build_and_what_is_in_the_image():
    image = '{ name = "app"; fakeRootCommands = "true"; }'
    build_packages = "{ buildPackages = pkgs // { fakeroot = pkgs.hello; }; }"
    changed = f"(dockerTools.override {build_packages}).streamLayeredImage {image}"
    given = evaluate(f"({changed}).customisationLayer.arguments.fakeroot")
    assert "-hello-" in given
    for shell in ("bash", "bashInteractive"):
        changed = f"(dockerTools.override {{ {shell} = pkgs.hello; }}).binSh.drvPath"
        assert evaluate(changed) != evaluate("dockerTools.binSh.drvPath")


def test_an_override_that_docker_tools_does_not_take_is_refused():
    error = failure('(dockerTools.override { tar = 1; }).buildImage { name = "app"; }')
    assert "in dockerTools.override: dockerTools takes no 'tar'; it takes bash, " in error


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The flake as a clone has it."""
    return clone(tmp_path_factory.mktemp("flake") / "longshore")


def flake(command, checkout, *more):
    return nix("nix", "flake", command, f"path:{checkout}", *STAND_IN, *more).stdout


def test_the_flake_shows_what_it_has(checkout):
    shown = json.loads(flake("show", checkout, "--json"))
    kinds = {"packages", "apps", "checks", "devShells"}
    assert set(shown) >= kinds | {"overlays", "templates"}
    for kind in kinds:
        assert set(shown[kind]) == {"x86_64-linux", "aarch64-linux"}
    assert {"hello", "redis", "default"} <= set(shown["packages"]["x86_64-linux"])
    assert "hello-stream" in shown["apps"]["x86_64-linux"]


def test_the_flake_checks_out(checkout):
    flake("check", checkout, "--no-build")


def test_legacy_packages_are_the_tools(checkout):
    path = nix(
        "nix",
        "eval",
        "--raw",
        f"path:{checkout}#legacyPackages.x86_64-linux.dockerTools.examples.hello.drvPath",
        *STAND_IN,
    ).stdout
    assert re.fullmatch(r"/nix/store/.*-hello\.tar\.gz\.drv", path)


def test_the_flake_makes_an_index_of_one_function_over_systems(checkout):
    """The packages of another system can't be built here: they stay what evaluation says."""
    index = """lib: {
      native = lib.buildImageIndex {
        name = "app";
        systems = [ "x86_64-linux" ];
        image = pkgs: pkgs.dockerTools.buildImage { name = "app"; };
      };
      both = map (image: image.ociImage.platform.architecture) (lib.buildImageIndex {
        name = "app";
        image = pkgs: pkgs.dockerTools.streamLayeredImage {
          name = "app";
          contents = [ pkgs.hello ];
        };
      }).images;
    }"""
    command = ["nix", "eval", "--json", f"path:{checkout}#lib", *STAND_IN, "--apply"]
    both = json.loads(nix(*command, f"lib: (({index}) lib).both").stdout)
    assert both == ["amd64", "arm64"]
    path = json.loads(nix(*command, f"lib: (({index}) lib).native.drvPath").stdout)
    built = nix("nix-build", "--no-out-link", path).stdout.strip()
    with tarfile.open(built) as archive:
        names = archive.getnames()
    assert "index.json" in names


def test_the_template_is_an_image(checkout, tmp_path):
    text = (checkout / "templates/image/flake.nix").read_text()
    (tmp_path / "flake.nix").write_text(text.replace("path:/path/to/longshore", f"path:{checkout}"))
    link = str(tmp_path / "result")
    nix("nix", "build", "--out-link", link, f"path:{tmp_path}", *STAND_IN)
    listed = subprocess.run([link], capture_output=True, check=True).stdout
    assert b"my-image:latest" in listed


def test_the_lock_file_pins_a_published_nixpkgs():
    locked = json.loads((REPOSITORY / "flake.lock").read_text())["nodes"]["nixpkgs"]["locked"]
    assert locked["type"] == "github"
    assert re.fullmatch(r"[0-9a-f]{40}", locked["rev"])
    assert locked["narHash"].startswith("sha256-")


# What the Nix files need of nixpkgs


def listed():
    expression = f"import {REPOSITORY}/tests/nixpkgs-names.nix"
    return {name: set(names) for name, names in evaluate(expression).items()}


def nix_files():
    return [
        *(
            path
            for room in ("nix", "nix/functions", "nix/checks")
            for path in (REPOSITORY / room).glob("*.nix")
            if path.name != "default.nix"
        ),
        *(path for path in (REPOSITORY / "examples").glob("*.nix") if path.name != "default.nix"),
    ]


def used():
    """What is taken as an argument, and what stands behind `lib.`, `pkgs.` and `buildPackages.`."""
    files = nix_files()
    functions = evaluate(
        # What has a default may be missing in nixpkgs.
        "map (file: let f = import file; needed = lib.filterAttrs (_: optional: ! optional); in "
        "if lib.isFunction f then lib.attrNames (needed (lib.functionArgs f)) else [ ]) "
        f"[ {' '.join(map(str, files))} ]"
    )
    own = set(evaluate("lib.attrNames dockerTools")) | {"dockerTools"}
    table = (REPOSITORY / "nix/default.nix").read_text()
    internals = set(re.findall(r"^    (\w+) = callPackage \./", table, re.MULTILINE))
    text = "\n".join(
        path.read_text() for path in [*files, *REPOSITORY.glob("*.nix"), *nix_default()]
    )
    code = re.sub(r"#.*", "", text)
    names = {name for arguments in functions for name in arguments} - own - internals
    names |= set(re.findall(r"\bpkgs\.([A-Za-z][\w'-]*)", code)) - {"lib"} - own
    inherited = " ".join(re.findall(r"inherit \(pkgs\) ([^;]+);", code))
    names |= set(inherited.split()) - {"lib"}
    return {
        "pkgs": names - {"pkgs"},
        "devShell": dev_shell(),
        "buildPackages": set(re.findall(r"\bbuildPackages\.([A-Za-z][\w-]*)", code)),
        "lib": set(re.findall(r"(?<![\w./-])lib\.([A-Za-z]\w*(?:\.[A-Za-z]\w*)?)", code)),
    }


def dev_shell():
    """The programs of the flake's devShell: named as strings, since nix/debian lacks some."""
    (listed,) = re.findall(
        r"^      programs = \[(.*?)\];", (REPOSITORY / "flake.nix").read_text(), re.M | re.S
    )
    return set(re.findall(r'"([^"]+)"', listed))


def nix_default():
    return [REPOSITORY / "nix/default.nix"]


def test_names_taken_from_nixpkgs_are_listed():
    assert used() == listed()


@pytest.mark.parametrize("kind", ["pkgs", "buildPackages", "lib"])
def test_names_that_are_listed_exist_here(kind):
    scope = {"pkgs": "pkgs", "buildPackages": "pkgs.buildPackages", "lib": "lib"}[kind]
    for name in sorted(listed()[kind]):
        path = " ".join(f'"{part}"' for part in name.split("."))
        found = evaluate(f"lib.hasAttrByPath [ {path} ] {scope}")
        # The formatter of nixpkgs' own is the one thing that Debian has no package of.
        assert found or name == "nixfmt-rfc-style", name


def test_the_dev_shell_has_the_python_packages_and_programs_that_are_here(checkout):
    shell = f"path:{checkout}#devShells.x86_64-linux.default"
    show = "shell: map (input: input.name) shell.nativeBuildInputs"
    shown = nix("nix", "eval", "--json", shell, "--apply", show, *STAND_IN).stdout
    names = json.loads(shown)
    assert [name for name in names if name.startswith("python3-")]
    for program in ("skopeo", "zstd", "rsync"):
        assert [name for name in names if name.startswith(f"{program}-")], program


def test_errors_of_nix_are_seen():
    with pytest.raises(NixError):
        evaluate("dockerTools.noSuchFunction { }")
