"""The JSON schemas of the OCI image specification 1.1, which lie in tests/oci-schemas."""

import json
import re
from functools import cache

from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT4

from tests.unit.support import BUILDERS

SCHEMAS = BUILDERS.parent / "tests/oci-schemas"

FILES = {
    "config": "config-schema.json",
    "descriptor": "content-descriptor.json",
    "index": "image-index-schema.json",
    "layout": "image-layout-schema.json",
    "manifest": "image-manifest-schema.json",
}
"""Kinds of documents, and the schema of each."""

_RFC_3339 = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_formats = FormatChecker(formats=())
# jsonschema has no check of its own without one more package.
_formats.checks("date-time")(
    lambda value: not isinstance(value, str) or _RFC_3339.fullmatch(value) is not None
)


def problems(kind, document):
    """Return a sentence for each breach of the schema of this kind; see `FILES`."""
    errors = sorted(_validator(kind).iter_errors(document), key=lambda error: list(error.path))
    return [f"{kind}{error.json_path.removeprefix('$')}: {error.message}" for error in errors]


def validate(kind, document):
    """Raise `AssertionError`, with all problems, if the schema refuses the document."""
    found = problems(kind, document)
    assert not found, "\n".join(found)


@cache
def _validator(kind):
    schema = _read(SCHEMAS / FILES[kind])
    # mypy does not see the name that attrs gives to this argument.
    registry = Registry(retrieve=_retrieve)  # type: ignore[call-arg]
    return Draft4Validator(schema, registry=registry, format_checker=_formats)


def _retrieve(uri):
    """Return a schema that another one refers to.

    References are relative to the `id` of where they stand. So one file has several addresses,
    and none of them is where it is published.
    """
    path = SCHEMAS / uri.rpartition("/")[2]
    if not path.is_file():
        raise NoSuchResource(uri)
    return Resource.from_contents(_read(path), default_specification=DRAFT4)


def _read(path):
    return json.loads(path.read_text())
