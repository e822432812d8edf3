"""The schemas of the OCI image specification are read, and refuse what it forbids."""

import json

import pytest

from tests.unit.oci_schemas import FILES, SCHEMAS, problems, validate

DESCRIPTOR = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:" + 64 * "0",
    "size": 7,
    "annotations": {"a": "b"},
}
RIGHT = {
    "config": {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:01Z",
        "config": {"Env": ["A=1"], "Labels": {"a": "b"}, "Volumes": {"/data": {}}, "Cmd": None},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + 64 * "0"]},
        "history": [{"created": "2024-02-29T23:59:60.5+01:00", "empty_layer": True}],
    },
    "descriptor": DESCRIPTOR,
    "index": {
        "schemaVersion": 2,
        "manifests": [{**DESCRIPTOR, "platform": {"os": "linux", "architecture": "arm64"}}],
        "annotations": {"a": "b"},
    },
    "layout": {"imageLayoutVersion": "1.0.0"},
    "manifest": {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]},
}

WRONG = [
    ("layout", ["imageLayoutVersion"], "1.0.1", "'1.0.1' is not one of ['1.0.0']"),
    ("config", ["architecture"], ..., "'architecture' is a required property"),
    ("config", ["rootfs", "type"], "layer", "'layer' is not one of ['layers']"),
    ("config", ["created"], "yesterday", "'yesterday' is not a 'date-time'"),
    ("config", ["created"], "1970-01-01 00:00:01", "is not a 'date-time'"),
    ("config", ["config", "Env"], {"A": "1"}, "{'A': '1'} is not of type 'array'"),
    # By way of defs.json.
    ("config", ["config", "Volumes", "/data"], True, "is not valid under any of the given schemas"),
    ("config", ["history", 0, "empty_layer"], "true", "'true' is not of type 'boolean'"),
    ("manifest", ["layers"], [], "[] "),
    # By way of content-descriptor.json, and defs-descriptor.json from there.
    ("manifest", ["config", "size"], "7", "'7' is not of type 'integer'"),
    ("manifest", ["layers", 0, "digest"], "0" * 64, "does not match"),
    ("manifest", ["layers", 0, "annotations", "a"], 1, "1 is not of type 'string'"),
    ("index", ["schemaVersion"], 1, "1 is less than the minimum of 2"),
    ("index", ["manifests", 0, "platform", "os"], ..., "'os' is a required property"),
    ("index", ["manifests", 0, "mediaType"], "json", "'json' does not match"),
    ("index", ["annotations", "a"], None, "None is not of type 'string'"),
    ("descriptor", ["size"], ..., "'size' is a required property"),
]


def changed(document, path, value):
    """A copy with another value, or none, at the end of `path`."""
    document = json.loads(json.dumps(document))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


@pytest.mark.parametrize("kind", FILES)
def test_a_right_document_is_accepted(kind):
    validate(kind, RIGHT[kind])


@pytest.mark.parametrize(("kind", "path", "value", "problem"), WRONG)
def test_a_wrong_document_is_refused(kind, path, value, problem):
    document = changed(RIGHT[kind], path, value)
    (found,) = problems(kind, document)
    assert problem in found
    with pytest.raises(AssertionError) as error:
        validate(kind, document)
    assert found in str(error.value)


def test_a_problem_says_where_it_is():
    document = changed(RIGHT["manifest"], ["layers", 0, "size"], "7")
    assert problems("manifest", document) == [
        "manifest.layers[0].size: '7' is not of type 'integer'"
    ]


def test_the_schemas_have_their_licence_with_them():
    names = {path.name for path in SCHEMAS.iterdir()}
    assert names == {
        *FILES.values(),
        *("defs.json", "defs-descriptor.json", "LICENSE", "README.md"),
    }
