"""Images in the engines of another Debian, beside those of this machine.

`tests/run engine` has Debian 13's: Docker 26 with both of its stores, containerd 1.7, podman 5,
buildah 1.39, skopeo 1.18 and umoci 0.4. `tests/run engine-testing` has those of Debian testing, in
2026 Docker 28, containerd 2.1, podman 5.8, buildah 1.43, skopeo 1.22 and umoci 0.6. Both have the
newest Docker that Debian has, again with both of its stores.
"""

from dataclasses import dataclass

import pytest

from tests.engine.bases import THREE_DEEP_SHOWN, base_with_whiteouts, three_deep
from tests.engine.contents import (
    BASE_SHOWN,
    FAKEROOT,
    FAKEROOT_SHOWN,
    ROOT_SCRIPT,
    ROOT_SCRIPT_SHOWN,
    TOOLS,
    assert_shows,
)
from tests.engine.engines import EngineError
from tests.engine.machine import RELEASE
from tests.engine.others import CONTAINERS, Engine, Running
from tests.nix.images import build
from tests.unit.archives import directory, layer_of, member, plain_members, tar


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image with whiteouts, owners, hard links and odd symlinks, as a Nix expression."""
    return base_with_whiteouts(tmp_path_factory.mktemp("base") / "base.tar")


@dataclass(frozen=True)
class Case:
    """An image, and what is in it."""

    expression: str
    shown: str


CASES = {
    "stream": Case(
        f"""streamLayeredImage {{
          name = "stream"; tag = "1"; contents = {TOOLS}; config.Env = [ "PATH=/bin" ];
          fakeRootCommands = ''{FAKEROOT}'';
        }}""",
        FAKEROOT_SHOWN,
    ),
    "file": Case(
        f"""buildLayeredImage {{
          name = "file"; tag = "1"; contents = {TOOLS}; config.Env = [ "PATH=/bin" ];
          compressor = "none"; enableFakechroot = true; fakeRootCommands = ''{FAKEROOT}'';
        }}""",
        FAKEROOT_SHOWN,
    ),
    "layers over a base": Case(
        f"""streamLayeredImage {{
          name = "over"; tag = "1"; fromImage = BASE; contents = {TOOLS}; maxLayers = 6;
          config.Env = [ "PATH=/bin" ]; fakeRootCommands = ''{FAKEROOT}'';
        }}""",
        BASE_SHOWN.rstrip() + FAKEROOT_SHOWN,
    ),
    "root script over a base": Case(
        f"""buildImage {{
          name = "root"; tag = "1"; fromImage = BASE; copyToRoot = {TOOLS}; compressor = "none";
          config.Env = [ "PATH=/bin" ]; runAsRoot = ''{ROOT_SCRIPT}'';
        }}""",
        ROOT_SCRIPT_SHOWN,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_image_is_loaded_and_shows_its_files_as_they_were_made(
    engine: Engine, base: str, case: str
):
    name = engine.load(build(CASES[case].expression.replace("BASE", base)))
    assert_shows(engine, name, CASES[case].shown)


NOT_READ = {
    ("trixie", "containerd", "gz"): "archive/tar: invalid tar header",
    ("trixie", "containerd", "zstd"): "archive/tar: invalid tar header",
}
"""What an engine of a release says of archives that it doesn't read; docs/load.md tells of them."""


@pytest.mark.parametrize("compressor", ["gz", "zstd"])
def test_a_compressed_archive_is_read_or_refused(running: Running, engine: Engine, compressor: str):
    archive = build(
        f"""buildLayeredImage {{
          name = "small"; tag = "1"; contents = [ bash ]; compressor = "{compressor}";
        }}"""
    )
    refusal = NOT_READ.get((RELEASE, running.name, compressor))
    if refusal:
        with pytest.raises(EngineError, match=refusal):
            engine.load(archive)
    else:
        assert engine.run(engine.load(archive), "/bin/bash", "-c", "echo hi").stdout == "hi\n"


@pytest.mark.parametrize("running", CONTAINERS, indirect=True)
def test_images_three_deep_share_store_paths_and_run(engine: Engine):
    image = engine.load(build(three_deep("gz")))
    assert engine.run(image).stdout == THREE_DEEP_SHOWN


@pytest.mark.parametrize("running", CONTAINERS, indirect=True)
@pytest.mark.parametrize("copied", ["true", "false"])
def test_the_user_of_an_image_is_found_by_name(engine: Engine, copied: str):
    image = f"""streamLayeredImage {{
      name = "user"; tag = "1"; contents = [ bash coreutils dockerTools.fakeNss ];
      copyEngineFiles = {copied}; config.User = "nobody";
    }}"""
    shown = engine.run(engine.load(build(image)), "/bin/bash", "-c", "/bin/id -u; /bin/id -un")
    assert shown.stdout == "65534\nnobody\n"


@pytest.mark.parametrize(
    ("running", "count", "refusal"),
    [
        ("docker-overlay2", 125, None),
        ("docker-overlay2", 126, "max depth exceeded"),
        ("docker-containerd", 126, None),
        ("newest docker-overlay2", 126, "max depth exceeded"),
        ("newest docker-containerd", 126, None),
        ("containerd", 126, None),
        ("podman", 126, None),
    ],
    indirect=["running"],
)
def test_only_graph_drivers_of_docker_refuse_more_than_125_layers(
    running: Running, engine: Engine, count: int, refusal: str | None
):
    layers = [layer_of(directory("d"), member(f"d/{number}", b"")) for number in range(count)]
    archive = running.machine.directory / "deep.tar"
    archive.write_bytes(tar(plain_members(layers)))
    if refusal:
        with pytest.raises(EngineError, match=refusal):
            engine.load(archive)
    else:
        assert engine.load(archive)
