"""Gates of images: what must not be built, and what can't run in an image."""

import json

import pytest

from tests.nix.images import build, build_log, closure, deriver, evaluate, failure, nix

IMAGE = 'name = "app"; contents = [ bash ]; config.Cmd = [ "${hello}/bin/hello" ];'
BUILT = 'name = "app"; copyToRoot = bash; config.Cmd = [ "${hello}/bin/hello" ];'
FUNCTIONS = [("streamLayeredImage", IMAGE), ("buildLayeredImage", IMAGE), ("buildImage", BUILT)]
IDS = [name for name, _ in FUNCTIONS]


@pytest.mark.parametrize(("function", "image"), FUNCTIONS, ids=IDS)
def test_what_is_forbidden_fails_the_build_with_its_chain(function, image):
    error = failure(f'{function} {{ {image} forbid = [ "glibc" ]; }}')
    assert "in docker image app: glibc" in error
    # What buildImage copies is no store path of the image any more.
    chain = "glibc" if function == "buildImage" else "bash"
    assert f"is forbidden, and in the image: {chain}" in error
    assert function == "buildImage" or " → glibc" in error


def test_what_is_copied_is_forbidden_as_well():
    copied = '(writeTextDir "secret" "x")'
    for forbidden in (copied, '"secret"'):
        image = f'buildImage {{ name = "app"; copyToRoot = {copied}; forbid = [ {forbidden} ]; }}'
        assert "secret is forbidden, and copied into the image: /nix/store/" in failure(image)


@pytest.mark.parametrize(("function", "image"), FUNCTIONS, ids=IDS)
def test_an_image_over_its_budget_fails_the_build(function, image):
    error = failure(f'{function} {{ {image} budget.size = "1M"; }}')
    assert "more than the 1.0 MB of its budget; most goes with glibc" in error


def test_an_image_of_too_many_layers_fails_the_build():
    error = failure(f"streamLayeredImage {{ {IMAGE} budget.layers = 2; }}")
    assert "layers, more than the 2 of its budget" in error


def test_a_package_is_forbidden_without_being_built():
    never = 'runCommand "never" { outputs = [ "out" "dev" ]; } "exit 1"'
    build(f"streamLayeredImage {{ {IMAGE} forbid = [ ({never}) ]; }}")
    error = failure(f"streamLayeredImage {{ {IMAGE} forbid = [ bash ]; }}")
    assert "bash" in error
    assert "is forbidden" in error


def test_gates_that_are_kept_make_the_same_image():
    kept = 'budget = { size = "1GiB"; layers = 100; }; forbid = [ "gcc" ]; lint = "error";'
    image = f'streamLayeredImage {{ {IMAGE} tag = "1"; %s }}'
    plans = [build(f"({image % gates}).conf").read_text() for gates in ("", kept)]
    graphs = [str(build(f"({image % gates}).graph")) for gates in ("", kept)]
    assert plans[0].replace(graphs[0], "") == plans[1].replace(graphs[1], "")


def test_the_plan_before_the_gates_is_there_for_who_wants_to_see_why():
    image = f'(streamLayeredImage {{ {IMAGE} forbid = [ "glibc" ]; }})'
    assert build(f"{image}.unchecked").read_text().startswith("{")
    assert b"<svg" in build(f"{image}.report").read_bytes()


def test_without_gates_nothing_waits():
    image = f"streamLayeredImage {{ {IMAGE} }}"
    same = f"streamLayeredImage {{ {IMAGE} budget = {{ }}; forbid = [ ]; lint = false; }}"
    assert evaluate(f"({image}).drvPath") == evaluate(f"({same}).drvPath")
    assert "gates" not in nix("nix-store", "-qR", evaluate(f"({image}).conf.drvPath")).stdout


BROKEN = """runCommand "broken" { } ''
  mkdir -p $out/bin
  printf '#!/usr/bin/env python3\\n' >$out/bin/snake
  cp ${hello}/bin/hello $out/bin/hello
  chmod +x $out/bin/*
''"""


@pytest.mark.parametrize("function", IDS)
def test_a_fault_is_warned_of_and_an_error_on_demand(function):
    contents = "copyToRoot" if function == "buildImage" else "contents"
    image = (
        f'{function} {{ name = "app"; {contents} = [ ({BROKEN}) ]; config.Cmd = [ "nope" ]; %s }}'
    )
    conf = build(f"({image % 'lint = true;'}).conf")
    references = nix("nix-store", "-qR", deriver(conf)).stdout.split()
    (gates,) = [path for path in references if path.endswith("-gates.drv")]
    log = nix("nix-store", "--read-log", gates).stdout
    assert "warning: in docker image app: config.Cmd names nope, which is in no directory" in log
    assert "snake" in log
    assert "/usr/bin/env is not in the image" in log
    assert "bin/hello" not in log
    error = failure(image % 'lint = "error";')
    assert "config.Cmd names nope" in error
    assert "(and 1 more, above)" in error


def test_an_image_whose_store_is_mounted_has_no_faults():
    build(f'streamLayeredImage {{ {IMAGE} includeStorePaths = false; lint = "error"; }}')


def test_the_examples_of_a_layered_image_have_no_faults():
    image = (
        'streamLayeredImage { name = "app"; lint = "error"; '
        "contents = [ bash coreutils hello dockerTools.fakeNss dockerTools.binSh ]; "
        'config = { Cmd = [ "sh" "-c" "hello" ]; User = "nobody"; WorkingDir = "/bin"; }; }'
    )
    build(image)


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("budget = 7;", "budget must be an attribute set of size and layers, not the number 7"),
        ("budget.sice = 7;", "budget has no 'sice'; did you mean 'size'?"),
        ('budget.size = "much";', 'budget.size must be a size such as "500M"'),
        ('budget.size = "500 m";', 'budget.size must be a size such as "500M"'),
        ("budget.size = 0;", "budget.size must be a size"),
        ('budget.layers = "7";', "budget.layers must be a number from 1 on"),
        ("budget.layers = 0;", "budget.layers must be a number from 1 on"),
        ('forbid = "perl";', "forbid must be a list of packages and names of packages"),
        ('forbid = [ "per l" ];', 'names of packages such as "perl", not the string "per l"'),
        ('forbid = [ "" ];', 'such as "perl", not the string ""'),
        ("forbid = [ 7 ];", 'such as "perl", not the number 7'),
        ("forbid = [ null ];", 'such as "perl", not null'),
        ("forbid = [ /nowhere/perl ];", "forbid has the path /nowhere/perl, which does not exist"),
        ('forbid = [ "/nix/store/perl" ];', "forbid has /nix/store/perl, which is no store path"),
        ('forbid = [ { outPath = "/x"; } ];', "forbid has /x, which is no store path"),
        ("forbid = [ bash.drvPath ];", ".drv, which is a derivation and not what it makes"),
        ('lint = "warn";', 'lint must be true, false or "error", not the string "warn"'),
        ("lint = null;", 'lint must be true, false or "error", not null'),
    ],
)
@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
def test_gates_of_the_wrong_kind_are_refused_at_evaluation(function, attribute, said):
    error = failure(f'{function} {{ name = "app"; {attribute} }}')
    assert error.startswith("error: in docker image app: ")
    assert said in error


def test_a_store_path_is_forbidden_as_a_string():
    path = build("bash")
    assert str(path) in closure(path)
    for forbidden in (f'"{path}"', path, f'"{path}/bin/bash"', "(bash + /bin/bash)"):
        error = failure(f"streamLayeredImage {{ {IMAGE} forbid = [ {forbidden} ]; }}")
        assert "is forbidden" in error, forbidden


def test_nix_shell_images_have_gates_and_layers_as_other_images():
    image = 'streamNixShellImage { drv = hello; tag = "1"; %s }'
    error = failure(image % 'forbid = [ "glibc" ];')
    assert "glibc" in error.partition("is forbidden, and in the image: ")[2]
    error = failure(f"build{(image % 'budget.layers = 2;').removeprefix('stream')}")
    assert "more than the 2 of its budget" in error
    assert "lint must be true" in failure(image % "lint = 7;")
    plans = [build(f"({image % more}).conf").read_text() for more in ("", "maxLayers = 5;")]
    assert [len(json.loads(plan)["layers"]) for plan in plans][1] == 5
    co_change = 'layering = "co-change";'
    layered = build(f"({image % co_change}).conf")
    assert layered.read_text() != plans[0]


def test_a_report_has_nothing_but_itself():
    page = build(f"(buildLayeredImage {{ {IMAGE} }}).report")
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "glibc" in text
    assert nix("nix-store", "-q", "--references", str(page)).stdout == ""
    assert "warning" not in build_log(f"(buildLayeredImage {{ {IMAGE} }}).report")
