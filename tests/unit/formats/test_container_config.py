"""What an image takes over from a base image has the shape that engines read."""

import pytest

from builders.console.errors import UserError
from builders.formats.container_config import (
    INHERITABLE,
    build_triggers,
    read_container_config,
    read_platform,
)

HEALTHCHECK = {"Test": ["CMD", "x"], "Interval": 5, "Retries": 0, "Timeout": None}
WHOLE = {
    "Cmd": ["sh"],
    "Entrypoint": ["/init", "--"],
    "Env": ["A=1", "NOTHING"],
    "ExposedPorts": {"80/tcp": {}, "53/udp": None},
    "Healthcheck": HEALTHCHECK,
    "Labels": {"a": "1", "b": None},
    "Shell": ["/bin/bash", "-c"],
    "StopSignal": "SIGINT",
    "StopTimeout": 0,
    "User": "1000:100",
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
}
READ = WHOLE | {
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5, "Retries": 0},
    "Labels": {"a": "1", "b": ""},
}


def read(config, keys=INHERITABLE):
    return read_container_config({"config": config}, keys, what="base", hint="mend it")


def test_every_key_is_read_as_go_reads_it():
    assert read(WHOLE) == READ


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_keys_are_found_in_any_case(change):
    config = {change(key): value for key, value in WHOLE.items()}
    config[change("Healthcheck")] = {change(key): part for key, part in HEALTHCHECK.items()}
    assert read_container_config({"Config": config}, INHERITABLE, what="base") == READ


def test_only_the_given_keys_are_read():
    assert read({**WHOLE, "Cmd": 7}, ["User", "Labels"]) == {
        "User": "1000:100",
        "Labels": {"a": "1", "b": ""},
    }
    assert read({"Cmd": 7}, []) == {}


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {}}])
def test_a_key_that_is_missing_is_none(config):
    assert read_container_config(config, ["Env"], what="base") == {"Env": None}
    assert read_container_config(config, INHERITABLE, what="base") == dict.fromkeys(INHERITABLE)


@pytest.mark.parametrize("key", INHERITABLE)
def test_what_is_empty_is_none(key):
    empty = {str: "", int: None}.get(type(WHOLE[key]), type(WHOLE[key])())
    for value in (None, empty):
        assert read({key: value}) == dict.fromkeys(INHERITABLE)


def test_no_other_key_is_inheritable():
    others = {"OnBuild": ["RUN x"], "ArgsEscaped": True, "Hostname": "h", "Memory": 5, "Tty": True}
    assert read(others) == dict.fromkeys(INHERITABLE)


WRONG = [
    ("Cmd", "sh", 'base: config: Cmd should be a list of strings and is "sh"'),
    ("Cmd", ["sh", 1], "Cmd should be a list of strings"),
    ("Entrypoint", {}, "Entrypoint should be a list of strings and is {}"),
    ("Env", ["A=1", None], "Env should be a list of strings"),
    ("ExposedPorts", ["80"], 'ExposedPorts should be an object and is ["80"]'),
    ("ExposedPorts", {"80": 1}, "ExposedPorts: 80 should be an object and is 1"),
    ("Healthcheck", ["NONE"], "Healthcheck should be an object"),
    ("Healthcheck", {"Test": "NONE"}, "Healthcheck: Test should be a list of strings"),
    ("Healthcheck", {"Interval": "5s"}, "Interval should be a whole number of 64 bits"),
    ("Healthcheck", {"Test": [], "test": []}, "Healthcheck has both Test and test"),
    ("Labels", ["a=1"], "Labels should be an object"),
    ("Labels", {"a": 1}, "Labels: a should be a string and is 1"),
    ("Shell", "/bin/sh", "Shell should be a list of strings"),
    ("StopSignal", 15, "StopSignal should be a string and is 15"),
    ("StopTimeout", "10", "StopTimeout should be a whole number of 64 bits"),
    ("StopTimeout", 1 << 63, "StopTimeout should be a whole number of 64 bits"),
    ("User", 1000, "User should be a string and is 1000"),
    ("Volumes", "/data", "Volumes should be an object"),
    ("WorkingDir", False, "WorkingDir should be a string and is false"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_key_of_another_shape_is_refused_if_it_is_read(key, value, message):
    with pytest.raises(UserError) as caught:
        read({key: value})
    assert message in str(caught.value)
    assert str(caught.value).endswith("; mend it")
    others = [other for other in INHERITABLE if other != key]
    assert read({key: value}, others) == dict.fromkeys(others)


def test_every_key_has_a_wrong_shape_here():
    assert {key for key, _, _ in WRONG} == set(INHERITABLE)


def test_two_spellings_of_a_key_are_refused():
    with pytest.raises(UserError, match="base: config has both User and user"):
        read({"User": "a", "user": "a"})


@pytest.mark.parametrize(
    ("config", "triggers"),
    [
        ({"OnBuild": ["RUN a", "COPY . /"]}, ["RUN a", "COPY . /"]),
        ({"onbuild": ["RUN a"]}, ["RUN a"]),
        ({"OnBuild": None}, []),
        ({"OnBuild": ["RUN a", 5, ""]}, ["RUN a"]),
        ({"OnBuild": "RUN a"}, []),
        ({}, []),
    ],
)
def test_build_triggers_are_what_is_a_text(config, triggers):
    assert build_triggers({"config": config}, what="base") == triggers
    assert build_triggers({}, what="base") == []


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"OS": "linux", "Architecture": "amd64", "variant": ""}, "linux/amd64"),
        ({"architecture": "amd64"}, "amd64"),
        ({"os": None, "architecture": None, "variant": None}, ""),
    ],
)
def test_the_platform_of_a_base_image_is_what_it_says(config, shown):
    assert str(read_platform(config, what="base")) == shown


def test_a_platform_that_is_no_string_is_refused():
    with pytest.raises(UserError, match="base: architecture should be a string and is 5"):
        read_platform({"architecture": 5}, what="base")
