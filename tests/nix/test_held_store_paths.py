"""Images on base images that have some of their store paths: these are not added again."""

import json
import re
import sqlite3

import pytest

from tests.nix.images import archive, build, build_log, closure, failure, stream
from tests.nix.test_linked_base_images import base_image
from tests.unit.archives import directory, layer_of, member, symlink


def lower(more="", contents="bash", function="buildLayeredImage"):
    """A base image of store layers; Nix calls its layers by its own name."""
    return f'({function} {{ name = "lower"; contents = [ {contents} ]; {more} }})'


def upper(base, more="", contents="bash hello"):
    return (
        f'streamLayeredImage {{ name = "upper"; fromImage = {base}; '
        f"contents = [ {contents} ]; {more} }}"
    )


def built_on(base):
    """An image of buildImage; what it copies it has no other need of."""
    commands = '"${bash}/bin/bash" "${hello}/bin/hello"'
    return f'buildImage {{ name = "app"; fromImage = {base}; config.Cmd = [ {commands} ]; }}'


def own_paths(image, base):
    """The store paths of each layer that `image` has on top of `base`."""
    return [
        {f"/{name}" for name in image.layer(number) if re.fullmatch("nix/store/[^/]+", name)}
        for number in range(len(base.diff_ids), len(image.diff_ids))
    ]


def added(image, base):
    return set().union(*own_paths(image, base))


@pytest.mark.parametrize("compressor", ["none", "gz", "zstd"])
def test_store_paths_of_the_base_image_are_not_added_again(compressor):
    base = lower(f'compressor = "{compressor}";')
    below, image = archive(base), stream(upper(base))
    assert added(image, below) == closure(build("hello")) - closure(build("bash"))
    assert image.diff_ids[: len(below.diff_ids)] == below.diff_ids
    # A layer for each path, and that of the links.
    assert len(own_paths(image, below)) == len(added(image, below)) + 1


def test_max_layers_counts_what_is_added():
    base = lower()
    count = len(archive(base).diff_ids)
    new = closure(build("coreutils")) - closure(build("bash"))
    assert len(new) > 1
    contents = "bash coreutils"
    for layering in ("popularity", "popularity-pipeline"):
        more = f'maxLayers = {count + len(new) + 1}; layering = "{layering}";'
        image = stream(upper(base, more, contents))
        assert [len(paths) for paths in own_paths(image, archive(base))] == [*[1] * len(new), 0]
    for layering in ("popularity", "popularity-pipeline", "size"):
        more = f'maxLayers = {count + 2}; layering = "{layering}";'
        assert own_paths(stream(upper(base, more, contents)), archive(base)) == [new, set()]


def test_a_base_image_that_has_all_takes_one_layer_more():
    base = lower()
    count = len(archive(base).diff_ids)
    more = f'maxLayers = {count + 1}; config.Cmd = [ "${{bash}}/bin/bash" ];'
    image = stream(upper(base, more, "bash"))
    assert own_paths(image, archive(base)) == [set()]
    assert "bin/bash" in image.layer(-1)
    error = failure(upper(base, more, "bash hello"))
    assert f"maxLayers = {count + 1} leaves no layer for store paths" in error


def test_paths_of_several_images_below_are_not_added_again():
    middle = f"(buildLayeredImage {{ {upper(lower()).partition('{')[2].strip()[:-1]} }})"
    image = stream(upper(middle, contents="bash hello coreutils"))
    there = closure(build("bash")) | closure(build("hello"))
    assert added(image, archive(middle)) == closure(build("coreutils")) - there


def changed_by(script):
    """A base image whose topmost layer changes or removes what is called $hello."""
    name = '$(basename ${builtins.unsafeDiscardStringContext "${hello}"})'
    commands = f"cd nix/store; hello={name}; {script}"
    return lower(f"extraCommands = ''mkdir -p nix/store; {commands}'';", "bash hello")


@pytest.mark.parametrize(
    "script",
    [
        "touch .wh.$hello",
        "mkdir -p $hello/bin; echo other > $hello/bin/hello",
        # Of the same size.
        "mkdir -p $hello/bin; tr a-z A-Z < ${hello}/bin/hello > $hello/bin/hello; "
        "chmod 555 $hello/bin/hello",
        "mkdir -p $hello/bin; touch $hello/bin/.wh.hello",
        "mkdir -p $hello/more",
    ],
    ids=["removed", "changed", "changed to the same size", "removed in part", "added to"],
)
def test_a_path_that_a_later_layer_of_the_base_image_changes_is_added_again(script):
    base = changed_by(script)
    hello = str(build("hello"))
    assert added(stream(upper(base)), archive(base)) == {hello}
    assert added(archive(built_on(base)), archive(base)) == {hello}


def test_another_owner_of_the_base_image_stays():
    base = lower("uid = 1000; gid = 100;")
    image = stream(upper(base, "uid = 7;"))
    assert added(image, archive(base)) == closure(build("hello")) - closure(build("bash"))
    found = {
        entry.uid
        for number in range(len(image.diff_ids) - 1)
        for name, entry in image.layer(number).items()
        if name.startswith("nix/store/")
    }
    assert found == {7, 1000}


@pytest.mark.parametrize("on", [upper, built_on], ids=["layered", "one layer"])
def test_the_graph_names_the_layer_of_the_base_image(on):
    base = lower()
    image = on(base)
    below = json.loads(build(f"({base}).graph").read_text())["paths"]
    graph = json.loads(build(f"({image}).graph").read_text())["paths"]
    layers = {node["path"]: node["layer"] for node in graph}
    assert set(layers) == closure(build("bash")) | closure(build("hello"))
    assert layers | {node["path"]: node["layer"] for node in below} == layers
    assert layers[str(build("hello"))] >= len(archive(base).diff_ids)


def test_images_of_one_kind_are_base_images_of_the_other():
    one = '(buildImage { name = "one"; config.Cmd = [ "${bash}/bin/bash" ]; })'
    new = closure(build("hello")) - closure(build("bash"))
    assert added(stream(upper(one)), archive(one)) == new
    assert added(archive(built_on(lower())), archive(lower())) == new


def test_the_nix_database_knows_what_the_base_image_has(tmp_path):
    image = stream(upper(lower(), "includeNixDB = true;"))
    path = tmp_path / "db.sqlite"
    path.write_bytes(image.file(-1, "nix/var/nix/db/db.sqlite"))
    registered = {row[0] for row in sqlite3.connect(path).execute("select path from ValidPaths")}
    assert registered >= closure(build("bash")) | closure(build("hello"))


def test_the_log_tells_what_the_base_image_has():
    log = build_log(f"({upper(lower(), 'debug = true;')}).layers")
    count = len(closure(build("bash")))
    assert re.search(rf"^in the base image: {count} paths, [\d,]+ bytes$", log, re.MULTILINE)


@pytest.mark.parametrize("link", [symlink("nix", "gone"), symlink("nix/store", "gone")])
@pytest.mark.parametrize(
    "image",
    [
        'buildImage { config.Cmd = [ "${hello}/bin/hello" ];',
        "streamLayeredImage { contents = hello;",
    ],
    ids=["one layer", "layered"],
)
def test_a_store_that_is_a_link_to_nowhere_is_replaced(tmp_path, link, image):
    members = [directory("nix"), link] if "/" in link[0].name else [link]
    base = base_image(tmp_path, layer_of(member("file"), *members))
    image = f'{image} name = "app"; fromImage = {base}; }}'
    made = archive(image) if image.startswith("build") else stream(image)
    assert made.layer(1)["nix/store"].isdir()
