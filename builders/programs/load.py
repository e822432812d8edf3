"""`longshore load`: loads an image into an engine, which gets only the layers that it lacks.

The image's names in the engine go to standard output, a line each; what is going on is told on
standard error.
"""

import argparse
import shlex
from typing import Final

from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import closed
from builders.blobs.source import Image, Index
from builders.console.errors import die, writing
from builders.console.progress import size
from builders.console.terminal import tell
from builders.engines.client import EngineClient, interruptible
from builders.engines.containerd import Containerd
from builders.engines.docker import Docker, Podman
from builders.engines.engine import Engine
from builders.engines.loading import STRATEGIES, Loaded, load_image
from builders.formats.image_sources import Reading, read_source
from builders.formats.oci_writers import NamedSource
from builders.formats.open_layouts import NamedOpenImage
from builders.image.names import check_repo_tag
from builders.processes import usable_cores
from builders.programs.diagnoses import StoreDiagnosis
from builders.programs.given_image import add_image, architecture

DESCRIPTION: Final = "Load an image into Docker, podman or containerd: only what it lacks."
EXAMPLES: Final = (
    ("longshore load result", "Load what was built into Docker."),
    ("longshore load result app:test --into podman", "Load it into podman, under this name."),
    (
        "longshore load result --into containerd --namespace k8s.io",
        "Load it to where a kubelet of this machine looks for images.",
    ),
    (
        "longshore load result --into containerd --client 'docker exec -i NODE ctr -n k8s.io'",
        "Load it into a node of kind.",
    ),
)

_CLIENTS: Final = {"docker": "docker", "podman": "podman", "containerd": "ctr"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add_image(parser)
    add("names", nargs="*", metavar="NAME:TAG", help="name and tag; by default the image's own")
    add("--into", choices=sorted(_CLIENTS), default="docker", help="the engine (docker)")
    add("--namespace", metavar="NAME", help="of containerd; k8s.io is that of Kubernetes")
    add(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="pull: the engine pulls from loopback; load: an archive without the layers that it "
        "has; full: all of it; auto: what sends least, and the next where one fails (auto)",
    )
    add(
        "--client",
        metavar="COMMAND",
        help="how the client of the engine is called, as in 'sudo podman' (docker, podman or ctr)",
    )


def run(given: argparse.Namespace) -> None:
    """Load the image."""
    engine = _engine(given)
    named = read_plain(given.image)
    names = given.names or [_name(named)]
    for name in names:
        check_repo_tag(name)
    image = _for_this_machine(closed(named.source))
    with interruptible():
        loaded = load_image(
            engine,
            image,
            list(dict.fromkeys(names)),
            strategy=given.strategy,
            jobs=usable_cores(),
            foreign=image.platform.architecture != architecture(),
            diagnosis=StoreDiagnosis(given.image),
        )
    tell(_summary(engine, image, loaded))
    with writing("standard output"):
        for name in loaded.names:
            print(name)


def read_plain(path: str) -> NamedOpenImage:
    """Return the image at `path`, its own layers as plain tars, which need no compressing."""
    reading = Reading(
        compression=LayerCompression("none"),
        architecture=architecture(),
        jobs=usable_cores(),
        hint=StoreDiagnosis(path).hint,
    )
    return read_source(path, reading)


def _name(image: NamedOpenImage) -> str:
    if not image.name:
        die("the image has no name of its own", hint="say how it is to be called, as in app:1.0")
    return f"{image.name}:{image.tag or 'latest'}"


def _for_this_machine(source: Image | Index) -> Image:
    """Return the image, or of an index the one for this machine."""
    return NamedSource(source, "", architecture()).first


def _engine(given: argparse.Namespace) -> Engine:
    words = shlex.split(given.client or _CLIENTS[given.into])
    if not words:
        die("--client is empty", hint="name the command, such as --client 'sudo podman'")
    if given.namespace is not None and given.into != "containerd":
        die(
            f"{given.into} has no namespaces of images",
            hint="leave out --namespace, or load --into containerd",
        )
    match given.into:
        case "docker":
            return Docker(
                EngineClient(
                    "Docker",
                    tuple(words),
                    start="start it, or say where it is with DOCKER_HOST or 'docker context use'",
                    permission="join the group docker, or run this with sudo",
                    # Signatures are of names in registries, and this name is nobody's.
                    environment={"DOCKER_CONTENT_TRUST": "0"},
                )
            )
        case "podman":
            return Podman(
                EngineClient(
                    "podman",
                    tuple(words),
                    start="start the machine that CONTAINER_HOST or 'podman system connection' "
                    "names",
                    permission="run this as the user whose podman it is",
                )
            )
        case _:
            namespace = ["--namespace", given.namespace] if given.namespace else []
            return Containerd(
                EngineClient(
                    "containerd",
                    (*words, *namespace),
                    start="start it, or say where it is with CONTAINERD_ADDRESS",
                    permission="run this with sudo",
                )
            )


def _summary(engine: Engine, image: Image, loaded: Loaded) -> str:
    if loaded.way == "there":
        return f"{engine.title} has the image."
    count = len(image.layers)
    return f"{engine.title} got {loaded.layers} of {count} layers, {size(loaded.size)}."
