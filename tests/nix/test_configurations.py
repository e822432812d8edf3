"""The configuration of images: what becomes of `config`, and what is warned of."""

import json

import pytest

from tests.nix.images import archive, build, build_log, evaluation_warnings, failure, stream
from tests.unit.archives import dump, layer, plain_members, tar


def a_base(tmp_path, members):
    path = tmp_path / "base.tar"
    path.write_bytes(tar(members))
    return f'(builtins.path {{ path = {path}; name = "base.tar"; }})'


@pytest.mark.parametrize("config", ["", "config = null;", "config = { };"])
def test_a_layered_image_without_configuration_has_an_empty_object(config):
    image = stream(f'streamLayeredImage {{ name = "app"; {config} }}')
    assert image.config["config"] == {}


@pytest.mark.parametrize("config", ["", "config = null;"])
def test_a_built_image_without_configuration_has_an_empty_environment(config):
    assert archive(f'buildImage {{ name = "app"; {config} }}').config["config"] == {"Env": []}


def test_an_image_without_configuration_over_a_base_has_an_object(tmp_path):
    base = a_base(tmp_path, plain_members([layer("a")], config=None))
    top = f'{{ name = "top"; fromImage = {base}; config = null; }}'
    assert archive(f"buildImage {top}").config["config"] == {"Env": []}
    assert stream(f"streamLayeredImage {top}").config["config"] == {}


def test_keys_in_any_case_are_spelled_as_the_specification_does():
    image = """streamLayeredImage {
      name = "app";
      config = {
        cmd = [ "x" ]; ENV = [ "A=1" ]; workingdir = "/"; labels.cmd = "kept";
        healthcheck = { test = [ "NONE" ]; startperiod = 5; };
      };
    }"""
    assert stream(image).config["config"] == {
        "Cmd": ["x"],
        "Env": ["A=1"],
        "WorkingDir": "/",
        "Labels": {"cmd": "kept"},
        "Healthcheck": {"Test": ["NONE"], "StartPeriod": 5},
    }
    assert "warning" not in evaluation_warnings(image)


@pytest.mark.parametrize("keys", ["", "config", "Env"])
def test_a_lower_case_env_is_merged_with_that_of_the_base(keys, tmp_path):
    members = plain_members([layer("a")], config={"Env": ["A=1", "B=1"]})
    ((name, _),) = [entry for entry in members if entry[0].endswith(".json")][:1]
    config = dict(members)[name].decode()
    for key in filter(None, [keys]):
        config = config.replace(f'"{key}"', f'"{key.lower() if key == "Env" else "Config"}"')
    base = a_base(tmp_path, renamed(members, name, config))
    top = f'{{ name = "top"; fromImage = {base}; config.env = [ "B=2" ]; }}'
    for image in (stream(f"streamLayeredImage {top}"), archive(f"buildImage {top}")):
        assert image.config["config"] == {"Env": ["A=1", "B=2"]}


def renamed(members, name, config):
    """The members of an archive with another configuration, under a name that claims no digest."""
    manifest = json.loads(dict(members)["manifest.json"])
    manifest[0]["Config"] = "config.json"
    changed = {name: config.encode(), "manifest.json": dump(manifest)}
    return [
        ("config.json" if key == name else key, changed.get(key, value)) for key, value in members
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            '{ Env = [ "A=1" ]; env = [ "A=1" ]; }',
            "in docker image app: config.Env and config.env are one key to engines; "
            "leave one of them out, best all but Env",
        ),
        ("{ CMD = [ ]; cmd = null; }", "best all but Cmd"),
        ("{ Healthcheck = { Test = [ ]; test = [ ]; }; }", "best all but Test"),
        ('{ cmd = "x"; }', "config.Cmd must be a list of strings"),
    ],
)
def test_two_spellings_of_a_key_are_refused(config, expected):
    for function in ("streamLayeredImage", "buildImage"):
        assert expected in failure(f'{function} {{ name = "app"; config = {config}; }}')


DISCARDED = '"${builtins.unsafeDiscardStringContext "${hello}"}/bin/hello"'


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
def test_a_store_path_of_the_configuration_that_is_not_in_the_image_is_warned_of(function):
    def log(attributes):
        return build_log(f'({function} {{ name = "app"; {attributes} }}).conf')

    given = log(f"config.Cmd = [ {DISCARDED} ];")
    assert "warning: in docker image app: config names /nix/store/" in given
    assert "which is not in the image; let config refer to the package itself" in given
    for fine in ('config.Cmd = [ "${hello}/bin/hello" ];', "config = { };"):
        assert "not in the image" not in log(fine)
    contents = {"streamLayeredImage": "contents", "buildImage": "copyToRoot"}[function]
    refers = f'{contents} = writeTextDir "refers" "${{hello}}";'
    assert "not in the image" not in log(f"config.Cmd = [ {DISCARDED} ]; {refers}")
    base = 'fromImage = buildLayeredImage { name = "base"; contents = hello; };'
    assert "not in the image" not in log(f"config.Cmd = [ {DISCARDED} ]; {base}")
    script = 'extraCommands = "mkdir -p nix/store; cp -r ${hello} nix/store";'
    assert "not in the image" not in log(f"config.Cmd = [ {DISCARDED} ]; {script}")


def test_an_image_without_a_store_is_not_warned_of():
    image = '{ name = "app"; includeStorePaths = false; config.Cmd = [ "${hello}/bin/hello" ]; }'
    assert "not in the image" not in build_log(f"(streamLayeredImage {image}).conf")


def test_the_outputs_of_a_shells_derivation_are_not_warned_of():
    assert "not in the image" not in build_log("(streamNixShellImage { drv = hello; }).conf")


def test_a_variant_is_in_the_configuration():
    for function in (stream, archive):
        name = "streamLayeredImage" if function is stream else "buildImage"
        image = f'{name} {{ name = "app"; architecture = "arm"; variant = "v7"; }}'
        assert function(image).config["variant"] == "v7"
    assert "variant" not in stream('streamLayeredImage { name = "app"; }').config


def layers_over(tmp_path, count):
    return a_base(tmp_path, plain_members([layer(f"file-{number}") for number in range(count)]))


def test_more_layers_than_docker_loads_are_warned_of(tmp_path):
    image = '({} {{ name = "app"; fromImage = {}; {} }}).conf'
    base = layers_over(tmp_path, 125)
    log = build_log(image.format("buildImage", base, ""))
    assert "warning: in docker image app: the image has 126 layers, 125 of them of the base" in log
    assert "load at most 125; use a base image of fewer layers" in log
    log = build_log(image.format("streamLayeredImage", base, "contents = hello; maxLayers = 200;"))
    assert (
        "layers, 125 of them of the base image, and Docker's graph drivers load at most 125" in log
    )
    assert "maxLayers to" not in log
    error = failure(image.format("streamLayeredImage", base, "contents = hello;"))
    assert "use a base image of fewer layers: Docker loads at most 125" in error
    assert "set maxLayers" not in error


def test_as_many_layers_as_docker_loads_are_fine(tmp_path):
    base = layers_over(tmp_path, 124)
    log = build_log(f'(buildImage {{ name = "app"; fromImage = {base}; }}).conf')
    assert "warning" not in log
    assert build(f'buildImage {{ name = "app"; fromImage = {base}; }}')
