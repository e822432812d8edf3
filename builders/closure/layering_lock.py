"""The layering lock: which packages share a layer, so that they go on doing so.

The file is JSON: `version`, which is 1, and `layers`, the lowest first. Each layer is a list of
names as `stable_names` of builders.closure.package_names makes them: without versions and hashes.
"""

import json
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from builders.closure.graph import Graph
from builders.closure.package_names import stable_names
from builders.console.errors import UserError, die, warn, writing

_VERSION: Final = 1
_FEW: Final = 10
"""A lock of which only one name in so many is in the closure is taken for that of another image."""
_DIGITS_MAX: Final = 20
_ELSEWHERE: Final = "name a file in a directory of yours"
_BYTES_MAX: Final = 1 << 26
"""Bytes that are read of a lock: many times those of the largest closure, and no whole device."""


@dataclass(frozen=True)
class LayeringLock:
    """Names by layer, the lowest first; no name is there twice."""

    layers: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> frozenset[str]:
        """All names in it."""
        return frozenset(name for layer in self.layers for name in layer)


def lock_of(graph: Graph, layers: Sequence[Sequence[str]]) -> LayeringLock:
    """Return the lock that keeps the paths of `graph` in these layers."""
    names = stable_names(graph, [path for layer in layers for path in layer])
    return LayeringLock(tuple(tuple(sorted(names[path] for path in layer)) for layer in layers))


def read_lock(path: str, *, what: str, hint: str) -> LayeringLock:
    """Return the lock in the file `path`; raises `UserError` with the subject `what` and `hint`."""
    try:
        with open(path, "rb") as file:
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise ValueError(f"it has more than {_BYTES_MAX} bytes")
        document = json.loads(data.decode(), object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise UserError(
            f"{what}: {path} can't be read as JSON: nested too deeply", hint=hint
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{what}: {path} can't be read as JSON: {reason}", hint=hint) from None
    return _checked(document, f"{what}: {path}", hint)


def write_lock(path: str, lock: LayeringLock) -> None:
    """Write `lock` to the file `path`, whole or not at all; raises `UserError`."""
    layers = ",\n".join(
        "    " + json.dumps(list(layer), ensure_ascii=False) for layer in lock.layers
    )
    text = f'{{\n  "version": {_VERSION},\n  "layers": [\n{layers}\n  ]\n}}\n'
    # What a link leads to is written, and the link stays.
    path = os.path.realpath(path)
    try:
        found = os.stat(path).st_mode
        # Root could put a file in the place of a device, and so take it from all programs.
        if not stat.S_ISREG(found):
            die(f"can't write {path}: it is no file", hint=_ELSEWHERE)
        mode = found & 0o777
    except OSError:
        mode = 0o666 & ~_umask()
    try:
        with writing(path):
            descriptor, other = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".layers-")
            try:
                with open(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(other, mode)
                os.rename(other, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(other)
                raise
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror}", hint=_ELSEWHERE) from None


def warn_of_others(lock: LayeringLock, names: Mapping[str, str], *, what: str) -> None:
    """Warn of a lock that few of the `names` in an image are in: it may be of another image."""
    known = lock.names
    found = sum(name in known for name in names.values())
    if _FEW * found < len(known):
        warn(
            f"{what}: the closure has {found} of the {len(known)} names in it; "
            "see whether it is of another image"
        )


def _checked(document: Any, what: str, hint: str) -> LayeringLock:
    if not isinstance(document, dict):
        die(f"{what} is no layering lock", hint=hint)
    version = document.get("version")
    if type(version) is not int:
        die(f"{what} is no layering lock: its version should be a number", hint=hint)
    if version != _VERSION:
        die(f"{what} has version {version}, and only {_VERSION} is known", hint=hint)
    layers: Any = document.get("layers")
    if not _is_list_of(list, layers):
        die(f"{what}: layers should be a list of lists of names", hint=hint)
    for number, layer in enumerate(layers, 1):
        if not _is_list_of(str, layer) or not all(layer):
            die(f"{what}: layer {number} should be a list of names", hint=hint)
        for name in layer:
            if not _is_text(name):
                die(f"{what}: layer {number} has half a surrogate pair in {name}", hint=hint)
    counts = Counter(name for layer in layers for name in layer)
    for name, count in counts.items():
        if count > 1:
            die(f"{what} has {name} twice", hint="leave it in one layer")
    return LayeringLock(tuple(map(tuple, layers)))


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _is_text(name: str) -> bool:
    """Whether `name` can be written at all: JSON has escapes for halves of characters."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object as Python does, but of keys that are there twice none is dropped."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key} is there twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
