"""What is known of an image before anything is computed: its layers and its store paths.

Plans, graphs, archives and layouts are read into this, each as far as it goes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from builders.closure.graph import Graph

NAR: Final = "nar"
TAR: Final = "tar"
MEASURES: Final = {
    NAR: "of their NARs, the files as Nix packs them",
    TAR: "in the layers' tars, with headers and padding",
}
"""What the bytes of a store path are counted by."""

PLAN: Final = "plan"
GRAPH: Final = "graph"
ARCHIVE: Final = "archive"
LAYOUT: Final = "layout"
REGISTRY: Final = "registry"

BASE: Final = "base image"
STORE: Final = "store paths"
CUSTOMISATION: Final = "customisation"
FOREIGN: Final = "files"


def all_roots(graph: Graph, named: Iterable[str]) -> tuple[str, ...]:
    """Return the roots that are `named`, and all paths of `graph` that nothing refers to."""
    referred = {reference for node in graph.values() for reference in node.references}
    alone = (path for path in graph if path not in referred)
    return tuple(dict.fromkeys((*named, *alone)))


@dataclass(frozen=True)
class KnownLayer:
    """A layer: what it is (one of the words above), and what is known of its bytes.

    `size` is that of the uncompressed tar, `blob` and `blob_size` the digest and the bytes that it
    has in a registry, `media_type` what it is there; each is None where it is not known. `paths`
    are its store paths, with the bytes that each has in it, by the image's measure. `directories`
    are the bytes of what else is in it, by its first two directories, where the layer could be
    looked into. A layer that `is_fixed` is a blob already, and is sent as that; `compressor` is
    what its manifest says has made it.
    """

    kind: str
    diff_id: str | None
    size: int | None
    blob: str | None = None
    blob_size: int | None = None
    media_type: str | None = None
    paths: Mapping[str, int] = field(default_factory=dict)
    directories: Mapping[str, int] = field(default_factory=dict)
    comment: str = ""
    is_fixed: bool = False
    compressor: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Where a reference stands: `offset` bytes into `file`."""

    file: str
    offset: int


@dataclass(frozen=True)
class EqualFiles:
    """Files of one content, each of `size` bytes, in several store paths."""

    size: int
    files: tuple[str, ...]

    @property
    def more(self) -> int:
        """The bytes that one of them would save."""
        return self.size * (len(self.files) - 1)


@dataclass(frozen=True)
class KnownImage:
    """An image.

    `source` is what it was read from (a word above), `name` its name and tag. `graph` holds its
    store paths with their references, or is None where nobody knows these; `roots` are the paths
    that the image needs by itself, those of `all_roots`. `measure` is one of `MEASURES`, and None
    where nobody has measured the paths: the bytes of each are 0 then. `evidence` tells of pairs of
    paths where the first one names the second. `equal_files` are those of the layers, None where
    nobody looked. `config_digest` is that of the image configuration, and `documents` the bytes of
    this and of the manifest; either is None where it is not known. `unknown` are sentences about
    what can't be known.
    """

    source: str
    name: str
    platform: str | None
    config: Mapping[str, Any]
    layers: tuple[KnownLayer, ...]
    graph: Graph | None
    roots: tuple[str, ...]
    measure: str | None
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict)
    equal_files: tuple[EqualFiles, ...] | None = None
    config_digest: str | None = None
    documents: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def names_paths(self) -> bool:
        """Whether its store paths are known: the history of a registry's may not name them."""
        return self.source != REGISTRY or self.measure is not None or bool(self.paths)

    @property
    def paths(self) -> dict[str, tuple[int, ...]]:
        """The layers that hold each store path, by their numbers from 0 on."""
        found: dict[str, list[int]] = {}
        for number, layer in enumerate(self.layers):
            for path in layer.paths:
                found.setdefault(path, []).append(number)
        for path in self.graph or ():
            found.setdefault(path, [])
        return {path: tuple(numbers) for path, numbers in found.items()}
