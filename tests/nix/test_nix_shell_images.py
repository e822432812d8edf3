"""Nix shell images: names, tags, and derivations that have no shell."""

import pytest

from tests.nix.images import NixError, archive, build, evaluate


def test_names_and_tags():
    assert evaluate("(streamNixShellImage { drv = hello; }).imageName") == evaluate(
        '"${hello.name}-env"'
    )
    stream = "streamNixShellImage { drv = hello; }"
    conf = build(f"({stream}).conf")
    assert evaluate(f"({stream}).imageTag") == conf.name.partition("-")[0]
    path = build('buildNixShellImage { drv = hello; name = "other"; compressor = "zstd"; }')
    assert path.name.endswith(evaluate('"-${hello.name}-env.tar.zst"'))
    assert archive('buildNixShellImage { drv = hello; name = "other"; tag = "1"; }').manifest[
        "RepoTags"
    ] == ["other:1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("drv = bash;", "uses __structuredAttrs, which only Nix can hand to a builder"),
        (
            'drv = runCommand "fixed" { outputHash = lib.fakeHash; outputHashAlgo = null; } "";',
            "the derivation fixed has a fixed output",
        ),
        ('drv = runCommand "ca" { __contentAddressed = true; } "";', "ca is content-addressed"),
        ('drv = runCommand "impure" { __impure = true; } "";', "impure is impure"),
        ("drv = 4;", "drv is no derivation"),
        ('drv = hello; command = "a"; run = "b";', "command and run are both given"),
        ('drv = hello; homeDirectory = "here";', "homeDirectory must be an absolute path"),
        ("drv = hello; comand = null;", "unknown attribute 'comand'; did you mean 'command'?"),
    ],
)
@pytest.mark.parametrize("function", ["streamNixShellImage", "buildNixShellImage"])
def test_bad_arguments_fail_at_evaluation(function, arguments, expected):
    with pytest.raises(NixError) as failed:
        evaluate(f"({function} {{ {arguments} }}).drvPath")
    assert expected in failed.value.log
