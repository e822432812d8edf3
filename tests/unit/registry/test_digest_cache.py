"""What layers became is remembered, and a bad memory is none."""

import json

from builders.registry.digest_cache import DigestCache, cache_path

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_what_was_added_is_there_the_next_time(tmp_path):
    path = str(tmp_path / "new/cache")
    DigestCache(path).add("diff", "gz 5", A, 7)
    cache = DigestCache(path)
    assert cache.get("diff", "gz 5") == (A, 7)
    assert cache.get("diff", "gz 6") is None


def test_several_may_add_at_once(tmp_path):
    path = str(tmp_path / "cache")
    first, second = DigestCache(path), DigestCache(path)
    first.add("1", "gz", A, 1)
    second.add("2", "gz", B, 2)
    assert DigestCache(path).get("1", "gz") == (A, 1)
    assert DigestCache(path).get("2", "gz") == (B, 2)


def test_lines_that_can_not_be_read_are_passed_over(tmp_path):
    good = {"diffId": "d", "compressor": "c", "digest": A, "size": 1}
    odd = [{**good, "diffId": "f", "size": size} for size in (1e999, -1, 0, "x", None, [])]
    lines = [
        *map(json.dumps, odd),
        "[" * 100_000,
        "{",
        "[]",
        '"x"',
        '{"diffId": 1}',
        json.dumps({**good, "digest": "x", "diffId": "e"}),
    ]
    (tmp_path / "cache").write_text("\n".join([*lines, json.dumps(good), '{"diff']))
    cache = DigestCache(str(tmp_path / "cache"))
    assert cache.get("d", "c") == (A, 1)
    assert cache.get("e", "c") is None
    assert cache.get("f", "c") is None


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    (tmp_path / "file").write_text("")
    DigestCache(str(tmp_path / "file/cache")).add("d", "c", A, 1)
    DigestCache(None).add("d", "c", A, 1)


def test_the_file_stays_small(tmp_path):
    path = tmp_path / "cache"
    cache = DigestCache(str(path))
    cache.add("first", "c", A, 1)
    line = path.read_bytes()
    filling = b"".join(line.replace(b"first", b"%d" % number) for number in range(40_000))
    path.write_bytes(line + filling)
    assert DigestCache(str(path)).get("39999", "c")
    assert path.stat().st_size < len(filling) * 0.6
    assert DigestCache(str(path)).get("39999", "c")
    assert DigestCache(str(path)).get("first", "c") is None


def test_it_lies_in_the_cache_directory_of_the_user():
    assert cache_path({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == "/c/longshore/layers.jsonl"
    assert cache_path({"HOME": "/h"}) == "/h/.cache/longshore/layers.jsonl"
    assert cache_path({}) is None
