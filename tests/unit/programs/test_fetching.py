"""Fetching store paths layer by layer, with programs in place of Nix's."""

import os
import stat
import threading
from dataclasses import replace

import pytest

from builders.blobs.layer_compression import LayerCompression
from builders.blobs.open_images import open_layer
from builders.console.errors import UserError
from builders.programs.fetching import Fetcher
from tests.unit.plans import store_layer

HASH = "0" * 31
NIX = """#!/bin/sh
case "$*" in
  *"config show"*) printf '{"substituters": {"value": ["%s"]}}' "$CACHE" ;;
  *dump-path*)
    for last; do :; done
    echo "$last" >>"$CACHE/log"
    file="$CACHE/$(basename "$last")"
    test -e "$file" || { echo "error: ${SAYS:-path $last is not valid}" >&2; exit 1; }
    exec cat "$file" ;;
esac
"""
NIX_STORE = """#!/bin/sh
if test -n "$FULL"; then
  echo "error: writing to file: No space left on device" >&2
  exit 1
fi
test "$1" = --restore && mkdir "$2" && cat >"$2/file"
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A binary cache: what it has, by the name of the store path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"nix": NIX, "nix-store": NIX_STORE}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    directory = tmp_path / "cache"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("CACHE", str(directory))
    return directory


@pytest.fixture
def told():
    """What is told of paths that were fetched."""
    return []


@pytest.fixture
def fetcher(tmp_path, told):
    directory = tmp_path / "fetched"
    directory.mkdir()
    with Fetcher(str(directory), tell=told.append, limit=1000) as made:
        yield made


def path_of(number):
    return f"/nix/store/{HASH}{number}-p{number}"


def layer_of(*numbers, size=100):
    """A layer of store paths of this machine's that nobody has built."""
    made = store_layer("/nix/store", path_of(numbers[0]))
    made = replace(
        made, paths=tuple(map(path_of, numbers)), diff_id=f"sha256:{'0' * 64}", size=size
    )
    return open_layer(made, LayerCompression("gz"))


def offer(cache, *numbers, size=100):
    for number in numbers:
        (cache / os.path.basename(path_of(number))).write_bytes(bytes(size))


def fetched(cache):
    """The store paths that the cache was asked for."""
    log = cache / "log"
    return [os.path.basename(line)[32:] for line in log.read_text().split()] if log.exists() else []


def held(tmp_path):
    """The store paths that lie somewhere below the directory."""
    return sorted(path.name[33:] for path in (tmp_path / "fetched").glob("*/*"))


def test_what_is_missing_is_fetched_when_the_layer_is_read(cache, fetcher, told):
    offer(cache, 1, 2)
    with fetcher.ready(layer_of(1, 2)) as places:
        assert set(places) == {path_of(1), path_of(2)}
        for path, place in places.items():
            assert os.path.basename(place) == os.path.basename(path)
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o555
            assert stat.S_IMODE(os.stat(f"{place}/file").st_mode) == 0o444
    assert sorted(told) == [f"fetched {path_of(n)} from {cache}" for n in (1, 2)]


def test_nothing_is_fetched_that_is_there(cache, fetcher, tmp_path):
    plan = store_layer(tmp_path, str(tmp_path / f"{HASH}1-p"))
    (tmp_path / f"{HASH}1-p").mkdir()
    layer = open_layer(replace(plan, diff_id=f"sha256:{'0' * 64}", size=1), LayerCompression("gz"))
    with fetcher.ready(layer) as places:
        assert places == {}
    assert fetched(cache) == []


def test_room_is_made_once_a_layer_is_read(cache, fetcher, tmp_path):
    offer(cache, 1, 2, 3, size=600)
    layers = [layer_of(number, size=600) for number in (1, 2, 3)]
    fetcher.expect(layers)
    for number, layer in enumerate(layers, 1):
        with fetcher.ready(layer):
            assert f"p{number}" in held(tmp_path)
            assert len(held(tmp_path)) <= 2
    assert len(held(tmp_path)) <= 1


def test_what_there_is_room_for_stays_for_another_place_to_push_to(cache, fetcher):
    offer(cache, 1, 2)
    for _ in range(2):
        for number in (1, 2):
            with fetcher.ready(layer_of(number)):
                pass
    assert sorted(fetched(cache)) == ["-p1", "-p2"]


def test_a_path_of_several_layers_is_fetched_once(cache, fetcher, tmp_path):
    offer(cache, 1, size=5000)
    layers = [layer_of(1), layer_of(1), layer_of(1)]
    fetcher.expect(layers)
    for layer in layers:
        with fetcher.ready(layer):
            pass
    assert fetched(cache) == ["-p1"]
    assert held(tmp_path) == []


def test_the_next_layer_comes_while_one_is_read(cache, fetcher):
    offer(cache, 1, 2)
    layers = [layer_of(1), layer_of(2)]
    fetcher.expect(layers)
    with fetcher.ready(layers[0]):
        fetcher._fetched[path_of(2)].result()
    assert sorted(fetched(cache)) == ["-p1", "-p2"]


def test_the_next_layer_waits_where_there_is_no_room(cache, fetcher):
    offer(cache, 1, 2)
    layers = [layer_of(1), layer_of(2, size=2000)]
    fetcher.expect(layers)
    with fetcher.ready(layers[0]):
        pass
    assert fetched(cache) == ["-p1"]


def test_layers_that_are_read_at_once_wait_for_room(cache, fetcher):
    offer(cache, 1, 2)
    second = threading.Event()

    def read():
        with fetcher.ready(layer_of(2, size=600), among_others=True):
            second.set()

    with fetcher.ready(layer_of(1, size=600), among_others=True):
        thread = threading.Thread(target=read)
        thread.start()
        assert not second.wait(0.2)
        assert fetched(cache) == ["-p1"]
    thread.join()
    assert second.is_set()


def test_a_path_that_no_cache_has_is_named(cache, fetcher):
    with (
        pytest.raises(UserError, match=f"{path_of(1)} is missing, and no binary cache has it"),
        fetcher.ready(layer_of(1)),
    ):
        pass


def test_a_cache_that_fails_is_told_of(cache, fetcher, monkeypatch):
    monkeypatch.setenv("SAYS", "unable to download 'https://x': Couldn't connect to server (7)")
    with pytest.raises(UserError) as found, fetcher.ready(layer_of(1)):
        pass
    assert str(found.value).startswith(
        f"{path_of(1)} is missing, and can't be fetched: {cache}: unable to download "
    )


def test_a_disk_that_is_full_is_told_of(cache, fetcher, tmp_path, monkeypatch):
    offer(cache, 1)
    monkeypatch.setenv("FULL", "yes")
    with pytest.raises(UserError) as found, fetcher.ready(layer_of(1)):
        pass
    assert str(found.value).startswith(f"can't unpack {path_of(1)} into {tmp_path}/fetched/")
    assert "No space left on device; make room there, or set TMPDIR to a" in str(found.value)


def test_a_machine_without_nix_is_told_of(fetcher, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="there is no program 'nix' to get them"):
        fetcher.find(path_of(1))


def test_the_end_waits_for_nothing(cache, tmp_path):
    offer(cache, 2)
    os.mkfifo(cache / os.path.basename(path_of(1)))
    directory = tmp_path / "fetched"
    directory.mkdir()
    with Fetcher(str(directory), tell=lambda _: None) as fetcher:
        layers = [layer_of(2), layer_of(1)]
        fetcher.expect(layers)
        with fetcher.ready(layers[0]):
            pass
        coming = fetcher._fetched[path_of(1)]
    assert coming.cancelled() or coming.result().place is None
