"""What Nix and Python both know is the same: names, and the arguments of every builder."""

import importlib
import json
from dataclasses import MISSING, fields

import pytest

from builders.__main__ import COMMANDS
from builders.image.names import canonical_name, is_digest, is_name, is_tag
from builders.image.platform import (
    ARCHITECTURE_WORDS,
    ARCHITECTURES,
    Platform,
    go_architecture,
    go_system,
)
from tests.nix.images import PREAMBLE, REPOSITORY, evaluate, nix

DIGEST = "sha256:" + 64 * "0"
TEXTS = [
    *("", "app", "App", "a/b", "a//b", "a/", "-a", "a-", "a--b", "a__b", "a___b", "a..b", "a.b"),
    *("registry.example/group/app", "Host/app", "host:5000/app", "localhost/a", "[::1]:5000/a"),
    *("[::g]/a", "a:1", "a b", "a\n", "docker://a", "gtk+", f"a@{DIGEST}"),
    *("v1", "_1", ".a", "-1", "1.0-rc.1", "a_b", 128 * "a", 129 * "a"),
    *(DIGEST, DIGEST[:-1], DIGEST + "0", DIGEST.replace("0", "A"), f"sha512:{64 * '0'}"),
]
CHECKS = f"""
  let
    messages = import {REPOSITORY}/nix/checks/messages.nix {{ inherit lib; }};
    values = import {REPOSITORY}/nix/checks/values.nix {{ inherit lib; }};
    names = import {REPOSITORY}/nix/checks/names.nix {{ inherit lib messages values; }};
    storePaths = import {REPOSITORY}/nix/checks/store-paths.nix {{ inherit lib values; }};
    arguments = import {REPOSITORY}/nix/checks/attributes.nix {{ inherit lib messages; }};
    platform = import {REPOSITORY}/nix/checks/platform.nix {{
      inherit lib arguments values;
      inherit (pkgs) go stdenvNoCC;
    }};
  in
"""


@pytest.mark.parametrize(
    ("in_nix", "in_python"), [("isName", is_name), ("isTag", is_tag), ("isDigest", is_digest)]
)
def test_names_tags_and_digests_are_the_same_in_nix(in_nix, in_python):
    # JSON's escapes are Nix's, too, but for that of what begins an expression.
    texts = " ".join(json.dumps(text).replace("$", "\\$") for text in TEXTS)
    found = evaluate(f"{CHECKS} map names.{in_nix} [ {texts} ]")
    assert dict(zip(TEXTS, found, strict=True)) == {text: in_python(text) for text in TEXTS}
    assert any(found)
    assert not all(found)


PLATFORMS = [
    *("amd64", "ARM64", "x86_64-linux", "aarch64-unknown-linux-gnu", "x86-64", "linux/arm64/v8"),
    *("arm/v7", "amd64/linux", "armv7l/v8", "linux", "Linux/386", "", "/", "-", "a/b/c", "-arm"),
    *(
        "riscv64-linux",
        "macOS",
        "powerpc64le",
        "i686",
        "linux//arm",
        "arm/v7/x",
        *ARCHITECTURE_WORDS,
    ),
]


@pytest.mark.parametrize(
    ("in_nix", "in_python"), [("goArchitecture", go_architecture), ("goSystem", go_system)]
)
def test_words_for_platforms_are_understood_as_in_nix(in_nix, in_python):
    words = " ".join(map(json.dumps, PLATFORMS))
    found = evaluate(f"{CHECKS} map platform.{in_nix} [ {words} ]")
    assert dict(zip(PLATFORMS, found, strict=True)) == {word: in_python(word) for word in PLATFORMS}


def test_variants_that_go_without_saying_are_the_same_in_nix():
    platforms = [(name, f"v{number}") for name in ARCHITECTURES for number in range(1, 10)]
    given = " ".join(
        f'{{ architecture = "{name}"; variant = "{variant}"; }}' for name, variant in platforms
    )
    found = evaluate(f"{CHECKS} map platform.isImplied [ {given} ]")
    plain = [Platform("linux", *platform).plain.variant for platform in platforms]
    assert found == [variant is None for variant in plain]
    assert any(found)
    assert (
        evaluate(f'{CHECKS} platform.isImplied {{ architecture = "arm"; variant = null; }}')
        is False
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", "docker.io/library/app"),
        ("group/app", "docker.io/group/app"),
        ("a/b/c", "docker.io/a/b/c"),
        ("localhost/app", "localhost/app"),
        ("registry.example/app", "registry.example/app"),
        ("host:5000/app", "host:5000/app"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("HOST/app", "HOST/app"),
    ],
)
def test_names_in_full_are_the_same_in_nix(name, expected):
    assert evaluate(f'{CHECKS} names.canonical "{name}"') == expected
    assert canonical_name(f"{name}:1") == f"{expected}:1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello", True),
        ('"${hello}/bin"', True),
        ("./.", True),
        ("{ outPath = builtins.storeDir; }", True),
        ('"${builtins.storeDir}/x"', True),
        ("builtins.storeDir", False),
        ('"${builtins.storeDir}/"', False),
        ('"${builtins.storeDir}-of-another-kind/x"', False),
        ('"/x.tar"', False),
        ("7", False),
        ("null", False),
    ],
)
def test_a_store_path_is_below_the_store(value, expected):
    assert evaluate(f"{CHECKS} storePaths.isStorePath ({value})") is expected


EVERY_BUILDER = """
  let
    base = buildImage { name = "base"; };
    image = {
      name = "app";
      fromImage = base;
      includeNixDB = true;
    };
  in
  [
    (buildImage (image // { copyToRoot = hello; runAsRoot = "true"; }))
    (buildImage image).layer
    (buildImage (image // { format = "oci"; })).manifest
    (dockerTools.buildImageIndex { name = "index"; images = [ base ]; })
    (buildLayeredImage (image // { contents = [ hello ]; forbid = [ "perl" ]; }))
    (buildImage image).report
    (streamLayeredImage (image // { contents = [ hello ]; }))
    (streamLayeredImage image).updateLayers
    (dockerTools.exportImage { fromImage = base; })
    (dockerTools.mergeImages [ base ])
    (dockerTools.pullImage {
      imageName = "app";
      imageDigest = "sha256:${lib.fakeSha256}";
      hash = lib.fakeHash;
    })
    dockerTools.nix-prefetch-docker
    dockerTools.longshore
    ((buildImage image).copyToRegistry.override { lazy = true; })
  ]
"""

BEGINNINGS = ("in docker image ", "in image index ", "in dockerTools.")
SILENT = {"compile_library", "program"}
"""Builders that make nothing of an image."""


@pytest.fixture(scope="module")
def given():
    """The attributes of each derivation, by the name of its builder."""
    paths = nix("nix-instantiate", "-E", PREAMBLE + EVERY_BUILDER).stdout.split()
    shown = json.loads(nix("nix", "show-derivation", "--recursive", *paths).stdout)
    found = {}
    for derivation in shown.values():
        attributes = json.loads(derivation["env"].get("__json", "{}"))
        if "arguments" in attributes:
            found.setdefault(derivation["args"][-1], []).append(attributes["arguments"])
    return found


def test_every_builder_is_tried(given):
    builders = {name for name, module in COMMANDS.items() if ".derivations." in module}
    assert given.keys() == builders


def test_builders_get_the_arguments_that_they_take(given):
    for name, all_arguments in given.items():
        kind = importlib.import_module(COMMANDS[name]).Arguments
        # What has a default is a graph, which lies beside the arguments.
        taken = {field.name for field in fields(kind) if field.default_factory is MISSING}
        for arguments in all_arguments:
            assert arguments.keys() - {"where"} == taken, name


def test_builders_are_told_how_their_messages_begin(given):
    for name, all_arguments in given.items():
        for arguments in all_arguments:
            where = arguments.get("where", "")
            assert where.startswith(BEGINNINGS) is (name not in SILENT), name
