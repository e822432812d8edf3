"""Loading an image, into a Docker that a program plays."""

import json
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from builders.blobs.compressed_layers import compress_layers
from builders.blobs.layer_compression import LayerCompression
from builders.blobs.source import image_blobs
from builders.console.errors import UserError
from builders.engines import loading
from builders.engines.client import EngineClient
from builders.engines.docker import Docker
from builders.engines.loading import load_image
from builders.registry.loopback import LoopbackRegistry
from builders.registry.loopback_names import ADDRESS, new_repository
from tests.unit.plans import make_plan
from tests.unit.support import BUILDERS, deadline

GRAPH_DRIVER = "null"
CONTAINERD = '[["driver-type","io.containerd.snapshotter.v1"]]'


class Fake:
    """A Docker without images."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        (directory / "images").write_text("{}")
        (directory / "driver").write_text(CONTAINERD)
        program = pathlib.Path(__file__).parent / "fake_docker.py"
        words = (sys.executable, str(program), str(directory))
        self.engine = Docker(EngineClient("Docker", words, start="start it", permission="use sudo"))

    def load(self, image, *names, strategy="auto"):
        return load_image(self.engine, image, names or ["app:1"], strategy=strategy, jobs=1)

    @property
    def images(self):
        return json.loads((self.directory / "images").read_text())

    @property
    def names(self):
        return sorted(self.images)

    @property
    def calls(self):
        """What it was called with, but for what goes on beside it."""
        lines = (self.directory / "calls").read_text().splitlines()
        calls = map(json.loads, lines)
        return [words[0] for words in calls if "--digests" not in words]

    def leave(self, name, image):
        """Have `image` under a name, too."""
        config = json.loads(image.config.content.data)
        found = {"Id": config_of(image), "RootFS": {"Layers": config["rootfs"]["diff_ids"]}}
        (self.directory / "images").write_text(json.dumps({**self.images, name: found}))

    def fail(self, command, said):
        (self.directory / f"fail-{command}").write_text(said)


@pytest.fixture
def docker(tmp_path):
    return Fake(tmp_path / "docker")


def make(directory, **contents):
    directory.mkdir()
    plan = make_plan(directory, {name: text.encode() for name, text in contents.items()})
    layers = compress_layers(plan, LayerCompression("none"), jobs=1)
    return image_blobs(plan, layers, annotations={})


@pytest.fixture
def image(tmp_path):
    return make(tmp_path / "first", aaa="1", bbb="2", ccc="3")


def changed(tmp_path):
    """The image with another file in its second layer."""
    # Names of store paths are in the layers: the store has to have the same place.
    (tmp_path / "first/store").rename(tmp_path / "old")
    directory = tmp_path / "first"
    plan = make_plan(directory, {"aaa": b"1", "bbb": b"other", "ccc": b"3"})
    layers = compress_layers(plan, LayerCompression("none"), jobs=1)
    return image_blobs(plan, layers, annotations={})


def config_of(image):
    return image.config.descriptor.digest


@pytest.mark.parametrize("driver", [GRAPH_DRIVER, CONTAINERD])
@pytest.mark.parametrize(
    ("strategy", "way"), [("auto", "pull"), ("pull", "pull"), ("load", "full"), ("full", "full")]
)
def test_an_image_is_there_under_its_names_and_no_other(docker, image, driver, strategy, way):
    (docker.directory / "driver").write_text(driver)
    loaded = docker.load(image, "app:1", "registry.example/app:2", strategy=strategy)
    assert (loaded.way, loaded.layers) == (way, 4)
    assert loaded.names == ("app:1", "registry.example/app:2")
    assert docker.names == ["app:1", "registry.example/app:2"]
    assert {it["Id"] for it in docker.images.values()} == {config_of(image)}


def test_an_image_that_is_there_is_asked_for_once(docker, image):
    docker.load(image)
    (docker.directory / "calls").unlink()
    loaded = docker.load(image)
    assert (loaded.way, loaded.layers, loaded.requests) == ("there", 0, 0)
    assert docker.calls == ["image"]


def test_an_image_that_is_there_gets_its_other_name(docker, image):
    docker.load(image)
    assert docker.load(image, "app:1", "app:2").way == "there"
    assert docker.names == ["app:1", "app:2"]


def test_an_engine_pulls_what_it_lacks(docker, image, tmp_path):
    docker.load(image)
    other = changed(tmp_path)
    loaded = docker.load(other)
    assert (loaded.way, loaded.layers) == ("pull", 1)
    assert loaded.size == other.layers[1].descriptor.size
    # The manifest, the layer and the configuration.
    assert loaded.requests == 3
    assert docker.images["app:1"]["Id"] == config_of(other)


def test_a_graph_driver_gets_an_archive_from_the_first_layer_on_that_it_lacks(
    docker, image, tmp_path
):
    (docker.directory / "driver").write_text(GRAPH_DRIVER)
    docker.load(image, "another:name")
    other = changed(tmp_path)
    loaded = docker.load(other)
    assert (loaded.way, loaded.layers, loaded.requests) == ("load", 3, 0)
    assert docker.names == ["another:name", "app:1"]


def test_without_loopback_an_archive_is_sent(docker, image, capsys):
    docker.fail("pull", "dial tcp 127.0.0.1:4: connect: connection refused")
    assert docker.load(image).way == "full"
    assert docker.names == ["app:1"]
    said = capsys.readouterr().err
    assert "Docker can't pull from 127.0.0.1: dial tcp" in said


def test_an_engine_that_does_not_ask_gets_an_archive_after_a_while(
    docker, image, monkeypatch, capsys
):
    monkeypatch.setattr(loading, "_PATIENCE", 0.2)
    (docker.directory / "hang-pull").touch()
    assert docker.load(image).way == "full"
    assert docker.names == ["app:1"]
    assert "Docker does not reach 127.0.0.1 of this machine." in capsys.readouterr().err


def test_where_an_archive_without_known_layers_fails_the_next_way_is_gone(
    docker, image, tmp_path, capsys
):
    (docker.directory / "driver").write_text(GRAPH_DRIVER)
    docker.load(image)
    other = changed(tmp_path)
    docker.fail("load", "open blobs/sha256/12: no such file or directory")
    assert docker.load(other).way == "pull"
    assert docker.names == ["app:1"]
    assert "Docker refuses the archive: open blobs/sha256/12: no such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "commands"), [("pull", ["pull"]), ("load", ["load"]), ("full", ["load"])]
)
def test_where_no_way_works_that_is_one_line_and_nothing_is_there(
    docker, image, strategy, commands
):
    for command in ("pull", "load"):
        docker.fail(command, f"time=x level=warning msg=y\nError: no space for {command}.\n")
    with pytest.raises(UserError) as raised:
        docker.load(image, strategy=strategy)
    assert str(raised.value).startswith("Docker takes the image in no way: ")
    assert f"no space for {commands[0]}; see what" in str(raised.value)
    assert docker.names == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            "Docker can't be reached: Cannot connect to the Docker daemon at unix:///x. Is the "
            "docker daemon running?; start it",
        ),
        (
            "Got permission denied while trying to connect to the Docker daemon socket at unix://",
            "Docker can't be used: Got permission denied while trying to connect to the Docker "
            "daemon socket at unix://; use sudo",
        ),
        ("Error: broken", "Docker refuses: broken; see whether "),
        ("", "Docker refuses: "),
    ],
)
def test_an_engine_that_can_not_be_asked_is_one_line(docker, image, said, expected):
    docker.fail("image-inspect", said)
    with pytest.raises(UserError) as raised:
        docker.load(image)
    assert str(raised.value).startswith(expected)


def test_a_missing_client_is_one_line(image):
    client = EngineClient("Docker", ("/nowhere/docker",), start="", permission="")
    with pytest.raises(UserError) as raised:
        load_image(Docker(client), image, ["a:1"], strategy="auto", jobs=1)
    assert str(raised.value) == (
        "can't run /nowhere/docker: No such file or directory; install it, or put the client of "
        "Docker into PATH"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_load_leaves_no_name_behind(docker, tmp_path, number):
    (tmp_path / "first").mkdir()
    plan = tmp_path / "plan.json"
    plan.write_text(make_plan(tmp_path / "first", {"aaa": b"1"}).to_json())
    hanging = docker.directory / "hang-after-pull"
    hanging.touch()
    client = shlex.join(docker.engine.client.words)
    process = subprocess.Popen(
        [sys.executable, BUILDERS, "longshore", "load", plan, "--client", client],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with deadline(60):
        while not docker.names:
            time.sleep(0.01)
        process.send_signal(number)
        out, _ = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert docker.names == []
    # The client has been ended, too.
    hanging.unlink()
    assert docker.calls == ["image", "info", "pull", "image"]


def test_a_load_without_a_terminal_to_lose_goes_on(docker, tmp_path):
    (tmp_path / "first").mkdir()
    plan = tmp_path / "plan.json"
    plan.write_text(make_plan(tmp_path / "first", {"aaa": b"1"}).to_json())
    hanging = docker.directory / "hang-after-pull"
    hanging.touch()
    client = shlex.join(docker.engine.client.words)
    process = subprocess.Popen(
        [sys.executable, BUILDERS, "longshore", "load", plan, "--client", client],
        # As nohup does.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    with deadline(60):
        while not docker.names:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        hanging.unlink()
        assert process.wait() == 0
    assert docker.names == ["test:tag"]


# What loads left behind that were killed.


def dead(tag):
    """A name whose registry is no more."""
    with socket.socket() as found:
        found.bind((ADDRESS, 0))
        port = found.getsockname()[1]
    return f"{ADDRESS}:{port}/{new_repository()}{tag}"


@pytest.mark.parametrize("tag", [":load", f"@sha256:{'1' * 64}"])
@pytest.mark.parametrize("strategy", ["pull", "full"])
def test_a_name_that_was_left_behind_is_removed_by_any_load(docker, image, tag, strategy):
    docker.leave(dead(tag), image)
    docker.load(image, strategy=strategy)
    assert docker.names == ["app:1"]
    docker.leave(dead(tag), image)
    assert docker.load(image, strategy=strategy).way == "there"
    assert docker.names == ["app:1"]


def test_names_of_loads_that_go_on_and_of_others_stay(docker, image):
    of_others = [
        "127.0.0.1:1/app:1",
        f"127.0.0.1:1/longshore-{'0' * 8}-{'0' * 32}:load",
        f"127.0.0.1:1/{new_repository()[:-1]}:load",
        f"127.0.0.2:1/{new_repository()}:load",
        f"registry.example/{new_repository()}:load",
    ]
    with LoopbackRegistry(image) as registry, socket.create_server((ADDRESS, 0)) as silent:
        kept = [
            *of_others,
            f"{registry.name}:load",
            registry.reference,
            # It takes connections and says nothing.
            f"{ADDRESS}:{silent.getsockname()[1]}/{new_repository()}:load",
        ]
        for name in kept:
            docker.leave(name, image)
        another = f"{registry.name.partition('/')[0]}/{new_repository()}:load"
        docker.leave(another, image)
        docker.load(image)
        assert docker.names == sorted(["app:1", *kept])


def test_what_is_left_behind_stays_while_its_layers_may_be_of_use(docker, image, tmp_path):
    docker.leave(dead(":load"), image)
    other = changed(tmp_path)
    assert docker.load(other).layers == 1
    assert docker.names == ["app:1"]


@pytest.mark.parametrize("command", ["image-ls", "image-rm"])
def test_an_engine_that_does_not_tell_or_remove_is_no_failure(docker, image, command):
    docker.fail(command, "Error: no")
    docker.leave(dead(":load"), image)
    assert docker.load(image, strategy="full").way == "full"


@pytest.mark.parametrize("strategy", ["pull", "full"])
def test_a_load_that_was_killed_is_cleaned_up_after(docker, tmp_path, strategy):
    (tmp_path / "first").mkdir()
    plan = make_plan(tmp_path / "first", {"aaa": b"1"})
    (tmp_path / "plan.json").write_text(plan.to_json())
    after = {"pull": "pull", "full": "load"}[strategy]
    hanging = docker.directory / f"hang-after-{after}"
    hanging.touch()
    client = shlex.join(docker.engine.client.words)
    words = [sys.executable, BUILDERS, "longshore", "load", tmp_path / "plan.json"]
    process = subprocess.Popen([*words, "--client", client, "--strategy", strategy])
    with deadline(60):
        while not docker.names:
            time.sleep(0.01)
        process.kill()
        process.wait()
    hanging.unlink()
    (name,) = docker.names
    assert name.startswith("127.0.0.1:")
    subprocess.run([*words, "--client", client], check=True, timeout=60)
    assert docker.names == ["test:tag"]


@pytest.mark.parametrize("strategy", ["pull", "full"])
def test_a_path_that_is_gone_ends_the_load_and_is_named(docker, image, tmp_path, strategy):
    shutil.rmtree(tmp_path / "first/store/bbb")
    with pytest.raises(UserError) as raised:
        docker.load(image, strategy=strategy)
    assert f"{tmp_path}/first/store/bbb" in str(raised.value)
    assert docker.names == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("pull", "filesystem layer verification failed for digest sha256:12"),
        ("load", "invalid diffID for layer 2: expected x, got y"),
    ],
)
def test_a_path_that_has_other_content_is_named_where_an_engine_notices(
    docker, image, tmp_path, command, said
):
    strategy = {"pull": "pull", "load": "full"}[command]
    (tmp_path / "first/store/bbb/file").write_bytes(b"x")
    # It has the size that it had, so that only who hashes can notice.
    docker.fail(command, said)
    if command == "pull":
        (docker.directory / "fail-pull").unlink()
        docker.fail("after-pull", said)
    with pytest.raises(UserError) as raised:
        docker.load(image, strategy=strategy)
    assert f"{tmp_path}/first/store/bbb" in str(raised.value)
    assert docker.names == []


def test_where_an_engine_does_not_notice_other_content_the_load_does(docker, image, tmp_path):
    (tmp_path / "first/store/bbb/file").write_bytes(b"x")
    with pytest.raises(
        UserError, match=r"layer 2 has another digest .*/first/store/bbb has changed since"
    ):
        docker.load(image, strategy="full")
    assert docker.names == []
