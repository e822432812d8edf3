"""Looking into layers."""

import io
import tarfile

import pytest

from builders.accounts.known import Evidence
from builders.accounts.layer_scan import hash_of, mentioned, scan_layer, store_path_of
from builders.compression.readers import CHUNK
from tests.unit.accounts.images import LEFT, RIGHT, layer_tar, path, two_paths


def scan(data):
    return scan_layer(io.BytesIO(data), what="the layer")


def test_bytes_of_members_belong_to_their_store_path_or_directory_with_header_and_padding():
    found = scan(two_paths()[1])
    assert found.paths == {LEFT: 512 + 512}
    assert found.directories == {"/bin": 512, "/etc/app": 512 + 1024}


def test_a_reference_is_found_in_a_file_and_in_the_target_of_a_link():
    found = scan(two_paths()[1])
    assert found.mentions[LEFT] == {
        hash_of(RIGHT): Evidence(f"{LEFT}/bin/left", 100 + len("/nix/store/"))
    }
    assert found.mentions[""] == {hash_of(LEFT): Evidence("/bin/left", len("/nix/store/"))}


@pytest.mark.parametrize("shift", [0, 1, 20, 38, 39, 40, 43, 44, 45])
def test_a_hash_across_the_border_of_two_pieces_is_found_once(shift):
    before = CHUNK - 44 + shift - 5
    data = b"x" * before + RIGHT.encode() + b"y" * 50
    assert list(mentioned(io.BytesIO(data))) == [(hash_of(RIGHT), before + len("/nix/store/"))]


def test_what_is_no_hash_is_no_mention():
    texts = [b"/nix/store/" + b"e" * 32, b"/nix/store/" + b"a" * 31, b"/store/.links/" + b"a" * 32]
    assert list(mentioned(io.BytesIO(b" ".join(texts)))) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (LEFT[1:], LEFT),
        (f"{LEFT[1:]}/bin/x", LEFT),
        (f"opt{LEFT}/x", f"/opt{LEFT}"),
        (LEFT[1:].replace("store", "stores"), None),
        ("nix/store", None),
        ("nix/store/.links/a", None),
        ("etc/passwd", None),
    ],
)
def test_a_member_lies_in_a_store_path_or_in_none(name, expected):
    assert store_path_of(name) == expected


def test_a_store_path_that_is_a_file_counts_its_bytes():
    assert scan(layer_tar({LEFT: b"x"})).paths == {LEFT: 1024}


def test_a_hard_link_refers_to_what_its_file_names_and_not_to_where_it_leads():
    out = io.BytesIO()
    other = path("other-1")
    with tarfile.open(fileobj=out, mode="w") as archive:
        header = tarfile.TarInfo(f"{RIGHT[1:]}/file")
        header.size = len(other)
        archive.addfile(header, io.BytesIO(other.encode()))
        header = tarfile.TarInfo(f"{LEFT[1:]}/file")
        header.type, header.linkname = tarfile.LNKTYPE, f"{RIGHT[1:]}/file"
        archive.addfile(header)
    found = scan(out.getvalue())
    assert found.paths == {RIGHT: 1024, LEFT: 512}
    place = {hash_of(other): Evidence(f"{RIGHT}/file", len("/nix/store/"))}
    assert found.mentions == {RIGHT: place, LEFT: place}
