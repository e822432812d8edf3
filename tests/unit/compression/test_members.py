"""Pieces that are compressed by themselves, and reach their targets in order."""

import gzip
import re
from functools import partial

import pytest
import zstandard

from builders.compression import members
from builders.compression.members import MEMBER_SIZES, MemberFormat, Members

DECOMPRESS = {
    "gz": gzip.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
}


@pytest.mark.parametrize("compressor", ["gz", "zstd"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_targets_get_their_pieces_in_order(compressor, threads):
    first, second = [], []
    pieces = [bytes([number]) * (1000 + number) for number in range(20)]
    with Members(MemberFormat(compressor, 3), threads) as compressing:
        for number, piece in enumerate(pieces):
            compressing.add(piece, (first if number < 13 else second).append)
        compressing.finish()
    assert [DECOMPRESS[compressor](piece) for piece in first] == pieces[:13]
    assert [DECOMPRESS[compressor](piece) for piece in second] == pieces[13:]


def test_few_pieces_wait():
    handed = []
    with Members(MemberFormat("gz", 1), 2) as compressing:
        for number in range(50):
            compressing.add(b"x", handed.append)
            assert number - len(handed) < 2 * 2
        compressing.finish()
    assert len(handed) == 50


def test_what_a_target_raises_reaches_the_caller():
    def refuse(_):
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Members(MemberFormat("gz", 1), 1) as compressing:
        compressing.add(b"x", refuse)
        compressing.finish()


@pytest.mark.parametrize(("compressor", "level"), [("xz", 3), ("gz", 0), ("gz", 13), ("zstd", 20)])
def test_a_format_that_there_is_none_of_is_refused(compressor, level):
    with pytest.raises(ValueError, match=compressor):
        MemberFormat(compressor, level)


def test_a_format_says_all_that_its_bytes_depend_on(monkeypatch):
    monkeypatch.setattr(members, "libdeflate_version", lambda: "1.99")
    assert str(MemberFormat("gz", 7)) == "libdeflate 1.99, level 7, members of 1048576 bytes"
    found = re.fullmatch(
        r"zstd (\d+)\.(\d+)\.(\d+), level 3, members of 4194304 bytes", str(MemberFormat("zstd", 3))
    )
    assert found and tuple(map(int, found.groups())) == zstandard.ZSTD_VERSION
    assert MEMBER_SIZES.keys() == {"gz", "zstd"}


def test_who_waits_is_called_behind_what_was_added_before():
    seen = []
    with Members(MemberFormat("gz", 1), 2) as members:
        for number in range(3):
            members.add(b"x" * 1000, lambda _: seen.append("piece"))
            members.then(partial(seen.append, f"after {number}"))
        members.finish()
    assert seen == ["piece", "after 0", "piece", "after 1", "piece", "after 2"]
