"""JSON of others: keys as Go's decoder finds them."""

import pytest

from builders.console.errors import UserError
from builders.formats.image_reader import inherited_env
from builders.formats.json_values import JsonValue


@pytest.mark.parametrize("key", ["Env", "env", "ENV"])
def test_a_key_is_found_in_any_case(key):
    assert JsonValue({key: ["A=1"]}, "x", hint="y").in_any_case("Env").strings() == ("A=1",)
    assert inherited_env({"Config": {key: ["A=1"]}}, what="x") == ("A=1",)


@pytest.mark.parametrize(
    "config", [{}, {"config": None}, {"config": {}}, {"config": {"Env": None}}]
)
def test_what_is_missing_is_nothing(config):
    assert inherited_env(config, what="x") == ()


def test_two_spellings_of_a_key_are_refused():
    with pytest.raises(UserError, match="x: config has both Env and env"):
        inherited_env({"config": {"Env": ["A=1"], "env": []}}, what="x")
