"""Image indexes: which of the images is taken, and what is none."""

import json

import pytest

from builders.console.errors import UserError
from builders.formats.image_index import choose_platform, read_index
from builders.image.platform import Platform


def index(*platforms):
    manifests = []
    for number, platform in enumerate(platforms):
        names = ("os", "architecture", "variant")
        entry: dict[str, object] = {"digest": f"sha256:{number:064}"}
        if platform:
            entry["platform"] = dict(zip(names, platform.split("/"), strict=False))
        manifests.append(entry)
    return json.dumps({"manifests": manifests}).encode()


@pytest.mark.parametrize(
    ("platforms", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64/v8"], ("linux", "arm64"), "1"),
        (["windows/amd64", "linux/amd64"], ("linux", "amd64"), "1"),
        (["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], ("linux", "arm"), "1"),
        (["linux/arm/v7", "linux/arm"], ("linux", "arm"), "1"),
        (["linux/mips/x", "linux/mips/y"], ("linux", "mips"), "0"),
        (["unknown/unknown", "", "linux/amd64"], ("linux", "amd64"), "2"),
    ],
)
def test_of_an_index_the_entry_is_taken_that_skopeo_takes(platforms, wanted, chosen):
    os_name, architecture = wanted
    entries = read_index(index(*platforms), what="app", hint="mend it")
    digest = choose_platform(entries, Platform(os_name, architecture)).digest
    assert digest == f"sha256:{int(chosen):064}"


def test_an_index_without_the_platform_says_what_it_has():
    data = index("linux/amd64", "unknown/unknown", "linux/arm/v7")
    entries = read_index(data, what="app", hint="mend it")
    assert choose_platform(entries, Platform("linux", "s390x")) is None
    assert [str(entry.platform) for entry in entries] == ["linux/amd64", "linux/arm/v7"]


def test_a_manifest_is_no_index():
    data = b'{"schemaVersion": 2, "layers": []}'
    assert read_index(data, what="app", hint="mend it") is None


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b"3", b'{"manifests": 3}', b"\xff", b"[" * 9999]
)
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(UserError, match=r"^the index of app.*; mend it$"):
        read_index(data, what="the index of app", hint="mend it")
