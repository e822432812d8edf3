"""`architecture`, `variant`, `arch` and `os` are Go's words, and nothing else is taken for one."""

import pytest

from tests.nix.images import REPOSITORY, evaluate, failure, stream

DIGEST = "sha256:" + 64 * "0"


def image(arguments, function="streamLayeredImage"):
    return f'{function} {{ name = "app"; {arguments} }}'


def pull(arguments):
    return f"""dockerTools.pullImage {{
      imageName = "app"; imageDigest = "{DIGEST}"; hash = lib.fakeHash; {arguments}
    }}"""


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildLayeredImage", "buildImage"])
def test_words_of_nix_are_refused_with_the_right_one(function):
    assert failure(image('architecture = "aarch64";', function)) == (
        "error: in docker image app: architecture must be one of Go's words, "
        'not the string "aarch64"; write architecture = "arm64"'
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            'architecture = "arm/v7";',
            'not the string "arm/v7"; write architecture = "arm"; variant = "v7"',
        ),
        (
            'architecture = "armv6l-linux";',
            'not the string "armv6l-linux"; write architecture = "arm"; variant = "v6"',
        ),
        ("architecture = pkgs.stdenv.hostPlatform.system;", '; write architecture = "'),
        ('architecture = "ARM64";', '; write architecture = "arm64"'),
        ("architecture = 386;", 'must be a string, not the number 386; write architecture = "386"'),
        (
            'architecture = "amd46";',
            'such as "amd64", "arm64", "arm" or "386", not the string "amd46"; '
            'did you mean "amd64"?',
        ),
        (
            'architecture = "arm"; variant = 7;',
            'variant must be null or a variant of arm such as "v7", not the number 7; '
            'write variant = "v7"',
        ),
        ('architecture = "arm"; variant = "armv6l";', '"armv6l"; write variant = "v6"'),
        ('architecture = "arm64"; variant = "v7";', 'a variant of arm64 such as "v8", not'),
        ('architecture = "amd64"; variant = "V3";', 'write variant = "v3"'),
        ('architecture = "mips"; variant = "A B";', 'a variant of mips, not the string "A B"'),
        ("variant = [ ];", "variant must be null or a string"),
    ],
)
def test_words_that_are_no_words_of_go_are_refused(arguments, expected):
    assert expected in failure(image(arguments))


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [
        ("arm", "v5"),
        ("arm64", "v8"),
        ("arm64", "v9.2"),
        ("amd64", "v4"),
        ("ppc64le", "power10"),
        ("riscv64", "rva20u64"),
        ("mips", "softfloat"),
        ("386", None),
    ],
)
def test_words_of_go_are_taken(architecture, variant):
    given = f'architecture = "{architecture}";'
    if variant:
        given += f' variant = "{variant}";'
    arguments = evaluate(f"({image(given)}).conf.drvAttrs.arguments")
    assert (arguments["architecture"], arguments["variant"]) == (architecture, variant)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            'arch = "aarch64";',
            'arch must be one of Go\'s words, not the string "aarch64"; write arch = "arm64"',
        ),
        ('arch = "arm/v7";', 'not the string "arm/v7"; write arch = "arm"'),
        (
            'os = "Linux";',
            'os must be one of Go\'s words, such as "linux", '
            'not the string "Linux"; write os = "linux"',
        ),
        ('os = "linux/amd64";', 'write os = "linux"'),
        ('os = "gnu";', 'os must be one of Go\'s words, such as "linux", not the string "gnu"'),
        ("os = null;", 'os must be a string such as "linux", not null'),
    ],
)
def test_pull_image_takes_words_of_go(arguments, expected):
    assert failure(pull(arguments)).endswith(expected)


ON_ARM = f"""
  let
    onArm = version: import {REPOSITORY} {{
      pkgs = pkgs // {{
        go.GOARCH = "arm";
        stdenvNoCC = pkgs.stdenvNoCC // {{
          hostPlatform = pkgs.stdenvNoCC.hostPlatform // {{ parsed.cpu = version; }};
        }};
      }};
    }};
  in
"""


def on_arm(version, arguments=""):
    """An image of a package set for arm, as an expression."""
    return f'{ON_ARM} (onArm {version}).streamLayeredImage {{ name = "app"; {arguments} }}'


def test_on_arm_the_variant_is_that_of_the_package_set():
    config = stream(on_arm('{ version = "7"; }')).config
    assert (config["architecture"], config["variant"]) == ("arm", "v7")


@pytest.mark.parametrize(
    ("version", "arguments", "expected"),
    [
        ('{ version = "6"; }', "", "v6"),
        ('{ version = "5"; }', 'architecture = "arm";', "v5"),
        ('{ version = "7"; }', 'variant = "v6";', "v6"),
        # It is a word for the package set, and not for another architecture.
        ('{ version = "7"; }', 'architecture = "arm64";', None),
        ('{ version = "M"; }', "", None),
        ("{ }", "", None),
    ],
)
def test_a_variant_is_known_where_the_package_set_says_so(version, arguments, expected):
    found = evaluate(f"({on_arm(version, arguments)}).conf.drvAttrs.arguments.variant")
    assert found == expected


def test_other_package_sets_say_no_variant():
    given = evaluate(f"({image('')}).conf.drvAttrs.arguments")
    assert given["architecture"] in ("amd64", "arm64")
    assert given["variant"] is None
