"""Images in the engines of another Debian, beside those of this machine.

`tests/run engine` has Debian 13's: Docker 26 with both of its stores, containerd 1.7, podman 5,
buildah 1.39, skopeo 1.18 and umoci 0.4. `tests/run engine-testing` has those of Debian testing, in
2026 Docker 28, containerd 2.1, podman 5.8, buildah 1.43, skopeo 1.22 and umoci 0.6. Both have the
newest Docker that Debian has, again with both of its stores.
"""

from dataclasses import dataclass

import pytest

from tests.engine.bases import base_with_whiteouts
from tests.engine.engines import EngineError
from tests.engine.machine import RELEASE
from tests.engine.others import CONTAINERS, Engine, Running
from tests.nix.images import build
from tests.unit.archives import directory, layer_of, member, plain_members, tar


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image with whiteouts, owners, hard links and odd symlinks, as a Nix expression."""
    return base_with_whiteouts(tmp_path_factory.mktemp("base") / "base.tar")


TOOLS = "[ bash coreutils pkgs.libcap ]"

SHOW = """
for path; do
  if [ -L "$path" ]; then
    echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then
    stat -c "%n %F %u:%g %a: $(echo $(ls -A "$path"))" "$path"
  elif [ -f "$path" ]; then
    stat -c "%n %F %u:%g %a $(getcap "$path" | cut -d ' ' -f 2)" "$path"
  elif [ -e "$path" ]; then
    stat -c "%n %F %u:%g %a %t:%T" "$path"
  else
    echo "$path is missing"
  fi
done
"""
"""What an image says of its own files: type, owner, mode, capabilities, device, names."""

FAKEROOT = """
  mkdir -m 1777 tmp
  mkdir -m 750 data
  chown 1000:100 data
  cp ${coreutils}/bin/true data/capable
  ${pkgs.libcap}/bin/setcap cap_net_bind_service=+ep data/capable
  cp ${coreutils}/bin/true data/setuid
  chown 7:8 data/setuid
  chmod 4755 data/setuid
  mknod data/null c 1 3
  mknod data/disk b 8 1
  mknod data/pipe p
  ln -s ../nowhere data/dangling
  ln data/setuid data/same
"""
FAKEROOT_SHOWN = """
/data directory 1000:100 750: capable dangling disk null pipe same setuid
/data/capable regular file 0:0 555 cap_net_bind_service=ep
/data/setuid regular file 7:8 4755
/data/same regular file 7:8 4755
/data/null character special file 0:0 644 1:3
/data/disk block special file 0:0 644 8:1
/data/pipe fifo 0:0 644 0:0
/data/dangling -> ../nowhere
/tmp directory 0:0 1777:
"""

BASE_SHOWN = """
/etc/gone is missing
/etc/other regular file 1234:4321 640
/srv directory 0:0 755: new
/srv/a is missing
/srv/deep is missing
/opt/setuid regular file 7:0 4755
/opt/null character special file 0:0 666 1:3
/opt/absolute -> /etc/keep
/opt/up -> ../../../../etc/keep
/opt/one regular file 0:0 644
"""

ROOT_SCRIPT = """
  rm /etc/keep
  chown 55:66 /opt/one
  mknod /opt/zero c 1 5
  rm -r /srv
  mkdir -m 2770 /srv
  chown 3:4 /srv
  echo fresh > /srv/fresh
  echo x > /opt/capable
  chown 9:9 /opt/capable
  ${pkgs.libcap}/bin/setcap cap_net_raw+ep /opt/capable
  mkdir /data
  mv /opt/setuid /data
"""
ROOT_SCRIPT_SHOWN = """
/etc/keep is missing
/etc/gone is missing
/etc/other regular file 1234:4321 640
/opt directory 0:0 755: absolute capable null one two up zero
/opt/one regular file 55:66 644
/opt/two regular file 55:66 644
/opt/zero character special file 0:0 644 1:5
/opt/null character special file 0:0 666 1:3
/opt/capable regular file 9:9 644 cap_net_raw=ep
/srv directory 3:4 2770: fresh
/data/setuid regular file 7:0 4755
"""


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
    expected = CASES[case].shown.strip().splitlines()
    paths = [line.split()[0] for line in expected]
    name = engine.load(build(CASES[case].expression.replace("BASE", base)))
    shown = engine.run(name, "/bin/bash", "-c", SHOW, "show", *paths).stdout
    assert [line.rstrip() for line in shown.splitlines()] == expected


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
