"""The layers that an image is a list of.

There are four kinds: a layer of the base image, one of store paths, a tar, and a tar with store
paths behind it. All of them answer the same questions, and whoever writes or describes an image
asks nothing else. Sources: OCI image specification, "Image Configuration" (diff ID, history) and
"Image Layer Filesystem Changeset" (media types).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, ClassVar, Final, Self, TypeVar

from builders.compression.streams import GZIP, NONE, ZSTD
from builders.console.errors import die
from builders.image.dates import NOW
from builders.layers.resources import Resources
from builders.layers.store_paths import write_store_layer
from builders.layers.tar_with_closure import Closure, write_closure_layer
from builders.tar.header import Attributes, Owner
from builders.tar.sinks import Sink, copy_file

_TAR: Final = "application/vnd.oci.image.layer.v1.tar"

_Item = TypeVar("_Item")

MEDIA_TYPES: Final = {NONE: _TAR, GZIP: f"{_TAR}+gzip", ZSTD: f"{_TAR}+zstd"}
"""The media type of a layer by its compression; the specification knows no others."""


@dataclass(frozen=True)
class StoredBytes:
    """A layer's bytes as they are stored.

    `digest` is "sha256:" and hexadecimal digits, `size` in bytes. `media_type` is None where they
    are compressed with what the OCI image specification does not know (xz, bzip2).
    """

    digest: str
    media_type: str | None
    size: int


class Layer(ABC):
    """A layer of an image. All kinds are frozen dataclasses of plain values."""

    kind: ClassVar[str]
    """What a plan calls this kind."""

    diff_id: str | None
    """The digest of the uncompressed tar; None as long as the time of its files is `NOW`."""
    size: int | None
    """The bytes of the uncompressed tar, None where `diff_id` is."""

    @property
    def blob(self) -> StoredBytes:
        """What `write` writes. Layers of our own are stored uncompressed."""
        if self.diff_id is None or self.size is None:
            raise ValueError("a layer of the plan is not hashed")
        return StoredBytes(digest=self.diff_id, media_type=_TAR, size=self.size)

    @property
    def store_paths(self) -> tuple[str, ...]:
        """The store paths that the layer holds as far as the plan knows them."""
        return ()

    @property
    def stream(self) -> str | None:
        """The compressed stream that the layer lies in, if any: it is read from its start on."""
        return None

    @property
    def position(self) -> int:
        """Where in that stream the layer begins, in bytes."""
        return 0

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """The paths on this machine that are read when the layer is written."""

    @abstractmethod
    def history(self, created: str) -> Mapping[str, Any]:
        """Return the history entry; `created` is the image's date."""

    @abstractmethod
    def describe(self, number: int) -> str:
        """Return a line of progress about the layer, which is the image's `number`th."""

    @abstractmethod
    def write(self, sink: Sink, resources: Resources) -> None:
        """Write the blob to `sink`; raises `UserError` where it is not what was planned.

        What to do about that is the hint of `resources`.
        """

    def at(self, time: int) -> Self:
        """Return the layer with `time`, in seconds since 1970, for `NOW`; it is to be hashed."""
        del time
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON's types, from which `layer_from_json` makes it again."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` wrote, `kind` left out."""


@dataclass(frozen=True)
class BaseLayer(Layer):
    """A layer of a base image, which is copied untouched into the image on top of it.

    `archive` is the path of the base image's archive and `compression` how that is compressed, in
    the words of builders.compression.streams. The layer lies `offset` bytes behind the start of the
    decompressed archive and may be compressed itself: `stored` tells what it is there, as it was
    checked. `name` is the member's, as manifest.json calls it; `mode` to `gname` are of its
    header, `mtime` in seconds since 1970. `entry` is what the base image's own history says of it.
    """

    kind: ClassVar = "base"

    archive: str
    compression: str
    offset: int
    stored: StoredBytes
    diff_id: str
    size: int
    entry: Mapping[str, Any]
    name: str
    mode: int
    mtime: int
    uid: int
    gid: int
    uname: str
    gname: str

    @property
    def blob(self) -> StoredBytes:
        """As it lies in the archive."""
        return self.stored

    @property
    def needs(self) -> tuple[str, ...]:
        """The archive."""
        return (self.archive,)

    @property
    def stream(self) -> str | None:
        """The archive, where it is compressed."""
        return None if self.compression == NONE else self.archive

    @property
    def position(self) -> int:
        """Where in the decompressed archive the layer begins."""
        return self.offset

    def history(self, created: str) -> Mapping[str, Any]:
        """Return the base image's own entry."""
        del created
        return self.entry

    def describe(self, number: int) -> str:
        """Return a line that names the archive."""
        return f"Adding base layer {number} from {self.archive}"

    def write(self, sink: Sink, resources: Resources) -> None:
        """Copy the layer out of the archive."""
        archive = resources.archive(self.archive, self.compression)
        archive.copy(sink, self.offset, self.stored.size, name=self.name)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` wrote."""
        return cls(**{**data, "stored": StoredBytes(**data["stored"])})


@dataclass(frozen=True)
class StoreLayer(Layer):
    """A layer of store paths, in that order.

    Every entry has the time `mtime`, in seconds since 1970 or `NOW`, and belongs to the user `uid`
    and the group `gid`, called `uname` and `gname`. `store_dir` is the directory of the store.
    """

    kind: ClassVar = "store-paths"

    paths: tuple[str, ...]
    mtime: int | str
    uid: int
    gid: int
    uname: str
    gname: str
    store_dir: str
    diff_id: str | None = None
    size: int | None = None

    @property
    def attributes(self) -> Attributes:
        """The owner and the time of every entry."""
        if not isinstance(self.mtime, int):
            raise ValueError("the layer's mtime is not resolved")
        return Attributes(Owner(self.uid, self.gid, self.uname, self.gname), mtime=self.mtime)

    @property
    def store_paths(self) -> tuple[str, ...]:
        """The paths."""
        return self.paths

    @property
    def needs(self) -> tuple[str, ...]:
        """The paths."""
        return self.paths

    def history(self, created: str) -> Mapping[str, Any]:
        """Return an entry that lists the paths, as the reference writes it."""
        return {"created": created, "comment": f"store paths: {list(self.paths)}"}

    def describe(self, number: int) -> str:
        """Return a line that lists the paths."""
        return f"Creating layer {number} from paths: {list(self.paths)}"

    def write(self, sink: Sink, resources: Resources) -> None:
        """Make the layer out of the store."""
        written = write_store_layer(
            sink,
            self.paths,
            attributes=self.attributes,
            store_dir=self.store_dir,
            helpers=resources.helpers,
            hint=resources.hint,
            place=resources.place,
        )
        if written != self.size:
            die(
                f"the layer of {', '.join(self.paths)} has {written} bytes, but {self.size} when "
                "the image was planned",
                hint=resources.hint,
            )

    def at(self, time: int) -> Self:
        """Return the layer with `time` for `NOW`."""
        return replace(self, mtime=time) if self.mtime == NOW else self

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` wrote."""
        return cls(**{**data, "paths": tuple(data["paths"])})


@dataclass(frozen=True)
class TarLayer(Layer):
    """A layer that is a tar at `path`: the customisation layer."""

    kind: ClassVar = "tar"

    path: str
    diff_id: str
    size: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The tar."""
        return (self.path,)

    def history(self, created: str) -> Mapping[str, Any]:
        """Return an entry that says what the layer is."""
        return {"created": created, "comment": "customisation layer"}

    def describe(self, number: int) -> str:
        """Return a line that says what the layer is."""
        return f"Creating layer {number} with customisation..."

    def write(self, sink: Sink, resources: Resources) -> None:
        """Copy the tar."""
        copy_file(sink, resources.place(self.path), self.size, hint=resources.hint)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True)
class TarWithClosure(TarLayer):
    """A tar at `path` and the store paths of `closure` behind it: buildImage's layer."""

    kind: ClassVar = "tar-with-closure"

    closure: Closure

    @property
    def store_paths(self) -> tuple[str, ...]:
        """The paths behind the tar."""
        return self.closure.paths

    @property
    def needs(self) -> tuple[str, ...]:
        """The tar and the paths."""
        return (self.path, *self.closure.paths)

    def write(self, sink: Sink, resources: Resources) -> None:
        """Copy the tar, and make the rest out of the store."""
        write_closure_layer(
            sink, self.path, self.closure, hint=resources.hint, place=resources.place
        )

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON's types: names in the order of their code points."""
        data = super().to_json()
        data["closure"]["present"] = sorted(self.closure.present)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` wrote."""
        closure = data["closure"]
        return cls(
            path=data["path"],
            diff_id=data["diff_id"],
            size=data["size"],
            closure=Closure(
                paths=tuple(closure["paths"]),
                parents=tuple(closure["parents"]),
                present=frozenset(closure["present"]),
                offset=closure["offset"],
                mtime=closure["mtime"],
            ),
        )


def in_reading_order(
    items: Iterable[_Item], *, layer_of: Callable[[_Item], Layer | None]
) -> Iterator[_Item]:
    """Yield `items` in the order in which the layers that `layer_of` gives are best read.

    There is no way back in a compressed stream. The layers of one are sorted where they follow each
    other; all else stays in its place.
    """

    def stream(item: _Item) -> str | None:
        layer = layer_of(item)
        return layer.stream if layer else None

    def position(item: _Item) -> int:
        layer = layer_of(item)
        return layer.position if layer else 0

    for name, group in groupby(items, key=stream):
        run = list(group)
        if name is not None:
            run.sort(key=position)
        yield from run


_KINDS: Final = {kind.kind: kind for kind in (BaseLayer, StoreLayer, TarLayer, TarWithClosure)}


def layer_from_json(data: Mapping[str, Any]) -> Layer:
    """Return the layer that `Layer.to_json` wrote."""
    kind = _KINDS[data["kind"]]
    layer: Layer = kind.from_json({key: value for key, value in data.items() if key != "kind"})
    return layer
