"""What is known of an image in a registry: by its manifest and configuration, or by its layers.

The history of our own images names the store paths of each layer. So manifest and configuration,
some kilobytes, tell what is in which layer, and layers are read only where that is asked for.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from builders.accounts.known import (
    CUSTOMISATION,
    FOREIGN,
    REGISTRY,
    STORE,
    TAR,
    KnownImage,
    KnownLayer,
)
from builders.accounts.layer_graphs import container_config, find_graph, platform_of
from builders.accounts.layer_scan import LayerContents, equal_in_layers, scan_layer
from builders.compression.readers import CHUNK, HashingReader
from builders.compression.streams import NONE, decompressed
from builders.console.errors import die
from builders.image.layer_kinds import MEDIA_TYPES
from builders.registry.remote_images import RemoteLayer, RemoteReader, StoredImage

_LIST_BEGINS: Final = "store paths: ['"
_LIST_ENDS: Final = "']"
"""Around the comment of a layer of store paths: a list as Python writes it."""
_CUSTOMISATION_COMMENT: Final = "customisation layer"
_STORE_PATH: Final = re.compile(r"/(?:[^/]+/)*[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]{1,211}")
_DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"


def known_stored(image: StoredImage) -> KnownImage:
    """Return what manifest and configuration of `image` tell."""
    layers = tuple(map(_known_layer, image.layers))
    return KnownImage(
        source=REGISTRY,
        name=str(image.reference),
        platform=platform_of(image.config),
        config=container_config(image.config),
        layers=layers,
        graph=None,
        roots=(),
        measure=None,
        config_digest=image.config_digest,
        documents=image.documents,
        unknown=(*_about_platforms(image), *_not_known(image, layers)),
    )


def look_into(
    image: StoredImage,
    reader: RemoteReader,
    *,
    with_files: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> KnownImage:
    """Return what the layers of `image` tell, each of which is read once.

    `with_files` is as in `scan_layer`, and `tell` gets a line about each layer before it is read.
    """
    found: dict[str, tuple[LayerContents, int]] = {}
    for number, layer in enumerate(image.layers, 1):
        if layer.diff_id not in found:
            tell(f"Reading layer {number} of {len(image.layers)} ({layer.size} bytes)")
            what = f"layer {number} of {image.reference}"
            found[layer.diff_id] = _scanned(reader, layer, what=what, with_files=with_files)
    known = known_stored(image)
    layers = tuple(
        _with_contents(layer, *found[remote.diff_id])
        for layer, remote in zip(known.layers, image.layers, strict=True)
    )
    contents = {number: found[layer.diff_id][0] for number, layer in enumerate(image.layers)}
    graph = find_graph(layers, contents, known.config)
    return replace(
        known,
        layers=layers,
        graph=graph.graph,
        roots=graph.roots,
        measure=TAR,
        evidence=graph.evidence,
        equal_files=equal_in_layers(contents.values()) if with_files else None,
        unknown=(*_about_platforms(image), *graph.unknown),
    )


def _scanned(
    reader: RemoteReader, layer: RemoteLayer, *, what: str, with_files: bool
) -> tuple[LayerContents, int]:
    """Return what is in a layer, and its bytes."""
    stored = reader.layer(layer, what=what)
    tar = HashingReader(decompressed(stored, what=what)[1])
    contents = scan_layer(tar, what=what, with_files=with_files)
    # Behind the end of the archive, too: the digests are of all.
    for rest in (tar, stored):
        while rest.read(CHUNK):
            pass
    digest = f"sha256:{tar.digest()}"
    if digest != layer.diff_id:
        die(
            f"{what} has the diff ID {digest}, and the image says {layer.diff_id}",
            hint="push the image again",
        )
    return contents, tar.size


def _with_contents(layer: KnownLayer, contents: LayerContents, size: int) -> KnownLayer:
    links = CUSTOMISATION if contents.mentions.get("") else FOREIGN
    return replace(
        layer,
        kind=STORE if contents.paths else links,
        size=size,
        paths=contents.paths,
        directories=contents.directories,
        comment="" if contents.paths else layer.comment,
    )


def _known_layer(layer: RemoteLayer) -> KnownLayer:
    comment = _text(layer.entry, "comment") or _text(layer.entry, "created_by")
    paths = paths_in_comment(comment)
    kind = CUSTOMISATION if comment == _CUSTOMISATION_COMMENT else FOREIGN
    return KnownLayer(
        kind=STORE if paths else kind,
        diff_id=layer.diff_id,
        size=None,
        blob=layer.digest,
        blob_size=layer.size,
        media_type=_layer_type(layer.media_type),
        paths=dict.fromkeys(paths, 0),
        comment="" if paths or kind == CUSTOMISATION else comment,
        is_fixed=True,
        compressor=layer.compressor,
    )


def _layer_type(media_type: str) -> str:
    """Return a media type in the words of the OCI; Docker has others for the same."""
    kind, dot, compression = media_type.removeprefix(_DOCKER_LAYER).rpartition(".")
    if not media_type.startswith(_DOCKER_LAYER) or kind:
        return media_type
    return MEDIA_TYPES[NONE] + (f"+{compression}" if dot else "")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def paths_in_comment(comment: str) -> tuple[str, ...]:
    """Return the store paths that the comment of a layer lists as we write it, none of any other.

    Whoever pushed the image wrote the comment: what is no list of store paths lists none.
    """
    if not (comment.startswith(_LIST_BEGINS) and comment.endswith(_LIST_ENDS)):
        return ()
    listed = comment[len(_LIST_BEGINS) : -len(_LIST_ENDS)].split("', '")
    return tuple(dict.fromkeys(listed)) if all(map(_STORE_PATH.fullmatch, listed)) else ()


def _about_platforms(image: StoredImage) -> tuple[str, ...]:
    if "," not in image.platforms:
        return ()
    chosen = platform_of(image.config) or "an unknown platform"
    return (
        f"{image.reference} is an index for {image.platforms}; this is the image for {chosen}, and "
        "--architecture chooses another",
    )


def _not_known(image: StoredImage, layers: tuple[KnownLayer, ...]) -> tuple[str, ...]:
    name = image.reference
    sentences = [
        f"of {name}, manifest and configuration were read alone: sizes of store paths, and why "
        "they are there, are not known; --layers reads the layers, too"
    ]
    if layers and not any(layer.paths for layer in layers):
        sentences.append(f"the history of {name} names no store paths")
    else:
        silent = [n for n, layer in enumerate(layers, 1) if layer.kind == FOREIGN]
        if silent:
            sentences.append(
                f"the history of {name} says nothing of store paths in layer "
                f"{', '.join(map(str, silent))}"
            )
    return tuple(sentences)
