"""What `inheritConfig = true` gives is what Docker makes of `FROM` and the same instructions.

Docker has two builders, and each is tried: the classic one of this machine's Docker, and BuildKit
in that of Debian 13.
"""

import functools
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.engine.engines import Docker
from tests.engine.machine import Machine
from tests.engine.others import started
from tests.nix.images import PREAMBLE, build, nix
from tests.unit.archives import layer, plain_members, tar

BASES = {
    "shell": """
      contents = [ bash coreutils ];
      config = { Cmd = [ "/bin/bash" ]; Env = [ "PATH=/bin" ]; };
    """,
    "tool": """
      contents = [ hello ];
      config = {
        Entrypoint = [ "/bin/hello" ];
        Cmd = [ "--traditional" ];
        Env = [ "PATH=/usr/bin:/bin" "HOME=/srv/home" "A=base" ];
        User = "1000:100";
        WorkingDir = "/srv/home";
        Labels = { vendor = "somebody"; version = "1"; };
      };
    """,
    "server": """
      contents = [ pkgs.redis bash coreutils ];
      config = {
        Cmd = [ "/bin/redis-server" ];
        Env = [ "PATH=/bin" ];
        ExposedPorts = { "6379/tcp" = { }; "80/tcp" = { }; };
        Volumes."/data" = { };
        Healthcheck = {
          Test = [ "CMD" "/bin/redis-cli" "ping" ];
          Interval = 5000000000; Timeout = 1000000000; StartPeriod = 7000000000; Retries = 4;
        };
        StopSignal = "SIGINT";
        StopTimeout = 30;
        Shell = [ "/bin/bash" "-c" ];
      };
    """,
}
"""Base images as differ in what they say, made of real programs."""

ODD = {
    "Cmd": ["run"],
    # Docker's builders add a PATH of their own where there is none.
    "Env": ["FLAG", "EMPTY=", "TWICE=a=b", "A=base", "lower=1", "PATH="],
    "Labels": {"": "no name", "version": ""},
    "OnBuild": ["COPY . /copied/"],
    "StopTimeout": 0,
    "Volumes": {"/a b": {}},
}
"""The configuration of another one, which waits for a build."""


@dataclass(frozen=True)
class Case:
    """What is set over a base image: instructions of a Dockerfile, and the same as `config`."""

    instructions: str
    config: str


CASES = {
    "nothing": Case("", "{ }"),
    "command": Case('CMD ["own"]', '{ Cmd = [ "own" ]; }'),
    "no command": Case("CMD []", "{ Cmd = null; }"),
    "entrypoint": Case('ENTRYPOINT ["/own"]', '{ Entrypoint = [ "/own" ]; }'),
    "entrypoint and command": Case(
        'CMD ["own"]\nENTRYPOINT ["/own"]', '{ Entrypoint = [ "/own" ]; Cmd = [ "own" ]; }'
    ),
    "empty entrypoint": Case("ENTRYPOINT []", "{ Entrypoint = [ ]; }"),
    "no entrypoint": Case("ENTRYPOINT []", "{ Entrypoint = null; }"),
    "relative directory": Case("WORKDIR sub/../own", '{ WorkingDir = "sub/../own"; }'),
    "no healthcheck": Case("HEALTHCHECK NONE", '{ Healthcheck.Test = [ "NONE" ]; }'),
    "everything": Case(
        """
        ENV A=own B=own
        ENV FLAG=own
        LABEL version=2 own=yes
        EXPOSE 80 443/udp
        VOLUME /more
        USER own
        WORKDIR /own
        STOPSIGNAL SIGTERM
        SHELL ["/bin/own", "-c"]
        HEALTHCHECK --interval=9s --timeout=8s --start-period=7s --retries=6 CMD ["own"]
        ENTRYPOINT ["/own"]
        CMD ["own"]
        """,
        """{
          Env = [ "A=own" "B=own" "FLAG=own" ];
          Labels = { version = "2"; own = "yes"; };
          ExposedPorts = { "80/tcp" = { }; "443/udp" = { }; };
          Volumes."/more" = { };
          User = "own";
          WorkingDir = "/own";
          StopSignal = "SIGTERM";
          Shell = [ "/bin/own" "-c" ];
          Healthcheck = {
            Test = [ "CMD" "own" ];
            Interval = 9000000000; Timeout = 8000000000; StartPeriod = 7000000000; Retries = 6;
          };
          Entrypoint = [ "/own" ];
          Cmd = [ "own" ];
        }""",
    ),
}

BUILDERS = ["classic", "BuildKit"]


@dataclass(frozen=True)
class Builder:
    """A daemon, the builder in it, a directory that it sees, and the names of base images there."""

    docker: Docker
    buildkit: bool
    directory: pathlib.Path
    loaded: dict[str, str] = field(default_factory=dict)

    def load(self, base: "Base") -> str:
        """Load a base image, once, and return its name."""
        if base.expression not in self.loaded:
            self.loaded[base.expression] = self.docker.load(base.archive)
        return self.loaded[base.expression]


@pytest.fixture(scope="module", params=BUILDERS)
def builder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Builder]:
    """Each of Docker's builders in turn."""
    name: str = request.param
    if name == "classic":
        docker: Docker = request.getfixturevalue("docker_engine")
        yield Builder(docker, buildkit=False, directory=tmp_path_factory.mktemp("build"))
        forget_builds(docker)
        return
    other: Machine = request.getfixturevalue("other_machine")
    directory = other.directory / str(len(list(other.directory.iterdir())))
    directory.mkdir()
    with started("docker-overlay2", other, directory) as engine:
        assert isinstance(engine, Docker)
        context = directory / "build"
        context.mkdir()
        yield Builder(engine, buildkit=True, directory=context)
        forget_builds(engine)


def forget_builds(docker: Docker) -> None:
    """Remove all images: those of single steps go only with the ones that were made of them."""
    docker.command("image", "prune", "--all", "--force")
    docker.remove_all()


@dataclass(frozen=True)
class Base:
    """A base image, as an archive and as a Nix expression."""

    archive: pathlib.Path
    expression: str


@pytest.fixture(scope="module", params=[*BASES, "odd"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Each of the base images in turn."""
    name: str = request.param
    if name == "odd":
        path = tmp_path_factory.mktemp("odd") / "odd.tar"
        path.write_bytes(tar(plain_members([layer("odd")], config=ODD)))
        return Base(path, f'builtins.path {{ path = {path}; name = "odd.tar"; }}')
    image = (
        f'buildLayeredImage {{ name = "{name}"; tag = "1"; compressor = "none"; {BASES[name]} }}'
    )
    return Base(build(image), image)


@functools.cache
def images_over(base: str) -> dict[str, str]:
    """Build the image of each case over the base image, an expression, and return its stream."""
    images = [
        f"""(streamLayeredImage {{
          name = "ours"; tag = "1"; fromImage = {base}; inheritConfig = true;
          config = {case.config};
        }})"""
        for case in CASES.values()
    ]
    command = ("nix-build", "--no-out-link", "-E", f"{PREAMBLE} [ {' '.join(images)} ]")
    return dict(zip(CASES, nix(*command).stdout.split(), strict=True))


def of_docker(builder: Builder, base: str, instructions: str) -> dict[str, Any]:
    """The configuration that Docker makes."""
    lines = [f"FROM {base}", *(line.strip() for line in instructions.splitlines()), ""]
    (builder.directory / "Dockerfile").write_text("\n".join(lines))
    builder.docker.build(builder.directory, "docker:1", buildkit=builder.buildkit)
    return told(builder.docker.inspect("docker:1")["Config"])


def of_ours(builder: Builder, image: str) -> dict[str, Any]:
    """The configuration that an image of ours has."""
    return told(builder.docker.inspect(builder.docker.load(image))["Config"])


def told(config: dict[str, Any]) -> dict[str, Any]:
    """All that a configuration says of containers on Linux.

    Docker's versions differ in how they show what is not there: null, empty, or not at all. `Image`
    is the step before in a build, and `ArgsEscaped`, which BuildKit sets beside every `CMD`, is for
    Windows.
    """
    config = {key: value for key, value in config.items() if key not in ("Image", "ArgsEscaped")}
    return {
        key: value
        for key, value in config.items()
        if value is not False and value not in (None, "", [], {})
    }


@pytest.mark.parametrize("case", CASES)
def test_an_image_has_what_docker_would_make(builder: Builder, base: Base, case: str):
    name = builder.load(base)
    expected = of_docker(builder, name, CASES[case].instructions)
    found = of_ours(builder, images_over(base.expression)[case])
    if builder.buildkit:
        # BuildKit knows no StopTimeout and loses that of a base image.
        assert "StopTimeout" not in expected
        expected |= {key: value for key, value in found.items() if key == "StopTimeout"}
    elif case == "no healthcheck" and "Interval" in expected["Healthcheck"]:
        # The classic builder keeps the times of the check that there was. Nothing reads them.
        assert expected["Healthcheck"]["Interval"] == 5000000000
        expected["Healthcheck"] = {"Test": expected["Healthcheck"]["Test"]}
    assert found == expected
