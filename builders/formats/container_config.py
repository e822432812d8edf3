"""What an image takes over from a base image's configuration, its shape checked.

Sources: OCI image specification v1.1, "Image Configuration"; Docker image specification v1.3.0, and
what Docker has beside it (`Shell`, `StopTimeout`); keys and types as Go decodes them.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from builders.formats.image_archive import RESAVE
from builders.formats.json_values import JsonValue
from builders.image.platform import Platform


def _strings(value: JsonValue) -> list[str]:
    return list(value.strings())


def _names(value: JsonValue) -> dict[str, Any]:
    """Return a set as Go has them in JSON: an object whose values say nothing."""
    names = value.or_else({}).properties()
    for name in names:
        value.lookup(name).or_else({}).properties()
    return {name: {} for name in names}


def _labels(value: JsonValue) -> dict[str, str]:
    labels = value.or_else({})
    return {name: labels.lookup(name).string_or_none() or "" for name in labels.properties()}


def _healthcheck(value: JsonValue) -> dict[str, Any]:
    if value.value is None:
        return {}
    found = {key: read(value.in_any_case(key)) for key, read in _HEALTHCHECK.items()}
    return {key: part for key, part in found.items() if part is not None}


def _test(value: JsonValue) -> list[str] | None:
    return _strings(value) or None


_HEALTHCHECK: Final[Mapping[str, Callable[[JsonValue], Any]]] = {
    "Interval": JsonValue.integer_or_none,
    "Retries": JsonValue.integer_or_none,
    "StartInterval": JsonValue.integer_or_none,
    "StartPeriod": JsonValue.integer_or_none,
    "Test": _test,
    "Timeout": JsonValue.integer_or_none,
}

_READERS: Final[Mapping[str, Callable[[JsonValue], Any]]] = {
    "Cmd": _strings,
    "Entrypoint": _strings,
    "Env": _strings,
    "ExposedPorts": _names,
    "Healthcheck": _healthcheck,
    "Labels": _labels,
    "Shell": _strings,
    "StopSignal": JsonValue.string_or_none,
    "StopTimeout": JsonValue.integer_or_none,
    "User": JsonValue.string_or_none,
    "Volumes": _names,
    "WorkingDir": JsonValue.string_or_none,
}

INHERITABLE: Final = tuple(_READERS)
"""What containers are run with. The rest is about how the base image was built, or its engine."""


def read_container_config(
    config: Mapping[str, Any], keys: Collection[str], *, what: str, hint: str = RESAVE
) -> dict[str, Any]:
    """Return each of `keys`, of `INHERITABLE`, of the image configuration of a base image.

    The base image may have them in any case. A key that it lacks is None, and so is one that is
    empty, as Go's encoder leaves it out. Raises `UserError` for a value of another shape than
    engines read; `what` is its subject and `hint` what to do.
    """
    found = _container(config, what=what, hint=hint)
    values = {key: _READERS[key](found.in_any_case(key)) for key in keys}
    return {key: None if value in ("", [], {}) else value for key, value in values.items()}


def build_triggers(config: Mapping[str, Any], *, what: str) -> list[str]:
    """Return `OnBuild` of an image configuration: instructions for who builds upon the image.

    Nothing is done with them, so what is no list of strings has none.
    """
    found = _container(config, what=what, hint=RESAVE).properties()
    lists = [value for key, value in found.items() if key.lower() == "onbuild"]
    return [
        text
        for value in lists
        if isinstance(value, list)
        for text in value
        if text and isinstance(text, str)
    ]


def read_platform(config: Mapping[str, Any], *, what: str) -> Platform:
    """Return what an image configuration says the image is for: "" where it says nothing.

    Raises `UserError` for what is no string; `what` is its subject.
    """
    value = JsonValue(config, what, hint=RESAVE)
    os, architecture, variant = (
        value.in_any_case(key).string_or_none() for key in ("os", "architecture", "variant")
    )
    return Platform(os=os or "", architecture=architecture or "", variant=variant or None)


def _container(config: Mapping[str, Any], *, what: str, hint: str) -> JsonValue:
    return JsonValue(config, what, hint=hint).in_any_case("config").or_else({})
