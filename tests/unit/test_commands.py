"""The commands' own words: what they refuse or miss, and the table that an image is shown as."""

import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile

import pytest
import zstandard

REPOSITORY = pathlib.Path(__file__).parents[2]


def command(*words, environment=None):
    return subprocess.run(
        [REPOSITORY / words[0], *words[1:]],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def tar(members):
    """Return a tar of `members`, a directory where the content is None."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return out.getvalue()


def store_layer(*names):
    """Return a layer with a directory and a file in it for each store path."""
    members: dict[str, bytes | None] = {"/nix/": None, "/nix/store/": None}
    for name in names:
        members[f"/nix/store/{'a' * 32}-{name}/"] = None
        members[f"/nix/store/{'a' * 32}-{name}/file"] = b"content"
    return tar(members)


@pytest.fixture
def image():
    """An image of a layer with four store paths and a customisation layer."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/bin/hello"], "Cmd": ["-g", "hi"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"]},
    }
    manifest = [
        {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}
    ]
    return tar(
        {
            "1/layer.tar": store_layer("a-1", "b-2", "c-3", "d-4"),
            "2/layer.tar": tar({"./": None, "./bin/": None, "./bin/hello": b""}),
            "c.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


TABLE = """\
app:1: linux/amd64, 2 layers
  layer       size  digest        holds
      1    10.2 kB  111111111111  a-1, b-2, c-3 and 1 more
      2    10.2 kB  222222222222  customisation layer: 2 entries
  total    20.5 kB
Entrypoint: /bin/hello
Cmd: -g hi
"""


def show(path):
    return subprocess.run(
        [sys.executable, REPOSITORY / "examples/show_image.py", path],
        capture_output=True,
        text=True,
    )


def refused(result, expected):
    """Check that a command failed with one line that has the `expected` words."""
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr


def gzip_members(data):
    """As Longshore compresses: each block by itself."""
    return b"".join(
        gzip.compress(data[start : start + 5000]) for start in range(0, len(data), 5000)
    )


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, gzip_members, bz2.compress, lzma.compress, zstandard.compress],
)
def test_an_image_is_shown_as_a_table(compress, image, tmp_path):
    (tmp_path / "image").write_bytes(compress(image))
    result = show(tmp_path / "image")
    assert result.stdout == TABLE, result.stderr


def test_an_image_controls_no_terminal(image, tmp_path):
    data = image.replace(b'"/bin/hello"', b'"\\u001bbin/"')
    assert len(data) == len(image)
    (tmp_path / "image").write_bytes(data)
    result = show(tmp_path / "image")
    assert "Entrypoint: \\x1bbin/\n" in result.stdout, result.stderr


def stream_script(directory, image, *, then=""):
    (directory / "image").write_bytes(image)
    script = directory / "stream"
    # More on stderr than a pipe holds.
    script.write_text(f"#!/bin/sh\nseq 50000 >&2\ncat {directory}/image\n{then}\n")
    script.chmod(0o755)
    return script


def test_a_stream_is_shown_as_a_table(image, tmp_path):
    assert show(stream_script(tmp_path, image)).stdout == TABLE


def test_a_stream_that_fails_tells_why(image, tmp_path):
    script = stream_script(tmp_path, image[:12000], then="echo lost a store path >&2; exit 1")
    refused(show(script), "lost a store path")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"text", "can't be read as an image"),
        (tar({"file": b"content"}), "has no manifest.json"),
        (gzip.compress(tar({"file": random.randbytes(9000)}))[:5000], "can't be read as an image"),
    ],
    ids=["text", "a tar that is no image", "truncated"],
)
def test_what_is_no_image_is_refused(content, expected, tmp_path):
    (tmp_path / "image").write_bytes(content)
    refused(show(tmp_path / "image"), expected)
    refused(show(tmp_path / "missing"), "is no file")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["examples/run", "helo"], "there is no example 'helo'; did you mean: hello"),
        (["examples/run", "%%%"], "examples/run without a name lists them all"),
        (["examples/run", "hello", "-g"], "arguments for the container come after --"),
        (["examples/run", "--fast"], "unknown option --fast"),
        (["tests/run", "--fast"], "unknown option --fast"),
        (["tests/run", "popularity"], "no part is named before a NAME"),
        (["tests/run", "unit", "tests/unit/test_none.py"], "there is no file"),
        (["tests/run", "lint", "popularity"], "lint is for all files"),
        (["tests/run", "-j", "none", "unit"], "-j takes the number of parts"),
    ],
)
def test_wrong_words_are_refused(words, expected):
    refused(command(*words), expected)


def test_benchmarks_are_listed_without_what_they_need():
    shown = command("benchmarks/run", "--help")
    assert shown.returncode == 0
    listed = re.findall(r"^  (\S+) +(\S.*)$", shown.stdout, re.MULTILINE)
    results = json.loads((REPOSITORY / "benchmarks/results.json").read_text())
    assert {name for name, _ in listed} == set(results)


def test_every_example_is_listed_with_what_it_shows():
    listed = re.findall(r"^  (\S+) +(\S.*)$", command("examples/run").stdout, re.MULTILINE)
    files = {path.stem for path in (REPOSITORY / "examples").glob("*.nix")} - {"default"}
    assert {name for name, _ in listed} == files


TOOLS = ["bash", "dirname", "realpath", "mktemp", "awk", "sort", "xargs", "chmod", "rm", "sed"]
"""What the commands use before they look for anything else."""


@pytest.fixture
def bare(tmp_path):
    """Run a command on a machine that has `TOOLS`, the programs that are named, and no apt-get."""
    directory = tmp_path / "bin"
    directory.mkdir()

    def run(*words, programs=()):
        for program in (*TOOLS, *programs):
            path = sys.executable if program == "python3" else shutil.which(program)
            # A link may be of a program that goes by its name.
            (directory / program).write_text(f'#!/bin/sh\nexec {path} "$@"\n')
            (directory / program).chmod(0o755)
        environment = {"PATH": str(directory), "HOME": str(tmp_path)}
        return command(*words, environment=environment)

    return run


def test_without_apt_all_that_is_missing_is_named_with_the_way_to_get_it(bare):
    result = bare("tests/run", "unit")
    refused(result, "lacks Python 3.11 or newer with its module venv, gcc that links statically,")
    assert (
        "libdeflate.so.0, rsync, zstd, openssl, zsh, fish, libarchive.so.13, and" in result.stderr
    )
    assert "enter 'nix develop', and run again" in result.stderr
    assert "==" not in result.stdout


def test_without_apt_only_what_is_missing_is_named(bare):
    result = bare("tests/run", "lint", programs=["python3"])
    refused(result, "this machine lacks shellcheck, nix-build, and apt-get")


@pytest.mark.parametrize("parts", [["nix"], ["engine"], []])
def test_parts_that_need_apt_say_so_before_anything_runs(bare, parts):
    result = bare("tests/run", *parts)
    refused(result, "the parts nix and engine build from nix/debian, which needs apt-get")
    assert "run 'tests/run lint unit' here" in result.stderr
    assert not result.stdout


def test_a_nix_shell_that_has_all_packages_needs_no_environment_of_pip(tmp_path):
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = f"repository={REPOSITORY}; . {REPOSITORY}/examples/setup.sh; get_python test"
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LONGSHORE_CACHE": str(tmp_path / "cache"),
        "IN_NIX_SHELL": "impure",
    }
    found = subprocess.run(
        ["bash", "-euc", f'{script}; echo "$python"'],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert found.stdout == f"{python}\n"
    assert not (tmp_path / "cache").exists()


def test_an_example_without_nix_and_apt_says_what_to_install(bare):
    result = bare("examples/run", "hello", programs=["grep", "python3"])
    refused(result, "this machine lacks nix-build, and apt-get")
