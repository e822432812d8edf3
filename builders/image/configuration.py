"""The image configuration and the manifest of an archive, as JSON.

Sources: OCI image specification, "Image Configuration"; Docker image
specification v1.3.0. Layout of the text (indent, order of keys) follows the
reference's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.formats.base_image import BaseImage
from builders.image.plan import Base, Plan


@dataclass(frozen=True)
class ManifestEntry:
    """An image in manifest.json: its names, and those of its members, layers lowest first."""

    config: str
    repo_tags: Sequence[str]
    layers: Sequence[str]


def merge_env(base: Iterable[str], own: Iterable[str]) -> list[str]:
    """Return `base` and then `own`: of each name the last value, at the first place."""
    merged: dict[str, str] = {}
    for variable in (*base, *own):
        merged[variable.partition("=")[0]] = variable
    return list(merged.values())


def overlay_config(
    base: Mapping[str, Any] | None, own: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the container configuration `own` with what it inherits from a base image's.

    Only `Env` is inherited (dockerTools' documentation of `fromImage`). Either may be None, as may
    their `Env`.
    """
    env = merge_env((base or {}).get("Env") or (), (own or {}).get("Env") or ())
    if base is None or not env:
        return own
    return {**(own or {}), "Env": env}


def base_history(image: BaseImage) -> tuple[Mapping[str, Any], ...]:
    """Return one history entry per layer of `image`: its own, where they match its layers."""
    history = [
        entry
        for entry in image.config.get("history") or ()
        if isinstance(entry, dict) and not entry.get("empty_layer")
    ]
    if len(history) == len(image.layers):
        return tuple(history)
    return tuple({"comment": f"base image layer {layer.diff_id}"} for layer in image.layers)


def config_on(image: BaseImage | None, own: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the container configuration `own` on top of the base image `image`, if any."""
    return overlay_config(image.config.get("config") or {}, own) if image else own


def planned_base(image: BaseImage | None) -> Base | None:
    """Return what a plan says of the base image `image`, if any."""
    if image is None:
        return None
    return Base(
        path=image.path,
        compression=image.compression,
        layers=image.layers,
        history=base_history(image),
    )


def image_config(plan: Plan) -> bytes:
    """Return the image configuration of `plan`, whose times and digests are all known."""
    diff_ids: list[str] = []
    history: list[Mapping[str, Any]] = []
    if plan.base:
        diff_ids += [layer.diff_id for layer in plan.base.layers]
        history += plan.base.history
    for layer in plan.store_layers:
        diff_ids.append(f"sha256:{layer.digest}")
        history.append({"created": plan.created, "comment": f"store paths: {list(layer.paths)}"})
    diff_ids.append(f"sha256:{plan.customisation_layer.digest}")
    history.append({"created": plan.created, "comment": "customisation layer"})
    return _dump(
        {
            "created": plan.created,
            "architecture": plan.architecture,
            "os": "linux",
            "config": plan.config,
            "rootfs": {"diff_ids": diff_ids, "type": "layers"},
            "history": history,
        }
    )


def archive_manifest(images: Iterable[ManifestEntry]) -> bytes:
    """Return manifest.json."""
    return _dump(
        [
            {
                "Config": image.config,
                "RepoTags": list(image.repo_tags),
                "Layers": list(image.layers),
            }
            for image in images
        ]
    )


def _dump(value: object) -> bytes:
    return json.dumps(value, indent=4).encode()
