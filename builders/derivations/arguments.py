"""The JSON args file: how a derivation's attributes reach its builder.

Source: Nix manual, "Advanced Attributes", __structuredAttrs. What a builder
takes lies under the attribute `arguments`; each of its dataclass' fields is
one key there, or, for the closure graphs that exportReferencesGraph writes,
one key at the top. Beside them lies `where`, with which all messages of the
build begin.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from builders.console.errors import begin_messages
from builders.processes import usable_cores

T = TypeVar("T")


@dataclass(frozen=True)
class Build:
    """What Nix tells every builder.

    `out` is the path of the output to make, `top` the temporary directory that
    the build runs in, `cores` how many processors it may use.
    """

    attributes: Mapping[str, Any]
    out: str
    top: str
    cores: int

    def arguments(self, kind: type[T]) -> T:
        """Return the builder's own arguments as the dataclass `kind`."""
        given = self.attributes["arguments"]
        values = {}
        for wanted in fields(kind):  # type: ignore[arg-type]
            if wanted.name in given:
                values[wanted.name] = given[wanted.name]
            elif wanted.name in self.attributes:
                values[wanted.name] = self.attributes[wanted.name]
            elif wanted.default is MISSING and wanted.default_factory is MISSING:
                raise KeyError(f"the args file lacks {wanted.name}")
        return kind(**values)


def load() -> Build:
    """Read the args file of the derivation that is being built.

    From here on messages say first what is built.
    """
    top = os.environ["NIX_BUILD_TOP"]
    # Nix 2.8 sets the variable to a path outside of its own sandbox; the file is
    # in the build directory all the same.
    path = os.environ.get("NIX_ATTRS_JSON_FILE", "")
    if not os.path.exists(path):
        path = os.path.join(top, ".attrs.json")
    with open(path, encoding="utf-8") as file:
        attributes = json.load(file)
    begin_messages(attributes["arguments"].get("where", ""))
    return Build(
        attributes=attributes,
        out=attributes["outputs"]["out"],
        top=top,
        cores=usable_cores(os.environ.get("NIX_BUILD_CORES")),
    )
