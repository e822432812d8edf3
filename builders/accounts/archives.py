"""Reading images that lie there whole, of ours or of others: archives and OCI layouts.

An archive has no graph. But all that Nix knows of references it has found in the bytes of store
paths, and these are in the layers.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from builders.accounts.known import (
    ARCHIVE,
    CUSTOMISATION,
    FOREIGN,
    LAYOUT,
    STORE,
    TAR,
    KnownImage,
    KnownLayer,
)
from builders.accounts.layer_graphs import container_config, find_graph, platform_of
from builders.accounts.layer_scan import LayerContents, equal_in_layers, scan_layer
from builders.compression.readers import FileRange, Reader, open_file
from builders.compression.streams import decompressed
from builders.console.errors import die
from builders.formats.image_reader import BaseImage, read_base_image, read_layout
from builders.formats.layout_directory import blob_file, is_layout
from builders.formats.named_images import FIRST, Choice, familiar
from builders.image.layer_kinds import BaseLayer

_OTHERS_MAX: Final = 3
"""Other images of an archive that are named."""


def known_archive(
    path: str,
    *,
    what: str,
    choice: Choice = FIRST,
    architecture: str | None = None,
    jobs: int = 1,
    with_files: bool = False,
) -> KnownImage:
    """Return the image of the archive, or of the layout, at `path` that is meant, or the first one.

    Every layer is hashed and looked into, `jobs` at once. Raises `UserError` as
    builders.formats.image_reader does; `what` names the archive in it. Of several images it is the
    one for `architecture`, where the archive doesn't say which is the first. Equal files are looked
    for only if `with_files`.
    """
    with ExitStack() as stack:
        if os.path.isdir(path):
            if not is_layout(path):
                die(
                    f"{path} is a directory, and no OCI layout",
                    hint="give an image: its plan, a stream script, an archive or a layout",
                )
            source = LAYOUT
            image = read_layout(path, what=what, choice=choice, architecture=architecture)
        else:
            source = ARCHIVE
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="longshore."))
            # There is no way back in a compressed archive, and layers are read twice.
            image = read_base_image(
                path,
                what=what,
                choice=choice,
                architecture=architecture,
                jobs=jobs,
                spool=os.path.join(directory, "image.tar"),
            )
        contents: dict[str, LayerContents] = {}
        for layer in image.layers:
            if layer.diff_id not in contents:
                with _open_layer(layer, what=what) as reader:
                    contents[layer.diff_id] = scan_layer(
                        reader, what=f"{what}: {layer.name}", with_files=with_files
                    )
    known = _known_image(source, image, contents, choice)
    if not with_files:
        return known
    return replace(known, equal_files=equal_in_layers(contents.values()))


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
    source: str, image: BaseImage, contents: Mapping[str, LayerContents], choice: Choice
) -> KnownImage:
    layers = tuple(_known_layer(source, layer, contents[layer.diff_id]) for layer in image.layers)
    numbered = {number: contents[layer.diff_id] for number, layer in enumerate(image.layers)}
    config = container_config(image.config)
    found = find_graph(layers, numbered, config)
    return KnownImage(
        source=source,
        name=choice.reference or (familiar(image.repo_tags[0]) if image.repo_tags else ""),
        platform=platform_of(image.config),
        config=config,
        layers=layers,
        graph=found.graph,
        roots=found.roots,
        measure=TAR,
        evidence=found.evidence,
        config_digest=f"sha256:{hashlib.sha256(image.config_json).hexdigest()}",
        unknown=(*_about_others(image.others), *found.unknown),
    )


def _about_others(others: Sequence[str]) -> Iterator[str]:
    """Yield what to know of an archive that holds `others`, too."""
    if others:
        named = [name or "one without a name" for name in others[:_OTHERS_MAX]]
        if len(others) > len(named):
            named.append(f"{len(others) - len(named)} more")
        yield (
            f"this is one of {len(others) + 1} images; there are {', '.join(named)}, too, and "
            "--name or --architecture chooses another"
        )


def _known_layer(source: str, layer: BaseLayer, content: LayerContents) -> KnownLayer:
    # An uncompressed layer of an archive is compressed on its way to a registry; one of a layout is
    # what a registry has.
    is_blob = source == LAYOUT or layer.stored.digest != layer.diff_id
    comment = layer.entry.get("comment") or layer.entry.get("created_by") or ""
    if comment.endswith(layer.diff_id):
        # Of an image without a history, that is all that is known.
        comment = ""
    links = CUSTOMISATION if content.mentions.get("") else FOREIGN
    return KnownLayer(
        kind=STORE if content.paths else links,
        diff_id=layer.diff_id,
        size=layer.size,
        blob=layer.stored.digest if is_blob else None,
        blob_size=layer.stored.size if is_blob else None,
        media_type=layer.stored.media_type if is_blob else None,
        paths=content.paths,
        directories=content.directories,
        comment=comment if not content.paths else "",
    )
