"""Bytes of blobs, read while they are made."""

import hashlib
import os
import threading

import pytest

from builders.blobs.descriptors import Descriptor
from builders.blobs.source import Blob, Bytes, Content
from builders.console.errors import UserError
from builders.registry.bodies import InFile, InMemory, Made
from tests.unit.support import deadline

CONTENT = os.urandom(3 << 20)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def made(content, *, digest=DIGEST, size=3 << 20):
    blob = Blob(Descriptor("type", digest, size), content)
    return Made(blob, threads=1, hint="hint", changed=lambda: UserError("changed", hint="hint"))


@pytest.mark.parametrize("offset", [0, 1, 1 << 18, (1 << 18) + 1, len(CONTENT) - 1])
def test_all_kinds_are_read_from_anywhere_on(offset, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    for blob in (
        InMemory(DIGEST, CONTENT),
        InFile(DIGEST, len(CONTENT), str(tmp_path / "file")),
        made(Bytes(CONTENT)),
    ):
        assert b"".join(blob.read(offset)) == CONTENT[offset:]
        assert b"".join(blob.read(offset)) == CONTENT[offset:]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_other_bytes_than_those_of_the_digest_never_come_whole(content):
    got = []
    with pytest.raises(UserError, match="changed; hint"):
        got.extend(made(Bytes(content)).read())
    assert len(b"".join(got)) < len(CONTENT)


class _Failing(Content):
    def write(self, sink, resources):
        sink.write(CONTENT)
        raise OSError(28, "No space left on device", "/file")


def test_a_failure_of_the_machine_is_none_of_the_connection():
    with pytest.raises(UserError, match="/file: No space left on device"):
        list(made(_Failing(), size=len(CONTENT) + 1).read())


class _Endless(Content):
    ended = threading.Event()

    def write(self, sink, resources):
        try:
            while True:
                sink.write(bytes(1 << 20))
        finally:
            self.ended.set()


def test_who_makes_it_stops_when_nobody_reads_and_is_never_far_ahead():
    reading = made(_Endless(), size=1 << 40).read()
    next(reading)
    with deadline(10):
        reading.close()
    assert _Endless.ended.is_set()
