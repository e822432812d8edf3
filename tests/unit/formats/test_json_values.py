"""JSON of others: keys as Go's decoder finds them."""

import pytest

from builders.console.errors import UserError
from builders.formats.json_values import JsonValue


@pytest.mark.parametrize("key", ["Env", "env", "ENV"])
def test_a_key_is_found_in_any_case(key):
    assert JsonValue({key: ["A=1"]}, "x", hint="y").in_any_case("Env").strings() == ("A=1",)


def test_two_spellings_of_a_key_are_refused():
    with pytest.raises(UserError, match="x has both Env and env"):
        JsonValue({"Env": ["A=1"], "env": []}, "x", hint="y").in_any_case("Env")


@pytest.mark.parametrize("number", [0, -1, (1 << 63) - 1, -(1 << 63), None])
def test_an_integer_is_one_that_64_bits_hold(number):
    assert JsonValue(number, "x", hint="y").integer_or_none() == number


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 1.5, 1.0, True, "1"])
def test_what_64_bits_do_not_hold_is_no_integer(value):
    with pytest.raises(UserError, match="x should be a whole number of 64 bits and is"):
        JsonValue(value, "x", hint="y").integer_or_none()
