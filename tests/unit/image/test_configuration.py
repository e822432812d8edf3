"""The image configuration says what the plan says, with what it inherits from a base image."""

import pytest

from builders.formats.container_config import INHERITABLE
from builders.image.configuration import merge_env, overlay_config

BASE = {
    "Cmd": ["base"],
    "Entrypoint": ["/base"],
    "Env": ["A=1", "B=1"],
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "base"], "Interval": 5},
    "Labels": {"a": "base", "b": "base"},
    "Shell": ["/base", "-c"],
    "StopSignal": "SIGINT",
    "StopTimeout": 5,
    "User": "base",
    "Volumes": {"/base": {}},
    "WorkingDir": "/base",
}
OWN = {
    "Cmd": ["own"],
    "Entrypoint": ["/own"],
    "Env": ["C=2", "A=2"],
    "ExposedPorts": {"81/udp": {}},
    "Healthcheck": {"Test": ["NONE"]},
    "Labels": {"b": "own", "c": "own"},
    "Shell": ["/own", "-c"],
    "StopSignal": "SIGTERM",
    "StopTimeout": 0,
    "User": "own",
    "Volumes": {"/own": {}},
    "WorkingDir": "own/../here",
}
BOTH = OWN | {
    "Env": ["A=2", "B=1", "C=2"],
    "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
    "Labels": {"a": "base", "b": "own", "c": "own"},
    "Volumes": {"/base": {}, "/own": {}},
    "WorkingDir": "/base/here",
}


def inherit(keys, own, base=BASE):
    """The configuration of an image that inherits `keys`, as the builder hands them over."""
    return overlay_config({key: base.get(key) for key in keys}, own)


def test_the_table_has_every_key():
    assert set(BASE) == set(OWN) == set(INHERITABLE)


@pytest.mark.parametrize("key", INHERITABLE)
def test_a_key_that_is_not_given_is_inherited(key):
    assert inherit([key], {}) == {key: BASE[key]}
    assert inherit([key], None) == {key: BASE[key]}
    assert inherit(INHERITABLE, {}) == BASE


@pytest.mark.parametrize("key", INHERITABLE)
def test_a_given_key_is_merged_or_replaces(key):
    assert inherit([key], {key: OWN[key]}) == {key: BOTH[key]}
    rest = {**BASE, key: BOTH[key]}
    if key == "Entrypoint":
        del rest["Cmd"]
    assert inherit(INHERITABLE, {key: OWN[key]}) == rest
    assert inherit(INHERITABLE, OWN) == BOTH


@pytest.mark.parametrize("key", INHERITABLE)
def test_null_takes_away_what_would_be_inherited(key):
    assert inherit([key], {key: None}) == {}
    gone = {key, "Cmd"} if key == "Entrypoint" else {key}
    rest = {other: value for other, value in BASE.items() if other not in gone}
    assert inherit(INHERITABLE, {key: None}) == rest


@pytest.mark.parametrize("key", INHERITABLE)
def test_a_key_that_is_not_inherited_stays_as_it_is_given(key):
    others = [other for other in INHERITABLE if other != key]
    for own in ({}, {key: None}, {key: OWN[key]}):
        assert inherit([], own) == own
        assert inherit(others, own).get(key, "absent") == own.get(key, "absent")


@pytest.mark.parametrize("key", INHERITABLE)
def test_a_base_image_that_lacks_a_key_adds_nothing(key):
    given = {key: "/x/y" if key == "WorkingDir" else OWN[key]}
    for own in (None, {}, given):
        assert inherit(INHERITABLE, own, base={}) == own
    assert inherit(INHERITABLE, {key: None}, base={}) == {}


@pytest.mark.parametrize("own", [{"Entrypoint": ["/own"]}, {"Entrypoint": []}])
def test_an_entrypoint_without_a_command_drops_that_of_the_base_image(own):
    assert inherit(["Cmd"], own) == own
    assert inherit(["Cmd", "Entrypoint"], own) == own
    with_command = {**own, "Cmd": ["own"]}
    assert inherit(["Cmd", "Entrypoint"], with_command) == with_command


def test_a_command_leaves_the_entrypoint_of_the_base_image():
    assert inherit(["Cmd", "Entrypoint"], {"Cmd": []}) == {"Cmd": [], "Entrypoint": ["/base"]}


@pytest.mark.parametrize("key", ["ExposedPorts", "Labels", "Volumes"])
def test_null_inside_of_a_set_takes_away_a_member(key):
    base = {key: {"x/tcp": "1", "y/tcp": "2"}}
    own = {key: {"x/tcp": None, "absent": None, "z/tcp": "3"}}
    assert inherit([key], own, base=base) == {key: {"y/tcp": "2", "z/tcp": "3"}}
    assert inherit([key], {key: {"x/tcp": None, "y/tcp": None}}, base=base) == {key: {}}
    assert inherit([], own, base=base) == own


def test_a_port_without_a_protocol_is_one_of_tcp():
    base = {"ExposedPorts": {"80/tcp": {}, "80/udp": {}}}
    own = {"ExposedPorts": {"80": {}}}
    assert inherit(["ExposedPorts"], own, base) == {"ExposedPorts": {"80/udp": {}, "80": {}}}
    own = {"ExposedPorts": {"80": None}}
    assert inherit(["ExposedPorts"], own, base) == {"ExposedPorts": {"80/udp": {}}}


@pytest.mark.parametrize(
    ("base", "own", "directory"),
    [
        ("/srv", "/x/../y", "/x/../y"),
        ("/srv", "x", "/srv/x"),
        ("/srv/", "../x//y/", "/x/y"),
        ("//srv", "./x", "/srv/x"),
        ("srv", "x", "/srv/x"),
        (None, "x", "/x"),
        ("/", "..", "/"),
        ("/srv", "", ""),
    ],
)
def test_a_relative_working_directory_is_below_that_of_the_base_image(base, own, directory):
    merged = inherit(["WorkingDir"], {"WorkingDir": own}, base={"WorkingDir": base})
    assert merged == {"WorkingDir": directory}


def test_of_a_variable_the_last_value_stands_at_the_first_place():
    assert merge_env(["A=1", "B=2"], ["C=3", "A=4"]) == ["A=4", "B=2", "C=3"]
    assert merge_env(["FLAG"], ["FLAG=x=y"]) == ["FLAG=x=y"]


def test_own_keys_keep_their_place_and_inherited_ones_follow_in_order():
    own = {"User": "x", "Env": ["C=2"], "Cmd": ["x"]}
    merged = inherit(["WorkingDir", "Env", "Entrypoint"], own)
    assert list(merged) == ["User", "Env", "Cmd", "Entrypoint", "WorkingDir"]


def test_what_is_given_is_left_alone():
    base, own = {"Labels": {"a": "1"}}, {"Labels": {"a": None}}
    inherit(["Labels"], own, base)
    assert (base, own) == ({"Labels": {"a": "1"}}, {"Labels": {"a": None}})
