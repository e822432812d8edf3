"""overrideAttrs on results works, or fails with a reason."""

import pytest

from tests.nix.images import archive, evaluate, failure, stream

BASE = 'l = %s { name = "l"; extraCommands = "echo > file"; };'
IMAGES = {
    "buildImage": archive,
    "buildLayeredImage": archive,
    "streamLayeredImage": stream,
}


@pytest.mark.parametrize("function", IMAGES)
def test_a_base_image_can_be_given_that_way(function):
    base = f"let {BASE % function} in "
    top = "l.overrideAttrs (_: { fromImage = %s; })"
    fixed = top % ("l" if function != "streamLayeredImage" else '(buildImage { name = "b"; })')
    image = IMAGES[function](base + fixed)
    assert len(image.manifest["Layers"]) == 2


@pytest.mark.parametrize("function", IMAGES)
def test_what_a_function_takes_can_be_changed(function):
    image = f'({function} {{ name = "l"; config.Cmd = [ "a" ]; tag = "1"; }})'
    for change in (
        'old: { config = old.config // { User = "7"; }; }',
        'final: old: { config = old.config // { User = "7"; }; }',
        '{ config = { Cmd = [ "a" ]; User = "7"; }; }',
    ):
        made = IMAGES[function](f"{image}.overrideAttrs ({change})")
        assert made.config["config"] == {"Cmd": ["a"], "User": "7"}
    overridden = f'({image}.overrideAttrs (_: {{ created = "now"; }})).override {{ tag = "2"; }}'
    assert evaluate(f"({overridden}).imageTag") == "2"


RESULTS = {
    "buildImage": 'buildImage { name = "l"; tag = "1"; ',
    "buildImageWithNixDb": 'buildImageWithNixDb { name = "l"; tag = "1"; ',
    "buildLayeredImage": 'buildLayeredImage { name = "l"; tag = "1"; ',
    "buildLayeredImageWithNixDb": 'buildLayeredImageWithNixDb { name = "l"; tag = "1"; ',
    "buildNixShellImage": 'buildNixShellImage { drv = hello; tag = "1"; ',
    "buildImageIndex": """dockerTools.buildImageIndex {
      name = "l"; tag = "1"; images = [ (buildImage { name = "i"; }) ]; """,
}


@pytest.mark.parametrize("by", ["override", "overrideAttrs"])
@pytest.mark.parametrize("function", RESULTS)
def test_a_changed_attribute_is_as_if_it_had_been_given(function, by):
    image = RESULTS[function]
    more = "annotations.a" if function == "buildImageIndex" else "layerCompressor"
    for change in ('format = "oci-layout";', f'{more} = "zstd";'):
        paths = "(i: [ i.outPath i.ociArchive i.ociLayout i.digest i.imageTag ])"
        changed = evaluate(f"{paths} (({image} }}).{by} {{ {change} }})")
        assert changed == evaluate(f"{paths} ({image} {change} }})")
        assert changed != evaluate(f"{paths} ({image} }})")


@pytest.mark.parametrize("function", IMAGES)
def test_what_derivations_have_can_be_changed(function):
    image = f'({function} {{ name = "l"; }})'
    changed = (
        f'({image}.overrideAttrs (old: {{ name = "other"; meta.description = "d"; '
        "passthru = old.passthru or { } // { mine = 1; }; }))"
    )
    assert evaluate(f"[ {changed}.name {changed}.meta.description {changed}.mine ]") == [
        "other",
        "d",
        1,
    ]
    made = IMAGES[function](changed)
    assert made.manifest["RepoTags"] == [f"l:{evaluate(f'{changed}.imageTag')}"]
    assert evaluate(f"({image}.overrideAttrs (old: old)).drvPath") == evaluate(f"{image}.drvPath")


@pytest.mark.parametrize(
    ("result", "where"),
    [
        ('buildImage { name = "l"; }', "in docker image l: "),
        ('buildLayeredImage { name = "l"; }', "in docker image l: "),
        ('streamLayeredImage { name = "l"; }', "in docker image l: "),
        ("streamNixShellImage { drv = hello; }", "in docker image hello"),
        ('dockerTools.mkPureLayer { name = "l"; }', "in docker image l: "),
        ("buildNixShellImage { drv = hello; }", "in docker image hello"),
        ('dockerTools.exportImage { fromImage = buildImage { name = "l"; }; }', "exportImage: "),
        ('dockerTools.mergeImages [ (buildImage { name = "l"; }) ]', "mergeImages: "),
    ],
)
@pytest.mark.parametrize("change", ['buildCommand = "true";', "frobnicate = 1;"])
def test_what_would_be_lost_is_refused(result, where, change):
    error = failure(f"({result}).overrideAttrs (_: {{ {change} }})")
    assert where in error
    assert f"overrideAttrs can't change '{change.split()[0]}', which nothing reads" in error


def test_an_attribute_of_the_function_that_can_not_be_changed_is_refused():
    error = failure(
        'let b = buildImage { name = "l"; }; in '
        "(dockerTools.exportImage { fromImage = b; }).overrideAttrs (_: { fromImage = b; })"
    )
    assert "overrideAttrs can't change 'fromImage'" in error
    assert "call the function that made it with other attributes" in error
