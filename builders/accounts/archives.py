"""Reading images that lie there whole, of ours or of others: archives and OCI layouts.

An archive has no graph. But all that Nix knows of references it has found in the bytes of store
paths, and these are in the layers.
"""

import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from builders.accounts.known import (
    ARCHIVE,
    CUSTOMISATION,
    FOREIGN,
    LAYOUT,
    STORE,
    TAR,
    Evidence,
    KnownImage,
    KnownLayer,
    all_roots,
)
from builders.accounts.layer_scan import (
    LayerContents,
    hash_of,
    mentioned,
    merged_mentions,
    scan_layer,
)
from builders.closure.graph import Graph, StorePath, referrers_first
from builders.compression.streams import FileRange, Reader, decompressed, open_file
from builders.console.errors import die
from builders.formats.image_reader import BaseImage, read_base_image, read_layout
from builders.formats.layout_directory import blob_file, is_layout
from builders.formats.named_images import familiar
from builders.image.layer_kinds import BaseLayer
from builders.image.platform import Platform

_OTHERS_MAX: Final = 3
"""Other images of an archive that are named."""


def known_archive(
    path: str, *, what: str, architecture: str | None = None, jobs: int = 1
) -> KnownImage:
    """Return the first image of the archive, or of the layout, at `path`.

    Every layer is hashed and looked into, `jobs` at once. Raises `UserError` as
    builders.formats.image_reader does; `what` names the archive in it. Of several images it is the
    one for `architecture`, where the archive doesn't say which is the first.
    """
    with ExitStack() as stack:
        if os.path.isdir(path):
            if not is_layout(path):
                die(
                    f"{path} is a directory, and no OCI layout",
                    hint="give an image: its plan, a stream script, an archive or a layout",
                )
            source = LAYOUT
            image = read_layout(path, what=what, architecture=architecture)
        else:
            source = ARCHIVE
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="longshore."))
            # There is no way back in a compressed archive, and layers are read twice.
            image = read_base_image(
                path,
                what=what,
                architecture=architecture,
                jobs=jobs,
                spool=os.path.join(directory, "image.tar"),
            )
        contents: dict[str, LayerContents] = {}
        for layer in image.layers:
            if layer.diff_id not in contents:
                with _open_layer(layer, what=what) as reader:
                    contents[layer.diff_id] = scan_layer(reader, what=f"{what}: {layer.name}")
    return _known_image(source, image, contents)


@contextmanager
def _open_layer(layer: BaseLayer, *, what: str) -> Iterator[Reader]:
    name = f"{what}: {layer.name}"
    if os.path.isdir(layer.archive):
        with open_file(blob_file(layer.archive, layer.stored.digest), what=name) as (fd, size):
            yield decompressed(FileRange(fd, 0, size, what=name), what=name)[1]
        return
    with open_file(layer.archive, what=what) as (fd, _):
        content = FileRange(fd, layer.offset, layer.offset + layer.stored.size, what=name)
        yield decompressed(content, what=name)[1]


def _known_image(
    source: str, image: BaseImage, contents: Mapping[str, LayerContents]
) -> KnownImage:
    layers = tuple(_known_layer(source, layer, contents[layer.diff_id]) for layer in image.layers)
    numbered = {number: contents[layer.diff_id] for number, layer in enumerate(image.layers)}
    config = _config(image.config)
    paths = list(dict.fromkeys(path for layer in layers for path in layer.paths))
    graph, roots, evidence, unknown = _graph(paths, numbered, config)
    return KnownImage(
        source=source,
        name=familiar(image.repo_tags[0]) if image.repo_tags else "",
        platform=_platform(image.config),
        config=config,
        layers=layers,
        graph=graph,
        roots=roots,
        measure=TAR,
        evidence=evidence,
        unknown=(*_about_others(image.others), *unknown),
    )


def _about_others(others: Sequence[str]) -> Iterator[str]:
    """Yield what to know of an archive that holds `others`, too."""
    if others:
        named = [name or "one without a name" for name in others[:_OTHERS_MAX]]
        if len(others) > len(named):
            named.append(f"{len(others) - len(named)} more")
        count = f"this is the first of {len(others) + 1} images"
        yield f"{count}; the archive has {', '.join(named)}, too"


def _known_layer(source: str, layer: BaseLayer, content: LayerContents) -> KnownLayer:
    # An uncompressed layer of an archive is compressed on its way to a registry; one of a layout is
    # what a registry has.
    is_blob = source == LAYOUT or layer.stored.digest != layer.diff_id
    comment = layer.entry.get("comment") or layer.entry.get("created_by") or ""
    links = CUSTOMISATION if content.mentions.get("") else FOREIGN
    return KnownLayer(
        kind=STORE if content.paths else links,
        diff_id=layer.diff_id,
        size=layer.size,
        blob=layer.stored.digest if is_blob else None,
        blob_size=layer.stored.size if is_blob else None,
        paths=content.paths,
        directories=content.directories,
        comment=comment if not content.paths else "",
    )


def _graph(
    paths: Sequence[str], layers: Mapping[int, LayerContents], config: Mapping[str, Any]
) -> tuple[Graph | None, tuple[str, ...], dict[tuple[str, str], Evidence], list[str]]:
    """Return the graph of `paths`, its roots, where the references stand, and what is unknown."""
    if not paths:
        return None, (), {}, ["no layer has a store path: there is no closure to explain"]
    by_hash = {hash_of(path): path for path in paths}
    mentions = merged_mentions(layers)
    evidence = {}
    graph: dict[str, StorePath] = {}
    for path in paths:
        found = {
            by_hash[hash_]: place
            for hash_, place in mentions.get(path, {}).items()
            if hash_ in by_hash
        }
        evidence.update({(path, to): place for to, place in found.items()})
        graph[path] = StorePath(
            path=path,
            references=tuple(sorted(to for to in found if to != path)),
            refers_to_itself=path in found,
        )
    unknown = [
        "the graph was found by looking into the layers: a reference that is compressed is not seen"
    ]
    try:
        referrers_first(graph)
    except ValueError:
        return None, (), {}, ["paths of the image refer to each other in a circle"]
    named = [hash_ for hash_, _ in _mentioned_in(json.dumps(config))]
    roots = [by_hash[hash_] for hash_ in (*mentions.get("", {}), *named) if hash_ in by_hash]
    return graph, all_roots(graph, sorted(roots)), evidence, unknown


def _mentioned_in(text: str) -> list[tuple[bytes, int]]:
    return list(mentioned(io.BytesIO(text.encode())))


def _config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container configuration; engines read its key in any case."""
    for key, value in config.items():
        if key.lower() == "config" and isinstance(value, dict):
            return value
    return {}


def _platform(config: Mapping[str, Any]) -> str | None:
    os_name, architecture = config.get("os"), config.get("architecture")
    variant = config.get("variant")
    if not isinstance(os_name, str) or not isinstance(architecture, str):
        return None
    return str(Platform(os_name, architecture, variant if isinstance(variant, str) else None))
