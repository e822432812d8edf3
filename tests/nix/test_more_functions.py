"""What public expressions use beside the documented functions and attributes."""

import stat
import subprocess
import tarfile

import pytest

from tests.nix.images import REPOSITORY, archive, build, evaluate, failure


def test_a_shell_script_has_coreutils_and_nothing_else():
    script = build('dockerTools.shellScript "set-up.sh" "ls / > /dev/null; echo $PATH"')
    assert script.name.endswith("-set-up.sh")
    said = subprocess.run(
        ["env", "-i", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert said == evaluate('"${coreutils}/bin:/bin"')


def names_of(layer):
    with tarfile.open(layer / "layer.tar") as files:
        return {member.name.removeprefix("./"): member for member in files}


def test_a_pure_layer_is_that_of_build_image():
    attributes = 'name = "l"; copyToRoot = hello; extraCommands = "echo > mine"; uid = 7;'
    made = build(
        f'dockerTools.mkPureLayer {{ {attributes} baseJson = pkgs.writeText "j" "{{}}"; }}'
    )
    assert made == build(f"(buildImage {{ {attributes} }}).layer")
    files = names_of(made)
    assert files["bin/hello"].uid == files["mine"].uid == 7
    assert (made / "VERSION").read_text() == "1.0"


def test_a_root_layer_is_made_without_a_virtual_machine():
    made = build(
        """dockerTools.mkRootLayer {
          name = "l"; copyToRoot = hello; runAsRoot = "install -m 4755 /bin/hello /suid";
          baseJson = null; diskSize = 1; useFUSEOverlayFS = true;
          fromImage = buildImage { name = "base"; };
        }"""
    )
    assert stat.S_IMODE(names_of(made)["suid"].mode) == 0o4755


def test_what_needs_the_virtual_machine_is_refused_with_the_reason():
    error = failure('dockerTools.runWithOverlay { name = "x"; postMount = "true"; }')
    assert "its scripts mount file systems in a virtual machine, and there is none here" in error
    assert "runAsRoot" in error


def test_what_has_no_meaning_here_is_taken_and_ignored():
    plain = 'buildImage { name = "app"; runAsRoot = "true"; }'
    given = 'buildImage { name = "app"; runAsRoot = "true"; useFUSEOverlayFS = true; }'
    assert build(f"({given}).conf") == build(f"({plain}).conf")
    exported = "dockerTools.exportImage { fromImage = %s; %s }"
    assert build(exported % (plain, "useFUSEOverlayFS = true;")) == build(exported % (plain, ""))
    other = "(dockerTools.override { kmod = hello; fuse-overlayfs = hello; }).buildImage"
    assert archive(f'{other} {{ name = "app"; }}').manifest["RepoTags"][0].startswith("app:")


@pytest.mark.parametrize("examples", ["{ bash = 1; }", "null"])
def test_the_overlay_keeps_the_examples(examples):
    before = f"(final: previous: {{ dockerTools.examples = {examples}; }})"
    overlays = f"[ {before} (import {REPOSITORY}/nix/overlay.nix) ]"
    kept = evaluate(f"(import <nixpkgs> {{ overlays = {overlays}; }}).dockerTools.examples")
    assert kept == evaluate(examples)
    own = f"(import <nixpkgs> {{ overlays = [ (import {REPOSITORY}/nix/overlay.nix) ]; }})"
    assert evaluate(f"{own}.dockerTools.examples ? redis") is True
