"""The image configuration, as JSON.

Source: OCI image specification, "Image Configuration". Layout of the text (indent, order of keys)
follows the reference's.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from builders.image.plan import Plan


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


def image_config(plan: Plan) -> bytes:
    """Return the image configuration of `plan`, whose times and digests are all known."""
    platform = plan.platform
    return json.dumps(
        {
            "created": plan.created,
            "architecture": platform.architecture,
            **({"variant": platform.variant} if platform.variant else {}),
            "os": platform.os,
            "config": plan.config,
            "rootfs": {"diff_ids": [layer.diff_id for layer in plan.layers], "type": "layers"},
            "history": [layer.history(plan.created) for layer in plan.layers],
        },
        indent=4,
    ).encode()
