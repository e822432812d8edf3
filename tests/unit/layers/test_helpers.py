"""Helper processes of a stream: the same bytes as without them, and the same errors."""

import hashlib
import os
import random
import signal
import socket
import threading

import pytest

from builders.console.errors import UserError
from builders.layers import helper_process
from builders.layers import helpers as helpers_module
from builders.layers.helpers import Helpers
from builders.layers.store_paths import hash_store_layer, write_store_layer
from builders.tar.header import Attributes, Owner
from builders.tar.sinks import FileSink, HashSink, Sink
from tests.unit.support import deadline

ROOT = Attributes(Owner(0, 0, "root", "root"), mtime=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Directories of many files, small and large, with links and long and odd names."""
    root = tmp_path_factory.mktemp("tree") / "store" / "0123-tree"
    chance = random.Random(7)
    for number in range(3000):
        directory = root / "/".join(chance.choices("abcd", k=chance.randint(0, 4)))
        directory.mkdir(parents=True, exist_ok=True)
        name = chance.choice(["", "é", "x" * 120]) + str(number)
        if number % 20 == 0:
            (directory / name).symlink_to("y" * chance.randint(1, 200))
        else:
            size = chance.choice([0, 1, 511, 512, 513, 5000, 1 << 15, (1 << 15) - 1, 400_000])
            (directory / name).write_bytes(chance.randbytes(size))
    return root


def written(tree, count, open_output=os.pipe):
    """The layer of `tree`, written with so many helpers to the second of two file descriptors."""
    reader, writer = open_output()
    parts = []

    def read():
        while data := os.read(reader, 1 << 20):
            parts.append(data)

    thread = threading.Thread(target=read)
    with Helpers(count) as helpers:
        # Forking comes before the thread: it is the test's, and no process of Longshore has one.
        for number in range(min(count, helpers_module._MOST)):
            helpers._helper(number)
        thread.start()
        try:
            sink = FileSink(writer)
            size = write_store_layer(
                sink,
                [str(tree)],
                attributes=ROOT,
                store_dir=str(tree.parent),
                helpers=helpers,
            )
            sink.flush()
        finally:
            os.close(writer)
    thread.join()
    os.close(reader)
    data = b"".join(parts)
    assert size == len(data)
    return data


def sockets():
    return tuple(end.detach() for end in socket.socketpair())


@pytest.fixture(scope="module")
def alone(tree):
    return written(tree, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_bytes_do_not_depend_on_the_number_of_helpers(tree, alone, count):
    assert written(tree, count) == alone


def test_a_socket_gets_the_same_bytes(tree, alone):
    assert written(tree, 2, sockets) == alone


@pytest.mark.parametrize("flags", [0, os.O_APPEND])
def test_a_file_gets_the_same_bytes(tree, alone, tmp_path, flags):
    output = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY | flags)
    with Helpers(2) as helpers:
        sink = FileSink(output)
        write_store_layer(
            sink, [str(tree)], attributes=ROOT, store_dir=str(tree.parent), helpers=helpers
        )
        sink.flush()
    os.close(output)
    assert (tmp_path / "out").read_bytes() == alone


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_bytes_do_not_depend_on_the_size_of_batches(tree, alone, monkeypatch, batch):
    monkeypatch.setattr(helpers_module, "_BATCH", batch)
    monkeypatch.setattr(helpers_module, "_OWN_BATCH", 3)
    assert written(tree, 2) == alone


@pytest.mark.parametrize("ahead", [0, 1 << 28])
def test_a_hash_of_the_same_bytes_comes_with_helpers(tree, alone, monkeypatch, ahead):
    started = []
    helper = Helpers._helper
    monkeypatch.setattr(
        Helpers, "_helper", lambda self, number: started.append(number) or helper(self, number)
    )
    digest, size = hash_store_layer(
        [str(tree)], attributes=ROOT, store_dir=str(tree.parent), ahead=ahead, helpers=2
    )
    assert (digest, size) == (hashlib.sha256(alone).hexdigest(), len(alone))
    assert {0, 1} <= set(started)


@pytest.mark.parametrize("slot", [1, 600, 70_000])
def test_what_has_no_room_in_shared_memory_is_hashed_too(tree, alone, monkeypatch, slot):
    monkeypatch.setattr(helper_process, "_SLOT", slot)
    digest, size = hash_store_layer(
        [str(tree)], attributes=ROOT, store_dir=str(tree.parent), ahead=0, helpers=2
    )
    assert (digest, size) == (hashlib.sha256(alone).hexdigest(), len(alone))


def test_an_error_of_a_helper_that_shares_memory_is_raised(tmp_path):
    for number in range(1000):
        (tmp_path / f"{number:04}").write_text("x")
    with socket.socket(socket.AF_UNIX) as bad:
        bad.bind(str(tmp_path / f"{helpers_module._OWN_BATCH + 50:04}a"))
        with pytest.raises(UserError, match="0210a is a socket, which no layer can hold"):
            hash_store_layer(
                [str(tmp_path)], attributes=ROOT, store_dir=str(tmp_path.parent), helpers=1
            )


@pytest.mark.parametrize("ready", [True, False])
def test_who_is_waited_for_gets_less_to_write(ready):
    class Helper:
        def is_ready(self):
            return ready

    helpers = Helpers(1)
    for _ in range(100):
        helpers._balance([Helper()])  # type: ignore[list-item]
    assert helpers._own == (helpers_module._LEAST_OWN if ready else helpers_module._BATCH)


def test_a_hash_that_has_enough_to_do_asks_for_no_help():
    sink = HashSink(ahead=1 << 30)
    assert sink.wants_help
    for _ in range(10):
        sink._count(bytes(1 << 20), 1)
    assert not sink.wants_help


def test_the_same_helpers_write_several_layers(tree, alone, tmp_path):
    with (
        open(tmp_path / "out", "wb", buffering=0) as output,
        Helpers(2) as helpers,
    ):
        sink = FileSink(output.fileno())
        for _ in range(3):
            write_store_layer(
                sink, [str(tree)], attributes=ROOT, store_dir=str(tree.parent), helpers=helpers
            )
        sink.flush()
        assert len(helpers._helpers) == 2
    assert (tmp_path / "out").read_bytes() == 3 * alone


def test_long_names_that_fill_the_pipes_both_ways_stop_nobody(tmp_path):
    for number in range(1500):
        (tmp_path / f"{number:0250}").write_bytes(bytes(5000))
    with deadline(60):
        assert written(tmp_path, 1) == written(tmp_path, 0)


def test_a_small_layer_starts_no_helper(tmp_path):
    (tmp_path / "file").write_text("x")
    with open(os.devnull, "wb") as output, Helpers(3) as helpers:
        sink = FileSink(output.fileno())
        write_store_layer(
            sink, [str(tmp_path)], attributes=ROOT, store_dir=str(tmp_path.parent), helpers=helpers
        )
        assert not helpers._helpers


class Parts(Sink):
    """A sink of another kind than Longshore has, which defines no more than it has to."""

    def __init__(self):
        self.parts = []

    def write(self, data):
        assert isinstance(data, bytes)
        self.parts.append(data)


class PartsInMemory(Parts):
    shares_memory = True


class PartsAlone(Parts):
    wants_help = False


class PartsByOtherWays(Parts):
    """Says for itself how files and pipes are taken."""

    copy_from = 5000

    def __init__(self):
        super().__init__()
        self.copied = self.spliced = 0

    def copy(self, file, size, path, *, hint=""):
        assert hint == "some hint"
        self.copied += size
        super().copy(file, size, path, hint=hint)

    def splice(self, pipe, size):
        self.spliced += size
        return super().splice(pipe, size)


@pytest.mark.parametrize(
    ("kind", "started"), [(Parts, 2), (PartsInMemory, 2), (PartsAlone, 0), (PartsByOtherWays, 2)]
)
def test_a_sink_of_a_new_kind_gets_the_same_bytes_and_the_help_that_it_wants(
    tree, alone, kind, started
):
    sink = kind()
    with Helpers(2) as helpers:
        size = write_store_layer(
            sink,
            [str(tree)],
            attributes=ROOT,
            store_dir=str(tree.parent),
            helpers=helpers,
            hint="some hint",
        )
        assert len(helpers._helpers) == started
    assert b"".join(sink.parts) == alone
    assert size == len(alone)
    if kind is PartsByOtherWays:
        files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
        sizes = [path.stat().st_size for path in files]
        assert sink.copied == sum(size for size in sizes if size >= 5000)
        assert sink.spliced > 0


def test_a_sink_has_to_say_how_it_writes():
    class Nothing(Sink):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?write"):
        Nothing()  # type: ignore[abstract]


def test_the_same_helpers_serve_sinks_of_all_kinds_in_turn(tree, alone, tmp_path):
    with open(tmp_path / "out", "wb", buffering=0) as output, Helpers(2) as helpers:
        file, hashed, memory = FileSink(output.fileno()), HashSink(ahead=0), PartsInMemory()
        for sink in (hashed, file, memory, file, hashed):
            write_store_layer(
                sink, [str(tree)], attributes=ROOT, store_dir=str(tree.parent), helpers=helpers
            )
            sink.flush()
        assert len(helpers._helpers) == 2
    assert (tmp_path / "out").read_bytes() == 2 * alone
    assert b"".join(memory.parts) == alone
    assert hashed.digest() == hashlib.sha256(2 * alone).hexdigest()


def test_an_error_of_a_helper_is_raised(tmp_path):
    for number in range(1000):
        (tmp_path / f"{number:04}").write_text("x")
    with open(os.devnull, "wb") as output, Helpers(1) as helpers:
        sink = FileSink(output.fileno())
        with socket.socket(socket.AF_UNIX) as bad:
            bad.bind(str(tmp_path / f"{helpers_module._OWN_BATCH + 50:04}a"))
            with pytest.raises(UserError) as failed:
                write_store_layer(
                    sink,
                    [str(tmp_path)],
                    attributes=ROOT,
                    store_dir=str(tmp_path.parent),
                    helpers=helpers,
                )
    assert "0210a is a socket, which no layer can hold" in str(failed.value)


def test_a_helper_that_was_killed_is_an_error(tree):
    with open(os.devnull, "wb") as output, Helpers(1) as helpers:
        os.kill(helpers._helper(0)._process, signal.SIGKILL)
        sink = FileSink(output.fileno())
        with pytest.raises(UserError, match="a helper process was killed"):
            write_store_layer(
                sink, [str(tree)], attributes=ROOT, store_dir=str(tree.parent), helpers=helpers
            )


def test_helpers_end_with_the_stream(tree):
    with Helpers(3) as helpers:
        processes = [helpers._helper(number)._process for number in range(3)]
    for process in processes:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, 0)
        assert not os.path.exists(f"/proc/{process}")
