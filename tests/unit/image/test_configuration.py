"""The image configuration says what the plan says."""

from builders.image.configuration import merge_env, overlay_config


def test_of_a_variable_the_last_value_stands_at_the_first_place():
    assert merge_env(["A=1", "B=2"], ["C=3", "A=4"]) == ["A=4", "B=2", "C=3"]
    assert merge_env(["FLAG"], ["FLAG=x=y"]) == ["FLAG=x=y"]


def test_only_env_is_inherited_from_the_base_image():
    base = {"Env": ["A=1"], "Cmd": ["sh"], "User": "x"}
    assert overlay_config(base, {"Entrypoint": ["e"]}) == {"Entrypoint": ["e"], "Env": ["A=1"]}
    assert overlay_config(base, None) == {"Env": ["A=1"]}
    assert overlay_config({"Env": None}, None) is None
    assert overlay_config(None, {"Env": ["A=1"]}) == {"Env": ["A=1"]}
