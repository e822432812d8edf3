"""Layers in files until they are sent."""

import threading

import pytest

from builders.compression.members import Members
from builders.console.errors import UserError
from builders.layers.resources import Resources
from builders.registry.spool import Spool
from tests.unit.plans import make_plan
from tests.unit.registry.pushing import opened
from tests.unit.support import deadline


def changed():
    return UserError("changed", hint="hint")


def make(spool, layer, resources, made):
    """Make a layer, and add its file to `made`."""
    with Members(layer.format, 2) as members:
        spool.make(
            layer, resources, members, changed=changed, done=lambda _, file: made.append(file)
        )
        members.finish()


def test_no_more_than_the_limit_and_a_layer_lies_there(tmp_path):
    contents = {f"path-{number}": bytes([number]) * 1000 for number in range(6)}
    layers = opened(make_plan(tmp_path, contents)).layers
    directory = tmp_path / "spool"
    directory.mkdir()
    spool = Spool(str(directory), limit=0)
    most = 0
    made = []

    def remove():
        while len(made) < len(layers):
            if len(made) > removed[0]:
                spool.remove(made[removed[0]])
                removed[0] += 1

    removed = [0]
    thread = threading.Thread(target=remove)
    thread.start()
    with deadline(60), Resources(helpers=0) as resources:
        for layer in layers:
            make(spool, layer, resources, made)
            most = max(most, len(list(directory.iterdir())))
    thread.join()
    assert most <= 2


def test_a_layer_of_another_diff_id_is_refused(tmp_path):
    plan = make_plan(tmp_path, {"path": b"content"})
    (tmp_path / "store/path/file").write_bytes(b"CONTENT")
    spool = Spool(str(tmp_path))
    with Resources(helpers=0) as resources, pytest.raises(UserError, match="changed"):
        make(spool, opened(plan).layers[0], resources, [])


def test_who_waits_for_room_stops_when_told(tmp_path):
    layers = opened(make_plan(tmp_path, {"path": b"content"})).layers
    spool = Spool(str(tmp_path), limit=0)
    with Resources(helpers=0) as resources:
        make(spool, layers[0], resources, [])
        threading.Timer(0.2, spool.stop).start()
        with deadline(10):
            make(spool, layers[1], resources, [])
