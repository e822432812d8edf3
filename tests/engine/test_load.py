"""Loading images into engines, which pull what they lack, or get archives."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import closed, open_planned
from builders.blobs.source import Image
from builders.console.errors import UserError
from builders.engines.client import EngineClient
from builders.engines.containerd import Containerd as ContainerdLoader
from builders.engines.docker import Docker as DockerLoader
from builders.engines.docker import Podman as PodmanLoader
from builders.engines.engine import Engine as Loader
from builders.engines.loading import Loaded, load_image
from builders.image.plan import Plan
from builders.image.platform import Platform
from tests.conftest import REPOSITORY
from tests.engine.engines import Docker, EngineError, Podman, docker_daemon, execute
from tests.engine.machine import Machine
from tests.engine.others import CONTAINERS, Containerd, started
from tests.nix.images import build
from tests.unit.plans import make_plan
from tests.unit.support import deadline

HERE = ["docker here", "podman here"]
"""Those of this machine."""
GRAPH_DRIVERS = ("docker here", "docker-overlay2", "newest docker-overlay2")

MANIFESTS = ("docker-containerd", "newest docker-containerd", "containerd")
"""Engines that know an image by its manifest, which they make up themselves of an archive of
Docker's. The others know it by its configuration."""


@dataclass(frozen=True)
class Running:
    """An engine, its name in `HERE` or `CONTAINERS`, and the words of its client."""

    name: str
    engine: Any
    words: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What `load --into` calls it."""
        kinds = {Docker: "docker", Podman: "podman", Containerd: "containerd"}
        return kinds[type(self.engine)]

    @property
    def loader(self) -> Loader:
        """The engine as the library speaks to it."""
        loaders: dict[str, Callable[[EngineClient], Loader]] = {
            "docker": DockerLoader,
            "podman": PodmanLoader,
            "containerd": ContainerdLoader,
        }
        client = EngineClient(self.name, self.words, start="start it", permission="use sudo")
        return loaders[self.kind](client)

    def load(self, image: Image, *names: str, strategy: str = "auto") -> Loaded:
        """Load an image of `make`."""
        return load_image(self.loader, image, names or ["test:tag"], strategy=strategy, jobs=2)

    def names(self) -> set[str]:
        """All names of images, as the engine spells them, whatever they lead to."""
        if self.kind == "containerd":
            return set(execute([*self.words, "images", "list", "--quiet"]).split())
        form = "{{.Repository}}:{{.Tag}} {{.Digest}}"
        listed = execute([*self.words, "images", "--all", "--format", form]).splitlines()
        return {
            line.split()[0] for line in listed if not line.startswith("<none>")
        } | self._digests()

    def _digests(self) -> set[str]:
        """Names with digests that are not also those of tags."""
        ids = execute([*self.words, "images", "--all", "--quiet"]).split()
        if not ids:
            return set()
        found = json.loads(execute([*self.words, "image", "inspect", *set(ids)]))
        return {
            name
            for it in found
            for name in it.get("RepoDigests") or []
            if name.partition("@")[0] not in {tag.rpartition(":")[0] for tag in it["RepoTags"]}
            and not name.startswith("<none>")
        }

    def identity(self, name: str) -> str:
        """The ID of the image, or of containerd's the digest of the manifest."""
        if self.kind == "containerd":
            return execute([*self.words, "images", "list", f"name=={name}"]).split("sha256:")[1][
                :64
            ]
        return str(self.engine.inspect(name)["Id"]).removeprefix("sha256:")

    def is_whole(self, name: str, image: Image, directory: pathlib.Path) -> bool:
        """Whether the image can be had back from the engine with all its layers."""
        archive = directory / "saved.tar"
        saved = directory / "saved"
        archive.unlink(missing_ok=True)
        shutil.rmtree(saved, ignore_errors=True)
        command, transport = ["image", "save", name], "docker-archive"
        if self.kind == "containerd":
            command, transport = ["images", "export", "-", name], "oci-archive"
        with archive.open("wb") as file:
            subprocess.run([*self.words, *command], stdout=file, check=True)
        source = f"{transport}:{archive}"
        execute(["skopeo", "--insecure-policy", "copy", "--quiet", source, f"dir:{saved}"])
        manifest = json.loads((saved / "manifest.json").read_text())
        layers = {layer["digest"] for layer in manifest["layers"]}
        config = json.loads((saved / manifest["config"]["digest"].split(":")[1]).read_text())
        diff_ids = [blob.descriptor.digest for blob in image.layers]
        return config["rootfs"]["diff_ids"] == diff_ids and layers == set(diff_ids)


def machine_of(name: str, request: pytest.FixtureRequest) -> Machine:
    """The machine of an engine that is not here."""
    kind = "newest_machine" if name.startswith("newest ") else "other_machine"
    machine: Machine = request.getfixturevalue(kind)
    return machine


@pytest.fixture(scope="module", params=[*HERE, *CONTAINERS])
def module_engine(
    request: pytest.FixtureRequest, engine_directory: pathlib.Path
) -> Iterator[Running]:
    """Each of the engines in turn."""
    name: str = request.param
    with ExitStack() as stack:
        engine: Any
        if name == "docker here":
            engine = request.getfixturevalue("docker_engine")
        elif name == "podman here":
            engine = Podman(engine_directory / "podman")
        else:
            machine = machine_of(name, request)
            directory = pathlib.Path(tempfile.mkdtemp(dir=machine.directory))
            engine = stack.enter_context(started(name, machine, directory))
        yield Running(name, engine, tuple(engine.client()))


@pytest.fixture
def running(module_engine: Running) -> Iterator[Running]:
    """An engine without images."""
    yield module_engine
    module_engine.engine.remove_all()


CONTENTS = {"aaa": b"1" * 50_000, "bbb": b"2" * 60_000, "ccc": b"3" * 70_000}


def make(directory: pathlib.Path, **changed: bytes) -> Image:
    """An image of three store layers and a customisation layer; its store may be replaced."""
    return plain_image(plan_of(directory, **changed))


def plain_image(plan: Plan) -> Image:
    """The image of a plan, with plain layers."""
    opened = open_planned(plan, LayerCompression("none"), annotations={}, known=None)
    image = closed(opened)
    assert isinstance(image, Image)
    return image


def plan_of(directory: pathlib.Path, **changed: bytes) -> Plan:
    """The plan of `make`."""
    shutil.rmtree(directory / "store", ignore_errors=True)
    directory.mkdir(exist_ok=True)
    return make_plan(directory, CONTENTS | changed)


def sizes(image: Image) -> list[int]:
    """The sizes of the layers."""
    return [blob.descriptor.size for blob in image.layers]


def test_an_engine_gets_the_layers_that_it_lacks(running: Running, tmp_path: pathlib.Path):
    first = running.load(make(tmp_path))
    assert (first.way, first.layers) == ("pull", 4)
    (name,) = first.names
    image = make(tmp_path, bbb=b"other" * 10_000)
    second = running.load(image)
    # Graph drivers know a layer only over the same others.
    sent = sizes(image)[1:] if running.name in GRAPH_DRIVERS else sizes(image)[1:2]
    assert (second.layers, second.size) == (len(sent), sum(sent))
    assert second.requests <= 8
    assert running.loader.has(name, image)
    assert running.names() == {name}
    assert running.is_whole(name, image, tmp_path)


def test_an_image_that_is_there_needs_no_request(running: Running, tmp_path: pathlib.Path):
    image = make(tmp_path)
    running.load(image)
    again = running.load(image)
    assert (again.way, again.requests, again.size) == ("there", 0, 0)


def test_an_image_that_is_there_under_another_name_is_only_named(
    running: Running, tmp_path: pathlib.Path
):
    image = make(tmp_path)
    running.load(image)
    again = running.load(image, "other/name:1", "third:2")
    assert (again.layers, again.size) == (0, 0)
    assert again.requests <= 3
    assert len(running.names()) == 3


@pytest.mark.parametrize("strategy", ["pull", "load", "full"])
def test_an_image_is_the_same_on_each_way(running: Running, tmp_path: pathlib.Path, strategy: str):
    running.load(make(tmp_path), strategy=strategy)
    image = make(tmp_path, ccc=b"other")
    loaded = running.load(image, strategy=strategy)
    (name,) = loaded.names
    by_manifest = running.name in MANIFESTS
    described = (image.manifest if by_manifest else image.config).descriptor
    assert running.identity(name) == described.hexadecimal
    assert running.names() == {name}
    assert running.is_whole(name, image, tmp_path)
    known = 2 if strategy != "full" else 0
    if strategy == "load" and running.name.endswith("docker-containerd"):
        # Its API doesn't tell of blobs.
        known = 0
    elif running.name not in GRAPH_DRIVERS and known:
        known = 3
    assert loaded.layers == 4 - known


@pytest.mark.parametrize("strategy", ["pull", "full"])
def test_an_image_for_another_machine_is_loaded(
    running: Running, tmp_path: pathlib.Path, strategy: str
):
    plan = replace(plan_of(tmp_path), platform=Platform("linux", "s390x"))
    image = plain_image(plan)
    names = ["test:tag"]
    loaded = load_image(running.loader, image, names, strategy=strategy, jobs=1, foreign=True)
    assert running.loader.has(loaded.names[0], image)


def test_layers_that_were_streamed_before_are_known(running: Running, tmp_path: pathlib.Path):
    script = f"{sys.executable} {REPOSITORY}/builders stream"
    stream = tmp_path / "stream"
    plan = plan_of(tmp_path / "image")
    (tmp_path / "plan.json").write_text(plan.to_json())
    stream.write_text(f"#!/bin/sh\nexec {script} {tmp_path}/plan.json\n")
    stream.chmod(0o755)
    name = running.engine.load(stream)
    if running.name not in MANIFESTS:
        # The stream's image has the same ID.
        assert running.load(plain_image(plan)).way == "there"
    image = make(tmp_path / "image", ccc=b"other")
    loaded = running.load(image)
    assert loaded.layers == (2 if running.name in GRAPH_DRIVERS else 1)
    assert running.loader.has(running.loader.full_name(name), image)


def test_store_layers_that_have_changed_are_named_and_nothing_is_loaded(
    running: Running, tmp_path: pathlib.Path
):
    image = make(tmp_path)
    (tmp_path / "store/bbb/file").write_bytes(b"x" * 60_000)
    for strategy in ("pull", "full"):
        with pytest.raises(UserError, match="has changed since") as raised:
            running.load(image, strategy=strategy)
        assert f"{tmp_path}/store/bbb" in str(raised.value)
    assert running.names() == set()


def test_a_store_path_that_is_gone_is_named_and_nothing_is_loaded(
    running: Running, tmp_path: pathlib.Path
):
    image = make(tmp_path)
    shutil.rmtree(tmp_path / "store/bbb")
    for strategy in ("auto", "full"):
        with pytest.raises(UserError, match="store/bbb is missing"):
            running.load(image, strategy=strategy)
    assert running.names() == set()


@pytest.mark.parametrize("strategy", ["pull", "full"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
def test_an_interrupted_load_leaves_nothing_behind(
    running: Running, tmp_path: pathlib.Path, number: signal.Signals, strategy: str
):
    plan = plan_of(tmp_path / "image", ccc=b"x" * (200 << 20))
    (tmp_path / "plan.json").write_text(plan.to_json())
    process = subprocess.Popen(
        [
            *(sys.executable, REPOSITORY / "builders", "longshore", "load"),
            tmp_path / "plan.json",
            *("--into", running.kind, "--client", shlex.join(running.words)),
            *("--strategy", strategy),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    while "layer 3" not in (line := process.stderr.readline()):
        assert line, "it ended before it was interrupted"
    time.sleep(0.05)
    # As a terminal does it, to all that run there.
    os.killpg(process.pid, number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), said
    assert running.names() == set()
    # What it was at can be done again.
    assert running.load(plain_image(plan)).way in ("pull", "load")


@pytest.mark.parametrize("strategy", ["pull", "full"])
def test_a_load_that_was_killed_is_cleaned_up_after(
    running: Running, tmp_path: pathlib.Path, strategy: str
):
    plan = plan_of(tmp_path / "image")
    (tmp_path / "plan.json").write_text(plan.to_json())
    # A client that never comes to give the image its name.
    client = tmp_path / "client"
    client.write_text(
        '#!/bin/sh\nfor word; do test "$word" != tag || exec sleep 1000; done\n'
        f'exec {shlex.join(map(str, running.words))} "$@"\n'
    )
    client.chmod(0o755)
    process = subprocess.Popen(
        [
            *(sys.executable, REPOSITORY / "builders", "longshore", "load"),
            tmp_path / "plan.json",
            *("--into", running.kind, "--client", client, "--strategy", strategy),
        ],
        start_new_session=True,
    )
    with deadline(120):
        left = set[str]()
        while not left:
            assert process.poll() is None
            time.sleep(0.1)
            # podman can't list images while it makes one.
            with suppress(EngineError):
                left = running.names()
    (name,) = {re.sub("(@|:<none>|:load).*", "", name) for name in left}
    assert name.startswith("127.0.0.1:")
    # Another load leaves it alone as long as it goes on.
    other = make(tmp_path / "other", aaa=b"4")
    names = {running.load(other, "other:tag").names[0]}
    assert names < running.names()
    assert any(it.startswith(name) for it in running.names())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert running.load(other, "other:tag").way == "there"
    assert running.names() == names


@pytest.fixture
def unreachable(
    module_engine: Running, engine_directory: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Running]:
    """An engine whose loopback is another one: it has a network namespace of its own."""
    name = module_engine.name
    with ExitStack() as stack:
        engine: Any
        alone = ("unshare", "--net")
        if name in HERE:
            directory = pathlib.Path(tempfile.mkdtemp(dir=engine_directory))
            stack.callback(shutil.rmtree, directory)
            if name == "podman here":
                engine = Podman(directory, prefix=alone)
            else:
                daemon = docker_daemon(directory, "--storage-driver=vfs", prefix=alone)
                engine = stack.enter_context(daemon)
        else:
            machine = machine_of(name, request)
            directory = pathlib.Path(tempfile.mkdtemp(dir=machine.directory))
            apart = Machine((*machine.prefix, *alone), machine.directory, machine.cgroup)
            engine = stack.enter_context(started(name, apart, directory))
        yield Running(name, engine, tuple(engine.client()))
        engine.remove_all()


def test_an_engine_that_does_not_reach_loopback_gets_archives(
    unreachable: Running, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "image").mkdir()
    first = unreachable.load(make(tmp_path / "image"))
    assert (first.way, first.layers) == ("full", 4)
    assert "127.0.0.1" in capsys.readouterr().err
    image = make(tmp_path / "image", ccc=b"other")
    second = unreachable.load(image)
    if unreachable.name.endswith("docker-containerd"):
        assert (second.way, second.layers) == ("full", 4)
    else:
        assert second.way == "load"
        assert second.layers == (2 if unreachable.name in GRAPH_DRIVERS else 1)
    (name,) = second.names
    assert unreachable.names() == {name}
    assert unreachable.is_whole(name, image, tmp_path)


PROGRAMS = {
    "docker": "copyToDockerDaemon",
    "podman": "copyToPodman",
    "containerd": "copyToContainerd",
}


def test_the_program_of_an_image_loads_it_and_it_runs(running: Running):
    image = """streamLayeredImage {
      name = "app"; tag = "1"; contents = [ bash ]; config.Cmd = [ "/bin/bash" "-c" "echo hi" ];
    }"""
    attribute = PROGRAMS[running.kind]
    program = build(f"({image}).{attribute}") / "bin"
    (path,) = program.iterdir()
    command = [str(path), "again/app:1", "--client", shlex.join(running.words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (name,) = result.stdout.split()
    assert name.endswith("again/app:1")
    if running.name == "podman here":
        # Whose runtime needs more than this machine has.
        return
    assert running.engine.run(name, "/bin/bash", "-c", "echo hi").stdout == "hi\n"


def test_a_missing_daemon_is_one_line(tmp_path: pathlib.Path):
    client = EngineClient(
        "Docker", ("docker", "-H", f"unix://{tmp_path}/no"), start="x", permission="y"
    )
    with pytest.raises(UserError, match="Docker can't be reached: Cannot connect to the Docker"):
        load_image(DockerLoader(client), make(tmp_path), ["a:1"], strategy="auto", jobs=1)


def test_a_daemon_of_somebody_else_is_one_line(docker_engine: Docker, tmp_path: pathlib.Path):
    words = ("setpriv", "--reuid=65534", "--clear-groups", "docker", "-H", docker_engine.host)
    client = EngineClient("Docker", words, start="x", permission="use sudo")
    with pytest.raises(UserError, match=r"Docker can't be used: .*permission denied.*; use sudo"):
        load_image(DockerLoader(client), make(tmp_path), ["a:1"], strategy="auto", jobs=1)


def test_skopeo_copies_an_image_to_any_transport(tmp_path: pathlib.Path):
    image = """streamLayeredImage {
      name = "app"; tag = "1"; contents = [ bash ]; config.Cmd = [ "/bin/bash" "-c" "echo hi" ];
    }"""
    program = build(f"({image}).copyTo") / "bin/copy-to"
    layers = []
    for destination in (f"oci:{tmp_path}/oci:1", f"docker-archive:{tmp_path}/a.tar:app:1"):
        execute([str(program), destination, "--", "--quiet"])
        found = json.loads(execute(["skopeo", "inspect", destination.removesuffix(":app:1")]))
        layers.append(found["Layers"])
    assert layers[0] == layers[1] == build_layers(image)


def build_layers(image: str) -> list[str]:
    """The digests of the plain layers of an image."""
    plan = json.loads(build(f"({image}).conf").read_text())
    return [layer["diff_id"] for layer in plan["layers"]]


def test_what_skopeo_says_is_shown_and_its_failure_is_one_line(tmp_path: pathlib.Path):
    program = build('(streamLayeredImage { name = "app"; tag = "1"; }).copyTo') / "bin/copy-to"
    with pytest.raises(EngineError, match="error: skopeo failed with exit code 1; see what it"):
        execute([str(program), "docker://127.0.0.1:1/app:1"])
