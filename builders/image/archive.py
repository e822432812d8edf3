"""Placeholder until the reader lands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BaseLayer:
    name: str
    offset: int
    size: int
    diff_id: str
    uncompressed_size: int
    mode: int
    mtime: int
    uid: int
    gid: int
    uname: str
    gname: str


@dataclass(frozen=True)
class BaseImage:
    path: str
    compression: str
    layers: tuple[BaseLayer, ...]
    config: Mapping[str, Any]
    repo_tags: tuple[str, ...]


def read_base_image(path, *, name=None, tag=None, jobs=1): ...


def read_layers(path, compression, layers): ...
