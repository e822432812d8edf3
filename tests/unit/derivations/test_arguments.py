"""What a builder reads of the derivation that is being built."""

import json
from dataclasses import dataclass, field

import pytest

from builders.console import errors
from builders.console.errors import warn
from builders.derivations import arguments


@dataclass(frozen=True)
class Arguments:
    image: str
    closure: list = field(default_factory=list)


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "_beginning", "")
    monkeypatch.setenv("NIX_BUILD_TOP", str(tmp_path))
    monkeypatch.delenv("NIX_ATTRS_JSON_FILE", raising=False)

    def load(given, *, cores="3", **attributes):
        attributes = {"outputs": {"out": "/out"}, "arguments": given, **attributes}
        (tmp_path / ".attrs.json").write_text(json.dumps(attributes))
        monkeypatch.setenv("NIX_BUILD_CORES", cores)
        return arguments.load()

    return load


def test_the_args_file_is_found_in_the_build_directory(load, tmp_path):
    build = load({"image": "app"})
    assert (build.out, build.top, build.cores) == ("/out", str(tmp_path), 3)
    assert build.arguments(Arguments) == Arguments("app")


def test_graphs_lie_beside_the_arguments(load):
    graph = [{"path": "/nix/store/a"}]
    assert load({"image": "app"}, closure=graph).arguments(Arguments).closure == graph


def test_an_argument_that_is_missing_is_named(load):
    with pytest.raises(KeyError, match="the args file lacks image"):
        load({}).arguments(Arguments)


def test_messages_begin_with_where_the_derivation_says(load, capsys):
    load({"image": "app", "where": "in docker image app"})
    warn("it is large")
    assert capsys.readouterr().err == "warning: in docker image app: it is large\n"
