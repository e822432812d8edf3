"""What every image has beside itself: its plan, and the graph of its closure."""

import json

import pytest

from tests.nix.images import archive, build, closure, evaluate, nix, stream

CONFIG = 'config.Cmd = [ "${hello}/bin/hello" ];'
LAYERED = f'streamLayeredImage {{ name = "app"; contents = [ bash ]; {CONFIG} }}'
BUILT = f'buildImage {{ name = "app"; copyToRoot = bash; {CONFIG} }}'


def plan_and_graph(image):
    """Read the outputs `conf` and `graph` of an image."""
    return [json.loads(build(f"({image}).{output}").read_text()) for output in ("conf", "graph")]


@pytest.mark.parametrize(
    "image",
    [BUILT, LAYERED, LAYERED.replace("streamLayeredImage", "buildLayeredImage")],
    ids=["buildImage", "streamLayeredImage", "buildLayeredImage"],
)
def test_the_plan_of_an_image_has_its_layers_and_its_configuration(image):
    plan, _ = plan_and_graph(image)
    made = stream(image) if image.startswith("stream") else archive(image)
    assert [layer["diff_id"].removeprefix("sha256:") for layer in plan["layers"]] == made.diff_ids
    sizes = [len(made.members[name]) for name in made.manifest["Layers"]]
    assert [layer["size"] for layer in plan["layers"]] == sizes
    assert plan["config"] == made.config["config"]
    assert plan["name"] == "app"
    assert plan["platform"]["architecture"] == made.config["architecture"]
    assert plan["graph"] == str(build(f"({image}).graph"))


@pytest.mark.parametrize("image", [BUILT, LAYERED], ids=["buildImage", "streamLayeredImage"])
def test_the_graph_is_what_nix_knows_of_the_closure(image):
    plan, graph = plan_and_graph(image)
    paths = {node["path"]: node for node in graph["paths"]}
    assert set(paths) == closure(build("bash")) | closure(build("hello"))
    assert set(graph["roots"]) >= {str(build("bash")), str(build("hello"))}
    for path, node in paths.items():
        said = nix("nix-store", "-q", "--size", path).stdout.strip()
        assert node["narSize"] == int(said)
        assert node["narHash"] == nix("nix-store", "-q", "--hash", path).stdout.strip()
        references = nix("nix-store", "-q", "--references", path).stdout.split()
        assert node["references"] == sorted(references)
        layer = plan["layers"][node["layer"]]
        assert path in layer.get("closure", layer)["paths"]


CHANGES = [
    'config = { Cmd = [ "${hello}/bin/hello" "--traditional" ]; Env = [ "A=b" ]; };',
    'config.Entrypoint = [ "${hello}/bin/hello" ];',
    'config.Cmd = [ "${hello}/bin/hello" ]; tag = "2"; created = "2024-01-01T00:00:00Z";',
]


@pytest.mark.parametrize("image", [BUILT, LAYERED], ids=["buildImage", "streamLayeredImage"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_config_that_names_the_same_paths_hashes_nothing_again(image, change):
    changed = image.replace(CONFIG, change)
    assert evaluate(f"({image}).layers.drvPath") == evaluate(f"({changed}).layers.drvPath")
    assert evaluate(f"({image}).conf.drvPath") != evaluate(f"({changed}).conf.drvPath")


@pytest.mark.parametrize("image", [BUILT, LAYERED], ids=["buildImage", "streamLayeredImage"])
def test_a_change_of_config_that_names_another_path_plans_the_layers_again(image):
    changed = image.replace(CONFIG, 'config.Cmd = [ "${coreutils}/bin/true" ];')
    assert evaluate(f"({image}).layers.drvPath") != evaluate(f"({changed}).layers.drvPath")
    _, graph = plan_and_graph(changed)
    assert str(build("coreutils")) in {node["path"] for node in graph["paths"]}


def test_a_merge_of_images_has_no_plan():
    merged = evaluate(f"(dockerTools.mergeImages [ ({BUILT}) ]) ? conf")
    assert merged is False
