"""docs/ci.md: what it shows runs as it stands there, on registries of the tests' own."""

import hashlib
import os
import re
import subprocess
import urllib.request
import uuid
from base64 import b64encode

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.engine.registry import registry
from tests.nix.images import clone
from tests.nix.remote_builder import remote_builder

PAGE = (REPOSITORY / "docs/ci.md").read_text()
USERS = {"runner": "s3cret-token"}

SETTINGS = """
experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
substituters =
"""

SHIM = """#!/bin/sh
case $1 in
  build | copy | eval | run) command=$1 && shift && exec {nix} "$command" --impure "$@" ;;
  *) exec {nix} "$@" ;;
esac
"""
"""The stand-in for nixpkgs looks at what this machine has of Debian's packages."""


def shown(kind, after, number=0):
    """The first piece of code of this kind below a heading, or another one."""
    _, _, rest = PAGE.partition(f"# {after}\n")
    pieces = re.findall(rf"^```{kind}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    return str(pieces[number])


class Runner:
    """A machine that runs what a page shows, in a checkout with the flake of the page."""

    def __init__(self, directory, longshore, store=None):
        self.directory, self.store = directory, store
        self.home = directory / "home"
        self.checkout = directory / "checkout"
        for path in (self.home, self.checkout, directory / "bin", directory / "settings"):
            path.mkdir(parents=True)
        (directory / "settings/nix.conf").write_text(SETTINGS)
        nix = directory / "bin/nix"
        nix.write_text(SHIM.format(nix="/usr/bin/nix"))
        nix.chmod(0o755)
        text = shown("nix", "The flake")
        for name, there in (
            ("path:/path/to/longshore", f"path:{longshore}"),
            ("github:NixOS/nixpkgs/nixos-25.11", f"path:{longshore}/nix/debian"),
        ):
            assert name in text
            text = text.replace(name, there)
        (self.checkout / "flake.nix").write_text(text)

    def run(self, script, *, options="-eu", **variables):
        """Run a piece of code; return what it prints to stdout."""
        command = ["bash", *options.split(), "-c", script]
        if self.store:
            inside = f'mount --bind {self.store}/nix /nix && exec "$@"'
            command = ["unshare", "--mount", "sh", "-euc", inside, "sh", *command]
        result = subprocess.run(
            command,
            cwd=self.checkout,
            capture_output=True,
            text=True,
            env={
                "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
                "HOME": str(self.home),
                "LONGSHORE_CACHE": os.environ["LONGSHORE_CACHE"],
                "NIX_CONF_DIR": f"{self.directory}/settings",
                "NIX_USER_CONF_FILES": "/dev/null",
                **variables,
            },
        )
        assert result.returncode == 0, result.stderr
        self.said = result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def longshore(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("clone") / "longshore")


@pytest.fixture
def runner(longshore, tmp_path, sandboxed_nix):
    return Runner(tmp_path / "runner", longshore)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A registry for those who have logged in."""
    with registry(tmp_path_factory.mktemp("closed") / "registry", users=USERS) as running:
        yield running


def digest_of(server, repository, tag):
    (user,) = USERS.items()
    request = urllib.request.Request(
        f"http://{server.address}/v2/{repository}/manifests/{tag}",
        headers={
            "Accept": "application/vnd.oci.image.manifest.v1+json",
            "Authorization": f"Basic {b64encode(':'.join(user).encode()).decode()}",
        },
    )
    with urllib.request.urlopen(request) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


def test_one_machine_builds_and_a_fresh_one_pushes(runner, longshore, tmp_path):
    secret = runner.run("nix key generate-secret --key-name tests-1")
    (tmp_path / "secret").write_text(secret)
    public = runner.run(f"nix key convert-secret-to-public <{tmp_path}/secret")
    cache = f"file://{tmp_path}/cache"
    build = shown("sh", "Build once")
    runner.run(build, CACHE=cache, SECRET_KEY_FILE=f"{tmp_path}/secret")
    expected = runner.run("nix build --out-link image .#image.digest && cat image-digest")
    (tmp_path / "store/nix").mkdir(parents=True)
    fresh = Runner(tmp_path / "fresh", longshore, tmp_path / "store")
    commit = uuid.uuid4().hex
    try:
        with registry(tmp_path / "registry") as server:
            printed = fresh.run(
                shown("sh", "Push from any runner"),
                CACHE=cache,
                PUBLIC_KEY=public,
                IMAGE=f"{server.address}/team/app",
                COMMIT=commit,
            )
            assert printed == f"{server.address}/team/app@{expected}\n"
            for tag in (commit, "latest"):
                assert digest_of(server, "team/app", tag) == expected
            # Which has all layers; so nothing of them is fetched.
            again = fresh.run(
                shown("sh", "Push from any runner"),
                CACHE=cache,
                PUBLIC_KEY=public,
                IMAGE=f"{server.address}/team/app",
                COMMIT="next",
            )
            assert again == printed
            assert "-hello-" not in fresh.said
        names = {path.name[33:] for path in (tmp_path / "store/nix/store").iterdir()}
        assert not [name for name in names if re.match(r"hello-[\d.]*$|app-conf\.json$", name)]
    finally:
        subprocess.run(["chmod", "-R", "u+w", tmp_path / "store"], check=True)


def test_the_job_for_github_runs(runner, closed, docker):
    job = yaml.safe_load(shown("yaml", "GitHub"))["jobs"]["image"]
    assert job["permissions"]["packages"] == "write"
    assert job["env"] == {"REGISTRY": "ghcr.io"}
    commit = uuid.uuid4().hex
    ((user, password),) = USERS.items()
    steps = [step for step in job["steps"] if "run" in step]
    assert len(steps) == 2
    for step in steps:
        own = {
            name: value.replace("${{ github.token }}", password)
            for name, value in step.get("env", {}).items()
        }
        assert "${{" not in str(own) + step["run"]
        # As GitHub calls it where no shell is named.
        printed = runner.run(
            step["run"],
            options="-e",
            REGISTRY=closed.address,
            GITHUB_ACTOR=user,
            GITHUB_REPOSITORY="Team/App",
            GITHUB_SHA=commit,
            DOCKER_HOST=docker.host,
            **own,
        )
    digest = digest_of(closed, "team/app", commit)
    assert printed == f"{closed.address}/team/app@{digest}\n"
    assert digest_of(closed, "team/app", "latest") == digest


def test_the_job_for_gitlab_runs(runner, closed):
    job = yaml.safe_load(shown("yaml", "GitLab"))["image"]
    commit = uuid.uuid4().hex
    ((user, password),) = USERS.items()
    printed = runner.run(
        "\n".join(job["script"]),
        options="-e -o pipefail",
        NIX_CONFIG=job["variables"]["NIX_CONFIG"].splitlines()[0],
        CI_REGISTRY=closed.address,
        CI_REGISTRY_USER=user,
        CI_REGISTRY_PASSWORD=password,
        CI_REGISTRY_IMAGE=f"{closed.address}/group/app",
        CI_COMMIT_SHA=commit,
    )
    digest = digest_of(closed, "group/app", commit)
    assert printed == f"{closed.address}/group/app@{digest}\n"


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    with remote_builder(tmp_path_factory.mktemp("builder")) as running:
        yield running


@pytest.mark.parametrize("number", [0, 1], ids=["builder", "store"])
def test_what_a_remote_builder_made_is_pushed(number, runner, builder, tmp_path):
    # What images are made with is here, and no image of this name.
    runner.run("nix build --no-link .#push .#image.blobs")
    flake = runner.checkout / "flake.nix"
    name = f"app-{uuid.uuid4().hex}"
    flake.write_text(flake.read_text().replace('name = "app"', f'name = "{name}"'))
    script = shown("sh", "Remote builders", number)
    assert "ssh-ng://builder" in script
    with registry(tmp_path / "registry") as server:
        printed = runner.run(
            script.replace("ssh-ng://builder", builder.url),
            IMAGE=f"{server.address}/team/app",
            COMMIT="1",
            **builder.variables,
        )
        digest = digest_of(server, "team/app", "1")
    assert printed == f"{server.address}/team/app@{digest}\n"
    plan = runner.run("nix eval --raw .#image.conf.outPath")
    assert builder.has(plan)
    assert os.path.exists(plan) is (number == 0)


@pytest.mark.parametrize("where", ["GitHub", "GitLab"])
def test_settings_of_nix_in_jobs_are_settings(where, tmp_path):
    job = yaml.safe_load(shown("yaml", where))
    if where == "GitHub":
        (settings,) = [
            step["with"]["extra_nix_config"]
            for step in job["jobs"]["image"]["steps"]
            if "with" in step
        ]
    else:
        settings = job["image"]["variables"]["NIX_CONFIG"]
    result = subprocess.run(
        ["nix", "--extra-experimental-features", "nix-command", "show-config"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NIX_CONFIG": settings},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "https://cache.example" in result.stdout
