"""OCI archives in engines: each loads them, runs what is inside, and finds the files as made.

Every kind of image, under every compressor, is also read by those who only read: skopeo of two
releases, umoci, crane, and our own checker. Engines load a choice, since loading takes seconds.
"""

import functools
import hashlib
import os
import pathlib
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.engine.bases import base_with_whiteouts
from tests.engine.contents import (
    BASE_SHOWN,
    FAKEROOT,
    FAKEROOT_SHOWN,
    ROOT_SCRIPT,
    ROOT_SCRIPT_SHOWN,
    TOOLS,
    assert_shows,
)
from tests.engine.engines import EngineError, execute, skopeo_copy, umoci_unpack
from tests.engine.machine import Machine
from tests.engine.others import CONTAINERS, Engine, Running, Umoci
from tests.engine.registry import Registry, registry
from tests.nix.images import build
from tests.unit.oci_layouts import LAYER, check_layout

COMPRESSORS = {"gz": f"{LAYER}+gzip", "zstd": f"{LAYER}+zstd", "none": LAYER}
"""Values of `layerCompressor`, and the media type of a layer under each."""


@dataclass(frozen=True)
class Kind:
    """An image, how many layers it has, and what is in it."""

    expression: str
    layers: int
    shown: str


KINDS = {
    "one layer": Kind(
        f"""buildImage {{
          name = "one"; tag = "1"; copyToRoot = {TOOLS}; config.Env = [ "PATH=/bin" ];
          extraCommands = "mkdir -m 1777 tmp; ln -s nowhere link";
          inherit layerCompressor;
        }}""",
        1,
        "/tmp directory 0:0 1777:\n/link -> nowhere",
    ),
    "three layers": Kind(
        f"""streamLayeredImage {{
          name = "three"; tag = "1"; contents = {TOOLS}; config.Env = [ "PATH=/bin" ];
          maxLayers = 3; fakeRootCommands = ''{FAKEROOT}''; inherit layerCompressor;
        }}""",
        3,
        FAKEROOT_SHOWN,
    ),
    "a hundred layers": Kind(
        f"""(let
          paths = builtins.genList (n: builtins.toFile "path-${{toString n}}" "x") 100;
        in buildLayeredImage {{
          name = "hundred"; tag = "1"; contents = {TOOLS}; maxLayers = 100;
          config.Env = [ "PATH=/bin" "PATHS=${{toString paths}}" ];
          fakeRootCommands = ''{FAKEROOT}''; inherit layerCompressor;
        }})""",
        100,
        FAKEROOT_SHOWN,
    ),
    "layers over a base": Kind(
        f"""streamLayeredImage {{
          name = "over"; tag = "1"; fromImage = BASE; contents = {TOOLS}; maxLayers = 6;
          config.Env = [ "PATH=/bin" ]; fakeRootCommands = ''{FAKEROOT}'';
          inherit layerCompressor;
        }}""",
        6,
        BASE_SHOWN.rstrip() + FAKEROOT_SHOWN,
    ),
    "root script over a base": Kind(
        f"""buildImage {{
          name = "root"; tag = "1"; fromImage = BASE; copyToRoot = {TOOLS};
          config.Env = [ "PATH=/bin" ]; runAsRoot = ''{ROOT_SCRIPT}''; inherit layerCompressor;
        }}""",
        3,
        ROOT_SCRIPT_SHOWN,
    ),
}

LOADED = [
    *(("root script over a base", compressor) for compressor in COMPRESSORS),
    ("one layer", "none"),
    ("three layers", "zstd"),
    ("a hundred layers", "gz"),
    ("layers over a base", "gz"),
]
"""What engines load: the image with most of everything under all compressors, and the rest once."""

FIRST_TO_READ_ZSTD = {
    "this docker-overlay2": ("dockerd", (23, 0), "archive/tar: invalid tar header"),
    "skopeo and umoci": ("umoci", (0, 5), "blob is not correct mediatype"),
}
"""Which program of an engine reads zstd from which version on, and what it says before."""


@functools.cache
def built(expression: str, compressor: str, output: str) -> pathlib.Path:
    """Build an output of an image whose layers are under a compressor."""
    return build(f'(let layerCompressor = "{compressor}"; in {expression}).{output}')


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image with whiteouts, owners, hard links and odd symlinks, as a Nix expression."""
    return base_with_whiteouts(tmp_path_factory.mktemp("base") / "base.tar")


@pytest.fixture
def engine(running: Running) -> Iterator[Engine]:
    """An engine without images that takes archives for the OCI's."""
    engine = running.engine
    if isinstance(engine, Umoci):
        engine = replace(engine, transport="oci-archive")
    yield engine
    engine.remove_all()


def version(machine: Machine, program: str) -> tuple[int, int]:
    """The version of a program of a machine."""
    found = re.search(r"(\d+)\.(\d+)", execute([*machine.prefix, program, "--version"]))
    assert found
    return int(found[1]), int(found[2])


def refusal(engine: str, machine: Machine, compressor: str) -> str | None:
    """What the engine of this name says of layers under a compressor that it does not know."""
    if compressor != "zstd" or engine not in FIRST_TO_READ_ZSTD:
        return None
    program, first, said = FIRST_TO_READ_ZSTD[engine]
    return said if version(machine, program) < first else None


@pytest.mark.parametrize(
    "running", ["this docker-overlay2", *CONTAINERS, "skopeo and umoci"], indirect=True
)
@pytest.mark.parametrize(("kind", "compressor"), LOADED)
def test_an_engine_loads_an_archive_and_shows_its_files_as_they_were_made(
    running: Running, engine: Engine, base: str, kind: str, compressor: str
):
    image = KINDS[kind]
    archive = built(image.expression.replace("BASE", base), compressor, "ociArchive")
    said = refusal(running.name, running.machine, compressor)
    if said:
        with pytest.raises(EngineError, match=said):
            engine.load(archive)
    else:
        assert_shows(engine, engine.load(archive), image.shown)


@pytest.fixture(scope="module")
def pushed_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on this machine."""
    with registry(tmp_path_factory.mktemp("registry") / "data") as running:
        yield running


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("kind", KINDS)
def test_readers_find_an_archive_right(
    other_machine: Machine,
    newest_machine: Machine,
    tmp_path: pathlib.Path,
    base: str,
    kind: str,
    compressor: str,
):
    image = KINDS[kind]
    expression = image.expression.replace("BASE", base)
    archive = built(expression, compressor, "ociArchive")
    digest = built(expression, compressor, "digest").read_text().strip()
    found = check_layout(archive).image
    assert found.descriptor["digest"] == digest
    types = [layer["mediaType"] for layer in found.manifest["layers"]]
    assert len(types) == image.layers
    # A base's layers stay as they are.
    assert types[-1] == COMPRESSORS[compressor]
    # crane takes all layers of a tarball for what the first one is, and validates no zstd.
    if len(set(types)) == 1 and compressor != "zstd":
        execute([*newest_machine.prefix, "crane", "validate", "--tarball", str(archive)])
    copies = {"this": tmp_path / "copy", "other": other_machine.directory / tmp_path.name}
    for prefix, copy in (((), copies["this"]), (other_machine.prefix, copies["other"])):
        copy.mkdir()
        skopeo_copy(f"oci-archive:{archive}", f"dir:{copy}", "--preserve-digests", prefix=prefix)
        manifest = (copy / "manifest.json").read_bytes()
        assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == digest


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_crane_pushes_a_layout_under_its_digest_and_reads_it_back(
    newest_machine: Machine, pushed_to: Registry, base: str, compressor: str
):
    layout, digest = layout_of("root script over a base", compressor, base)
    crane = [*newest_machine.prefix, "crane"]
    name, flat = pushed_to.name(f"root:{compressor}"), newest_machine.directory / compressor
    execute([*crane, "push", str(layout), name])
    assert execute([*crane, "digest", name]).strip() == digest
    execute([*crane, "export", name, str(flat)])
    with tarfile.open(flat) as archive:
        members = {member.name.lstrip("/"): member for member in archive}
    assert "etc/keep" not in members
    setuid, device = members["data/setuid"], members["opt/zero"]
    assert (setuid.mode & 0o7777, setuid.uid) == (0o4755, 7)
    assert (device.type, device.devmajor, device.devminor) == (tarfile.CHRTYPE, 1, 5)


def test_crane_validates_an_image_of_gz_layers_in_a_registry(
    newest_machine: Machine, pushed_to: Registry, base: str
):
    layout, _ = layout_of("a hundred layers", "gz", base)
    crane, name = [*newest_machine.prefix, "crane"], pushed_to.name("hundred:gz")
    execute([*crane, "push", str(layout), name])
    execute([*crane, "validate", "--remote", name])


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_umoci_unpacks_a_layout_as_it_is(other_machine: Machine, base: str, compressor: str):
    layout, _ = layout_of("root script over a base", compressor, base)
    bundle = other_machine.directory / f"bundle-{compressor}"
    said = refusal("skopeo and umoci", other_machine, compressor)
    if said:
        with pytest.raises(EngineError, match=said):
            umoci_unpack(layout, "1", bundle, prefix=other_machine.prefix)
        return
    root = umoci_unpack(layout, "1", bundle, prefix=other_machine.prefix)
    setuid, device = (root / "data/setuid").stat(), (root / "opt/zero").stat()
    assert (setuid.st_mode & 0o7777, setuid.st_uid) == (0o4755, 7)
    assert stat.S_ISCHR(device.st_mode)
    assert device.st_rdev == os.makedev(1, 5)
    assert not (root / "etc/keep").exists()


def layout_of(kind: str, compressor: str, base: str) -> tuple[pathlib.Path, str]:
    """Build the layout of an image, and return it with the digest of the manifest in it."""
    layout = built(KINDS[kind].expression.replace("BASE", base), compressor, "ociLayout")
    return layout, check_layout(layout).image.descriptor["digest"]
