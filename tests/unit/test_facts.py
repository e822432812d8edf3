"""Facts that Nix needs at evaluation and Python in a build are the same on both sides."""

import re
from datetime import UTC, datetime

import pytest

from builders.compression.compress import COMPRESSOR_LEVELS, DEFAULT_LEVELS
from builders.compression.streams import GZIP, NONE, ZSTD
from builders.derivations import merge_images
from builders.formats.container_config import INHERITABLE
from builders.image import names, platform
from builders.image.layering import CO_CHANGE, LAYERINGS
from builders.layers.tree import MTIME
from builders.programs.nix_prefetch_docker import archive_name, read_request
from tests.unit.support import BUILDERS

NIX = BUILDERS.parent / "nix"


def in_nix(path, pattern):
    """What the one place in a Nix file has for the group in `pattern`."""
    (found,) = re.findall(pattern, (NIX / path).read_text(), re.MULTILINE)
    return found


def grammar_in_nix():
    text = (NIX / "checks/names.nix").read_text()
    (component,) = re.findall(r'component = "(.*)";', text)
    (host,) = re.findall(r'host = "(.*)";', text)
    name, tag, digest = re.findall(r'builtins\.match "(.*)" value != null', text)
    name = name.replace("${component}", component).replace("${host}", host)
    return {"name": name, "tag": tag, "digest": digest}


def in_extended_syntax(pattern):
    """The regular expression of Python in the syntax that Nix has: POSIX, without escapes."""
    for python, posix in (("(?:", "("), (r"\.", "[.]"), (r"\[", "[[]"), (r"\]", "[]]")):
        pattern = pattern.replace(python, posix)
    assert "\\" not in pattern
    assert "(?" not in pattern
    return pattern


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("name", names._NAME), ("tag", names._TAG), ("digest", names._DIGEST)],
    ids=["name", "tag", "digest"],
)
def test_names_tags_and_digests_have_one_grammar(kind, pattern):
    assert in_extended_syntax(pattern.pattern) == grammar_in_nix()[kind]


def compressors_in_nix():
    """The extension and the levels of each compressor."""
    text = (NIX / "checks/compressors.nix").read_text()
    found = re.findall(
        r'^    (\w+) = \{\s+extension = "([^"]*)";\s+levels = ([^;{]+|\{[^}]*\});\s+\};',
        text,
        re.MULTILINE,
    )
    assert len(found) == text.count("extension = ")
    levels = {name: list(map(int, re.findall(r" = (\d+);", given))) for name, _, given in found}
    return {name: (extension, levels[name]) for name, extension, _ in found}


def test_compressors_and_their_levels_are_the_same():
    for name, (_, ends) in compressors_in_nix().items():
        levels = COMPRESSOR_LEVELS[name]
        assert ends == ([levels[0], levels[-1]] if levels else [])
    assert compressors_in_nix().keys() == COMPRESSOR_LEVELS.keys()


def test_every_compressor_with_levels_has_one_by_default():
    assert DEFAULT_LEVELS.keys() == {name for name, levels in COMPRESSOR_LEVELS.items() if levels}
    assert all(level in COMPRESSOR_LEVELS[name] for name, level in DEFAULT_LEVELS.items())


def test_what_is_merged_is_compressed_as_its_name_would_say():
    assert merge_images._COMPRESSORS.keys() == {NONE, GZIP, ZSTD}
    assert set(merge_images._COMPRESSORS.values()) == COMPRESSOR_LEVELS.keys()


def test_layerings_are_the_same_and_all_but_one_are_the_default_of_some_nixpkgs():
    listed = in_nix("checks/layering.nix", r"layerings = \[([^]]*)\];")
    assert tuple(re.findall(r'"([\w-]+)"', listed)) == LAYERINGS
    default = in_nix("checks/layering.nix", r"(?s)default =\n(.*?);")
    assert set(re.findall(r'"([\w-]+)"', default)) == set(LAYERINGS) - {CO_CHANGE}


@pytest.mark.parametrize(
    ("in_nix_called", "in_python"),
    [("architectures", platform.ARCHITECTURES), ("systems", platform.SYSTEMS)],
)
def test_words_of_go_are_the_same(in_nix_called, in_python):
    listed = in_nix("checks/platform.nix", rf"^  {in_nix_called} = \[([^]]*)\];")
    assert tuple(re.findall(r'"([^"]+)"', listed)) == in_python


@pytest.mark.parametrize(
    ("in_nix_called", "in_python", "go"),
    [
        ("architectureWords", platform.ARCHITECTURE_WORDS, platform.ARCHITECTURES),
        ("systemWords", platform.SYSTEM_WORDS, platform.SYSTEMS),
    ],
)
def test_words_of_others_mean_the_same(in_nix_called, in_python, go):
    listed = in_nix("checks/platform.nix", rf"^  {in_nix_called} = \{{([^}}]*)\}};")
    assert dict(re.findall(r'"([^"]+)" = "([^"]+)";', listed)) == in_python
    assert not in_python.keys() & set(go)
    assert {meant.partition("/")[0] for meant in in_python.values()} <= set(go)


def test_the_keys_that_images_inherit_are_the_same():
    listed = in_nix("checks/config.nix", r"inheritable = \[([^]]*)\];")
    assert tuple(re.findall(r'"(\w+)"', listed)) == INHERITABLE
    known = in_nix("checks/config.nix", r"(?s)keys = with kinds; \{(.*?)\};")
    assert set(INHERITABLE) < set(re.findall(r"(\w+) = ", known))


def test_an_archive_has_the_time_of_the_files_in_its_layer():
    date = in_nix("functions/build-image.nix", r'mtime = "([^"]*)";')
    assert datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() == MTIME


def name_in_nix(name, tag):
    """The name of pullImage's output, where it is given none."""
    replaced, by, template = in_nix(
        "functions/pull-image.nix",
        r'name \? lib\.replaceStrings \[ (.*) \] \[ (.*) \] "([^"]*)"',
    )
    text = template.replace("${finalImageName}", name).replace("${finalImageTag}", tag)
    for old, new in zip(replaced.split(), by.split(), strict=True):
        text = text.replace(old.strip('"'), new.strip('"'))
    return text


@pytest.mark.parametrize("name", ["app", "nixos/nix", "host:5000/group/app"])
def test_what_is_prefetched_has_the_name_of_what_is_pulled(name):
    assert archive_name(name, "v1.0") == name_in_nix(name, "v1.0")


def test_what_is_prefetched_and_pulled_has_the_same_defaults():
    request = read_request(["app"])
    os_name = in_nix("functions/pull-image.nix", r'^      os \? "(\w+)"')
    assert request.os == os_name
    tag = in_nix("functions/pull-image.nix", r'^      finalImageTag \? "(\w+)"')
    assert request.final_tag == tag
    assert in_nix("functions/pull-image.nix", r"^      finalImageName \? (\w+)") == "imageName"
    assert request.final_name == "app"


def test_the_flakes_and_the_stand_in_for_nixpkgs_serve_the_same_systems():
    """nix/debian has packages for each system that the flake offers, and for no other."""
    listed = r'"([a-z0-9_]+-linux)"'
    flake = set(re.findall(listed, (NIX.parent / "flake.nix").read_text()))
    assert flake == {"x86_64-linux", "aarch64-linux"}
    assert set(re.findall(listed, (NIX / "debian/flake.nix").read_text())) == flake
    units = (NIX / "debian/units.nix").read_text()
    assert set(re.findall(r"^    ([a-z0-9_]+-linux) = \{", units, re.MULTILINE)) == flake
