"""What each kind of input is given to, and what has to be true where it is accepted.

A reader raises `UserError`, or what it makes is what others read, too. Anything else is a fault.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

from builders.accounts.account import account_of
from builders.accounts.comparison import compare_accounts
from builders.accounts.comparison_documents import comparison_document
from builders.accounts.documents import account_document
from builders.accounts.opening import open_image
from builders.accounts.registry_images import known_stored
from builders.accounts.text import image_lines
from builders.blobs.source import Blob, Bytes
from builders.closure.popularity import limit_layers
from builders.compression.readers import CHUNK
from builders.compression.streams import open_decompressed
from builders.console.errors import UserError
from builders.console.tables import display_width
from builders.formats.container_config import INHERITABLE, read_container_config
from builders.formats.image_index import choose_platform, describe_platforms, read_index
from builders.formats.image_reader import read_base_image, read_images
from builders.formats.image_sources import Reading, read_source
from builders.formats.image_stream import stream_image
from builders.formats.several_images import Source, write_merged
from builders.image.configuration import overlay_config
from builders.image.layering import LAYERINGS, assign_layers
from builders.image.plan import Plan, plan_from_json
from builders.image.platform import Platform
from builders.programs.list_layers import load_graph
from builders.registry.answers import Answer
from builders.registry.client import Client
from builders.registry.destinations import Repository
from builders.registry.remote_images import RemoteReader, VersionReference
from builders.registry.transport import Transport
from builders.report.page import page
from builders.rootfs.base_tree import open_layers
from builders.rootfs.export import write_file_system
from builders.rootfs.merge_layers import merge_layers
from builders.rootfs.merged_tree import LayerFile
from builders.rootfs.unpack import unpack
from builders.tar.header import DIRECTORY
from builders.tar.sinks import FileSink
from tests.fuzz import mutations

_SIZE_MAX = 1 << 24
"""Bytes of files that are written for a case; the holes of sparse files may have any size."""
_PLATFORM = Platform("linux", "amd64")


def read_layer(path, directory):
    """A layer, merged, unpacked and exported."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        tree = merge_layers([LayerFile(file.fileno(), 0, size, what="layer")])
        _use(tree, directory)


def _use(tree, directory):
    places = list(tree.walk())
    if sum(place.node.size for place in places) > _SIZE_MAX:
        return
    exported = os.path.join(directory, "exported")
    with open(exported, "wb") as file:
        sink = FileSink(file.fileno())
        write_file_system(sink, tree, mtime=1)
        sink.flush()
    with tarfile.open(exported) as archive:
        names = [member.name for member in archive]
    assert len(names) == len(places)
    assert len(set(names)) == len(places)
    _unpack(tree, os.path.join(directory, "around"), places)


def _unpack(tree, around, places):
    """Unpack the tree, and see that nothing is outside of it."""
    root = os.path.join(around, "root")
    os.makedirs(root)
    try:
        unpack(tree, root)
        for place in places:
            status = os.lstat(f"{root}/{place.path}")
            assert os.path.isdir(f"{root}/{place.path}") or place.node.type != DIRECTORY
            assert place.node.type == DIRECTORY or status.st_nlink >= 1
    except UserError:
        pass
    finally:
        assert os.listdir(around) == ["root"]
        for found, _, _ in os.walk(around):
            os.chmod(found, 0o700)
        shutil.rmtree(around)


def read_image(path, directory):
    """An image archive: to be sent, as a base image, merged with itself, and as a file system."""
    _read_source(path)
    image = read_base_image(path, what="base image", architecture="amd64")
    streamed = os.path.join(directory, "streamed")
    plan = Plan(
        name="x",
        tag="1",
        platform=_PLATFORM,
        created="1970-01-01T00:00:01+00:00",
        mtime=1,
        config=overlay_config(
            read_container_config(image.config, INHERITABLE, what="base image"), {"Cmd": ["x"]}
        ),
        layers=image.layers,
    )
    _explain(path)
    with open(streamed, "wb") as file:
        stream_image(plan_from_json(plan.to_json()), file.fileno())
    _check_archive(streamed)
    images = read_images(path, what="images", architecture="amd64")
    merged = os.path.join(directory, "merged")
    with open(merged, "wb") as file:
        sink = FileSink(file.fileno())
        write_merged(sink, [Source(what="images", images=images)], mtime=1)
        sink.flush()
    _check_archive(merged)
    try:
        with open_layers(image.layers, directory=directory, what="base image") as layers:
            _use(merge_layers(layers), directory)
    except UserError:
        # What is in the layers may be refused, while they can be passed on.
        return


def _read_source(path):
    """See that what is to be sent has layers as its manifest or its configuration says."""
    try:
        found = read_source(
            path, Reading(compression=None, architecture="amd64", jobs=1, hint="hint")
        )
    except UserError:
        return
    for image in found.source.images:
        if all(layer.descriptor for layer in image.layers):
            blobs = [Blob(layer.descriptor, layer.content) for layer in image.layers]
            closed = image.close(blobs)
            content = closed.manifest.content
            assert isinstance(content, Bytes)
            named = json.loads(content.data).get("layers") or []
            assert [layer["digest"] for layer in named] == [
                blob.descriptor.digest for blob in closed.layers
            ]


def _check_archive(path):
    """See that names in manifest.json are of members that are what the configuration says."""
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
        assert len(files) == len(archive.getnames())
    for entry in json.loads(files["manifest.json"]):
        document = json.loads(files[entry["Config"]], parse_constant=_refuse)
        claims = (document.get("rootfs") or {}).get("diff_ids") or []
        assert len(claims) == len(entry["Layers"])
        for name, claim in zip(entry["Layers"], claims, strict=True):
            layer = f"{path}.layer"
            with open(layer, "wb") as file:
                file.write(files[name])
            digest = hashlib.sha256()
            with open_decompressed(layer) as (_, reader):
                while data := reader.read(CHUNK):
                    digest.update(data)
            assert claim == f"sha256:{digest.hexdigest()}"


def _refuse(name):
    raise AssertionError(f"{name} is no JSON")


def skopeo_takes(path, directory):
    """Whether skopeo reads what is streamed of an image that was accepted."""
    copied = os.path.join(directory, "copied")
    command = [
        # Go reserves more addresses than it uses, and more of them the busier the machine is.
        *("sh", "-c", 'ulimit -Sv unlimited; exec "$@"', "sh"),
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        f"docker-archive:{path}",
        f"dir:{copied}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    shutil.rmtree(copied, ignore_errors=True)
    return done.returncode == 0, done.stderr


def read_answer(path, directory):
    """What a registry answers."""
    with open(path, "rb") as file:
        entries = read_index(file.read(), what="answer", hint="none")
    if entries is not None:
        describe_platforms(entries)
        chosen = choose_platform(entries, _PLATFORM)
        assert chosen is None or len(chosen.digest) == 71


class _Registry(Client):
    """A client of a registry that has these documents, the first one under the tag."""

    def __init__(self, documents):
        super().__init__("registry.example", Transport(), lambda: None)
        self.documents = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in documents}
        self.documents["1"] = documents[0]

    def ask(self, method, path, scopes, **more):
        data = self.documents.get(path.rpartition("/")[2])
        return Answer(404 if data is None else 200, {}, data or b"", "http://registry" + path)


def read_stored(path, directory):
    """An image of a registry, by its documents."""
    with open(path, encoding="utf-8") as file:
        documents = [bytes.fromhex(data) for data in json.load(file)]
    for first in range(2):
        reference = VersionReference(Repository("registry.example", "app"), "1")
        reader = RemoteReader(_Registry(documents[first:]), reference.repository)
        image = known_stored(reader.image(reference, architecture="amd64"))
        account = account_of(image)
        json.dumps(account_document(account))
        assert all(display_width(line) <= 40 for line in image_lines(account, width=40))
        same = compare_accounts(account, account, same_content=lambda old, new: None)
        assert (same.causes.causes, same.layers, same.config) == ((), (), ())
        json.dumps(comparison_document(same))


def read_graph(path, directory):
    """A graph of `layers`."""
    graph = load_graph(path)
    for layering in LAYERINGS:
        layers = assign_layers(graph, exclude=(), limit=3, layering=layering)
        assert sorted(path for layer in layers for path in layer) == sorted(graph)
        json.dumps(layers)
    assert limit_layers(list(graph), 1) == ([tuple(graph)] if graph else [])
    _explain(path)


def read_plan(path, directory):
    """An image plan, without the layers that it is of."""
    _explain(path)


def _explain(path):
    """Say of an image all that can be said, in every way."""
    account = account_of(open_image(path))
    own = sum(one.own for one in account.paths.values())
    if account.layers:
        own = sum(layer.own + layer.other for layer in account.layers)
    assert own == account.size
    json.dumps(account_document(account, list(account.paths)[:9]))
    assert all(display_width(line) <= 40 for line in image_lines(account, width=40))
    page(account).encode()
    same = compare_accounts(account, account, same_content=lambda old, new: None)
    assert (same.causes.causes, same.layers, same.config) == ((), (), ())
    json.dumps(comparison_document(same))


def read_stream(path, directory):
    """Something compressed."""
    with open_decompressed(path, what="stream") as (_, reader):
        found = io.BytesIO()
        while data := reader.read(CHUNK):
            found.write(data)
            assert len(data) <= CHUNK


KINDS = {
    "layer": (mutations.any_layer, read_layer),
    "image": (mutations.image, read_image),
    "answer": (mutations.answer, read_answer),
    "stored": (mutations.stored, read_stored),
    "graph": (mutations.graph, read_graph),
    "plan": (mutations.plan, read_plan),
    "stream": (mutations.stream, read_stream),
}
"""How an input of each kind is made, and what reads it."""
