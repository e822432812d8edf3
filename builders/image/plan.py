"""The image plan: all that is known of a layered image before its bytes are written.

It is JSON, the output `passthru.conf` of `streamLayeredImage`: which store
path goes to which layer, each layer's digest and size, and the image
configuration. With it an image streams without hashing anything.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from builders.formats.base_image import BaseLayer
from builders.layers.tar_with_closure import Closure
from builders.tar.header import Stamp

NOW: Final = "now"
"""Stands for the time of streaming, as `created` or `mtime`."""

VERSION: Final = 1


@dataclass(frozen=True)
class StoreLayer:
    """A layer of store paths; `digest` (hexadecimal SHA-256) and `size` (bytes) are None
    as long as the time of its files is `NOW`.
    """

    paths: tuple[str, ...]
    digest: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class CustomisationLayer:
    """The layer that the scripts made, with its hexadecimal SHA-256 and bytes.

    `path` is its tar. In a layer of buildImage, store paths follow (`closure`).
    """

    path: str
    digest: str
    size: int
    closure: Closure | None = None


@dataclass(frozen=True)
class Base:
    """The base image, as far as the image on top of it needs it.

    `path` is the archive and `compression` how it is compressed; `history` has
    one entry per layer, as the OCI image specification describes.
    """

    path: str
    compression: str
    layers: tuple[BaseLayer, ...]
    history: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Plan:
    """An image to be streamed.

    `created` is an ISO 8601 date and time and `mtime` seconds since 1970, or
    either is `NOW`. `config` is the merged container configuration (`config` in
    the OCI image specification), None where there is none.
    """

    repo_tag: str
    architecture: str
    created: str
    mtime: int | str
    uid: int
    gid: int
    uname: str
    gname: str
    store_dir: str
    config: Mapping[str, Any] | None
    base: Base | None
    store_layers: tuple[StoreLayer, ...]
    customisation_layer: CustomisationLayer

    def stamp(self) -> Stamp:
        """Return the owner and time of every entry of the store layers."""
        if not isinstance(self.mtime, int):
            raise ValueError("the plan's mtime is not resolved")
        return Stamp(
            mtime=self.mtime, uid=self.uid, gid=self.gid, uname=self.uname, gname=self.gname
        )

    def with_store_layers(self, layers: tuple[StoreLayer, ...]) -> "Plan":
        """Return the plan with `layers` for its store layers."""
        return replace(self, store_layers=layers)

    def to_json(self) -> str:
        """Return the plan as JSON, keys in the order of the fields."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"


def from_json(text: str) -> Plan:
    """Return the plan that `Plan.to_json` wrote."""
    data = json.loads(text)
    version = data.pop("version")
    if version != VERSION:
        raise ValueError(f"an image plan of version {version}, expected {VERSION}")
    base = data.pop("base")
    return Plan(
        **{
            **data,
            "base": base
            and Base(
                path=base["path"],
                compression=base["compression"],
                layers=tuple(BaseLayer(**layer) for layer in base["layers"]),
                history=tuple(base["history"]),
            ),
            "store_layers": tuple(
                StoreLayer(**{**layer, "paths": tuple(layer["paths"])})
                for layer in data["store_layers"]
            ),
            "customisation_layer": CustomisationLayer(**data["customisation_layer"]),
        }
    )
