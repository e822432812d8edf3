"""The image configuration, as JSON.

Source: OCI image specification, "Image Configuration". Layout of the text (indent, order of keys)
follows the reference's.
"""

import json
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from builders.image.plan import Plan

_Set = Mapping[str, Any] | None
"""Labels, or names whose values say nothing, None where there are none."""


def merge_env(base: Iterable[str], own: Iterable[str]) -> list[str]:
    """Return `base` and then `own`: of each name the last value, at the first place."""
    merged: dict[str, str] = {}
    for variable in (*base, *own):
        merged[variable.partition("=")[0]] = variable
    return list(merged.values())


def overlay_config(
    inherited: Mapping[str, Any], own: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the container configuration `own`, None where there is none, with what it inherits.

    `inherited` has the keys that are inherited, with what the base image has of each: None where it
    has none, and no key at all without a base image. The result is what a Dockerfile makes of
    `FROM` the base image and instructions with the values of `own`: variables, labels, ports and
    volumes are united, a working directory is below the one before, the rest is replaced. Null
    stands for nothing: in `own`, and inside of labels, ports and volumes, it takes away what would
    be inherited.
    """
    given = own or {}
    merged = {key: _merge(key, inherited[key], given) for key in sorted(inherited)}
    config = {key: value for key, value in given.items() if value is not None or key not in merged}
    config |= {key: value for key, value in merged.items() if value is not None}
    return config if config or own is not None else None


def _merge(key: str, base: Any, given: Mapping[str, Any]) -> Any:
    """Return the value of an inherited key, None where `given` stays as it is."""
    if key in given and given[key] is None:
        return None
    if key == "Cmd" and key not in given and "Entrypoint" in given:
        # They would be arguments of another program. `ENTRYPOINT []` drops them as well.
        return None
    if key in _RULES:
        return _RULES[key](base, given.get(key))
    return given.get(key, base)


def _env(base: Sequence[str] | None, own: Sequence[str] | None) -> Sequence[str] | None:
    return merge_env(base or (), own or ()) or None


def _directory(base: str | None, own: str | None) -> str | None:
    if own is None:
        return base
    if not own or own.startswith("/"):
        return own
    # As with WORKDIR, where the base image has none it is /.
    return posixpath.normpath("/" + posixpath.join(base or "", own).lstrip("/"))


def _united(base: _Set, own: _Set, *, same: Callable[[str], str] = str) -> _Set:
    """Return `base` and `own` without what is null there; `same` is what equal names share."""
    if base is None:
        base = {}
    if own is None:
        return base or None
    replaced = set(map(same, own))
    kept = {name: value for name, value in base.items() if same(name) not in replaced}
    return kept | {name: value for name, value in own.items() if value is not None}


def _ports(base: _Set, own: _Set) -> _Set:
    return _united(base, own, same=lambda port: port if "/" in port else f"{port}/tcp")


_RULES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "Env": _env,
    "ExposedPorts": _ports,
    "Labels": _united,
    "Volumes": _united,
    "WorkingDir": _directory,
}
"""Keys whose value is made of both; of all others, an own value replaces the inherited one."""


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
