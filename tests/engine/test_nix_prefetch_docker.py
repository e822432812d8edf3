"""nix-prefetch-docker as users run it, against real registries, and pullImage on its output."""

import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import uuid
from dataclasses import dataclass

import pytest

from tests.engine.engines import Docker
from tests.engine.registry import Registry, busybox_archive, flaky, registry, self_signed
from tests.nix.images import build, evaluate, nix

RUN = uuid.uuid4().hex
"""In every image, since a store that has an image of an earlier run would not fetch it."""


@dataclass(frozen=True)
class Images:
    """A registry whose repository `group/app` has an image per platform, and an index of them.

    `digests` are by platform; the tags are `amd64`, `arm64`, and for the index `latest` and `v1`.
    """

    registry: Registry
    archive: pathlib.Path
    digests: dict[str, str]
    index: str

    @property
    def name(self):
        return self.registry.name("group/app")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    with registry(directory / "registry") as server:
        digests = {}
        for architecture in ("amd64", "arm64"):
            archive = busybox_archive(
                directory / f"{architecture}.tar",
                architecture=architecture,
                says=f"{architecture} {RUN}",
            )
            pushed = server.push(archive, "group/app", architecture, "--format=oci")
            digests[f"linux/{architecture}"] = pushed
        for tag in ("latest", "v1"):
            index = server.push_index("group/app", tag, digests)
        yield Images(server, directory / "amd64.tar", digests, index)


@pytest.fixture(scope="module")
def program(sandboxed_nix):
    return build("dockerTools.nix-prefetch-docker") / "bin/nix-prefetch-docker"


@pytest.fixture
def prefetch(program, tmp_path):
    """Runs the program without a home directory or variables of the person who runs the tests."""
    inherited = {name: os.environ[name] for name in ("PATH", "NIX_CONFIG")}
    inherited["HOME"] = str(tmp_path)

    def run(*arguments, check=True, **environment):
        result = subprocess.run(
            [program, *arguments],
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def refusal(prefetch):
    """Runs the program, which must fail with one line and no result; returns that line."""

    def run(*arguments, **environment):
        result = prefetch(*arguments, check=False, **environment)
        assert result.returncode == 1, result
        assert not result.stdout
        *_, last = result.stderr.splitlines()
        return last

    return run


def fields(stderr):
    """What is told to a person, by name."""
    lines = [line[3:] for line in stderr.splitlines() if line.startswith("-> ")]
    return dict(line.split(": ", 1) for line in lines)


def final(name="app"):
    """Options for a name that no other test gives an image."""
    return ["--final-image-name", f"{name}-{uuid.uuid4().hex}"]


def test_it_prints_what_the_documentation_shows(images, prefetch):
    result = prefetch("--image-name", images.name, "--image-tag", "v1", "--no-tls-verify")
    told = fields(result.stderr)
    assert list(told) == [
        *("ImageName", "ImageDigest", "FinalImageName", "FinalImageTag", "ImagePath", "ImageHash")
    ]
    path = told.pop("ImagePath")
    hashed = nix("nix-hash", "--flat", "--base32", "--type", "sha256", path).stdout.strip()
    digest = images.digests["linux/amd64"]
    assert told == {
        "ImageName": images.name,
        "ImageDigest": digest,
        "FinalImageName": images.name,
        "FinalImageTag": "latest",
        "ImageHash": hashed,
    }
    assert result.stdout == (
        "{\n"
        f'  imageName = "{images.name}";\n'
        f'  imageDigest = "{digest}";\n'
        f'  sha256 = "{hashed}";\n'
        f'  finalImageName = "{images.name}";\n'
        '  finalImageTag = "latest";\n'
        "  tlsVerify = false;\n"
        "}\n"
    )
    assert "Writing manifest to image destination" in result.stderr


def test_what_it_prints_is_built_without_fetching(images, prefetch, docker: Docker):
    with flaky(images.registry) as proxy:
        result = prefetch(proxy.name("group/app"), *final(), "--no-tls-verify")
        assert proxy.requests
        proxy.requests.clear()
        assert (
            evaluate(f"(dockerTools.pullImage {result.stdout}).outPath")
            == (fields(result.stderr)["ImagePath"])
        )
        path = build(f"dockerTools.pullImage {result.stdout}")
        assert not proxy.requests
    assert str(path) == fields(result.stderr)["ImagePath"]
    assert docker.run(docker.load(path)).stdout == f"amd64 {RUN}\n"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_pull_image_fetches_the_same_where_the_store_lacks_it(images, prefetch, architecture):
    options = ["--arch", architecture, *final(), "--no-tls-verify"]
    result = prefetch(images.name, *options)
    path = fields(result.stderr)["ImagePath"]
    nix("nix-store", "--delete", path)
    with flaky(images.registry) as proxy:
        printed = result.stdout.replace(images.name, proxy.name("group/app"))
        # Whatever arch is here: the digest is that of the one image.
        for arch in ("amd64", "arm64"):
            call = f'dockerTools.pullImage ({printed} // {{ arch = "{arch}"; }})'
            assert str(build(call)) == path
            nix("nix-store", "--delete", path)
        assert proxy.requests


def test_of_several_platforms_the_digest_is_that_of_one(images, prefetch):
    def digest(*arguments):
        result = prefetch(*arguments, "--json", "--quiet", "--no-tls-verify")
        return json.loads(result.stdout)["imageDigest"]

    assert digest(images.name) == images.digests["linux/amd64"]
    assert digest(images.name, "--arch", "arm64") == images.digests["linux/arm64"]
    assert digest(images.name, images.index, "--arch=arm64") == images.digests["linux/arm64"]
    # An image that is no list is what it is.
    assert digest(images.name, "arm64") == images.digests["linux/arm64"]
    assert digest(images.name, images.digests["linux/arm64"]) == images.digests["linux/arm64"]


def test_the_operating_system_chooses_too(images, prefetch, refusal):
    digests = images.digests
    other = images.registry.push_index(
        "group/app", "systems", {"freebsd/amd64": digests["linux/arm64"]}
    )
    options = [images.name, "systems", "--no-tls-verify", "--quiet"]
    found = json.loads(prefetch(*options, "--os", "freebsd", "--json").stdout)
    assert found["imageDigest"] == digests["linux/arm64"]
    assert refusal(*options) == (
        f"error: the registry {images.registry.address} has no image for linux/amd64 under "
        f"{images.name}:systems; set --os and --arch to one of those it has: freebsd/amd64"
    )
    assert f"under {images.name}@{other}; set --os" in refusal(images.name, other, *options[2:])


def test_json_has_the_same_and_quiet_says_nothing_else(images, prefetch):
    options = [images.name, "--final-image-name=other", "--final-image-tag=1.0", "--no-tls-verify"]
    result = prefetch(*options, "--json", "--quiet")
    assert not result.stderr
    found = json.loads(result.stdout)
    assert list(found) == [
        *("imageName", "imageDigest", "sha256", "finalImageName", "finalImageTag", "tlsVerify")
    ]
    assert (found["finalImageName"], found["finalImageTag"]) == ("other", "1.0")
    as_nix = prefetch(*options, "--quiet").stdout
    assert evaluate(as_nix) == found
    path = evaluate(f"(dockerTools.pullImage {as_nix}).outPath")
    assert path.endswith("-docker-image-other-1.0.tar")
    assert pathlib.Path(path).exists()


def test_positional_arguments_are_name_and_tag_or_digest(images, prefetch):
    def run(*arguments):
        return prefetch(*arguments, "--quiet", "--no-tls-verify").stdout

    wanted = run("--image-name", images.name, "--image-tag", "arm64")
    assert run(images.name, "arm64") == wanted
    digest = images.digests["linux/arm64"]
    assert run(images.name, digest) == wanted
    assert run("--image-name", images.name, "--image-digest", digest) == wanted
    assert run("--image-digest", digest, images.name) == wanted
    # A digest says more than a tag.
    assert run(images.name, "--image-digest", digest, "--image-tag", "v1") == wanted


def test_hashes_of_other_forms(images, prefetch):
    options = [images.name, "--quiet", "--json", "--no-tls-verify"]
    known = json.loads(prefetch(*options).stdout)["sha256"]
    sri = nix("nix", "hash", "to-sri", "--type", "sha256", known).stdout.strip()
    assert json.loads(prefetch(*options, "--sri").stdout)["hash"] == sri
    result = prefetch(images.name, "--no-tls-verify", *final(), NIX_HASH_ALGO="sha512")
    found = evaluate(result.stdout)
    assert found["hash"].startswith("sha512-")
    path = fields(result.stderr)["ImagePath"]
    assert evaluate(f"(dockerTools.pullImage {result.stdout}).outPath") == path


def test_help_is_no_failure(prefetch):
    for option in ("--help", "-h"):
        result = prefetch(option)
        assert not result.stderr
        assert result.stdout.startswith("usage: nix-prefetch-docker ")
        for flag in (
            *("--image-name", "--image-tag", "--image-digest", "--arch", "--os"),
            *("--final-image-name", "--final-image-tag", "--json", "--quiet", "--help"),
        ):
            assert flag in result.stdout


def test_it_works_without_nix_in_the_path(images, prefetch):
    result = prefetch(images.name, *final(), "--no-tls-verify", PATH="/nonexistent")
    assert pathlib.Path(fields(result.stderr)["ImagePath"]).exists()


def test_it_leaves_nothing_behind(images, prefetch, tmp_path):
    prefetch(images.name, "--no-tls-verify", TMPDIR=str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped(program, tmp_path, number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}/app"
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            [program, name, "--no-tls-verify"], env=environment, stderr=subprocess.PIPE
        )
        # skopeo has connected, and waits for an answer that never comes.
        connection, _ = silent.accept()
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
        assert process.returncode == 130
        assert not said
        # What it says first is all that skopeo has said: it is gone.
        while connection.recv(4096):
            pass
        connection.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no image is named; try 'nix-prefetch-docker --image-name NAME --image-tag TAG'"),
        (["a", "b", "c"], "unrecognized arguments: c; 'nix-prefetch-docker --help' lists"),
        (["a", "--tag=1"], "unrecognized arguments: --tag=1; 'nix-prefetch-docker --help' lists"),
        (["--image-name"], "argument --image-name: expected one argument; "),
        (["a", "--image-name=b"], "the image is named twice, a and b; name it once"),
        (["a", "1", "--image-tag=2"], "'1' says once more which version of the image is meant; "),
        (["a:1"], "the image can't be 'a:1'; a name is such as "),
        (["A"], "the image can't be 'A'; a name is such as "),
        (["docker://a"], "the image can't be 'docker://a'; a name is such as "),
        (["a", "b/c"], "the tag can't be 'b/c'; tags have letters, digits, '_', '.' and '-'"),
        (["a", "sha256:1"], "the digest can't be 'sha256:1'; it must be 'sha256:' and 64 "),
        (["a", "--final-image-name=B"], "the final name of the image can't be 'B'; a name is "),
        (["a", "--final-image-tag="], "the final tag can't be ''; tags have "),
    ],
)
def test_bad_arguments_are_refused(refusal, arguments, message):
    assert refusal(*arguments).startswith(f"error: {message}")


def test_an_unknown_algorithm_is_refused(refusal):
    assert refusal("a", NIX_HASH_ALGO="md4") == (
        "error: NIX_HASH_ALGO can't be 'md4'; set it to one of md5, sha1, sha256, sha512"
    )


def test_an_image_that_is_not_there_is_named(images, refusal):
    assert refusal(images.name, "none", "--no-tls-verify") == (
        f"error: the registry {images.registry.address} has no image group/app with the tag none "
        "(manifest unknown: manifest unknown); check the name of the image and its tag or digest"
    )


def test_plain_http_has_to_be_allowed(images, refusal):
    assert refusal(images.name) == (
        f"error: the registry {images.registry.address} of {images.name}:latest speaks plain HTTP "
        "where HTTPS is asked for; add --no-tls-verify"
    )


def test_failures_that_pass_are_tried_again(images, prefetch):
    with flaky(images.registry, "500", "none", "reset") as proxy:
        result = prefetch(proxy.name("group/app"), "--no-tls-verify", "--quiet")
    assert "sha256" in result.stdout
    said = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert said[0].endswith("attempt 2 of 5 follows in 1 s")


@pytest.fixture(scope="module")
def private(images, tmp_path_factory):
    """A registry with a certificate of its own, that wants credentials, and an auth file for it."""
    directory = tmp_path_factory.mktemp("private")
    certificate = self_signed(directory)
    users = {"me": "secret"}
    with registry(directory / "registry", users=users, certificate=certificate) as server:
        auth = directory / "auth.json"
        secret = base64.b64encode(b"me:secret").decode()
        auth.write_text(json.dumps({"auths": {server.address: {"auth": secret}}}))
        server.push(images.archive, "app", "latest", f"--dest-authfile={auth}")
        yield server, auth, certificate


def test_credentials_are_the_user_s_own(private, prefetch, refusal, tmp_path):
    server, auth, _ = private
    options = [server.name("app"), "--quiet", "--no-tls-verify"]
    assert refusal(*options) == (
        f"error: the registry {server.address} refuses access to {server.name('app')}:latest "
        "(unauthorized: authentication required); check the name of the image; if it is private, "
        "log in with 'skopeo login'"
    )
    by_variable = prefetch(*options, REGISTRY_AUTH_FILE=str(auth)).stdout
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(auth.read_text())
    assert prefetch(*options).stdout == by_variable


def test_an_auth_file_that_is_no_json_is_named(private, refusal, tmp_path):
    server, _, _ = private
    (tmp_path / "auth.json").write_text("{")
    error = refusal(
        server.name("app"), "--no-tls-verify", REGISTRY_AUTH_FILE=str(tmp_path / "auth.json")
    )
    assert f"skopeo can't read the credentials for {server.name('app')}:latest" in error
    assert error.endswith("; log in with 'skopeo login', or mend REGISTRY_AUTH_FILE")


def test_certificates_are_checked(private, prefetch, refusal):
    server, auth, certificate = private
    options = [server.name("app"), "--quiet"]
    variables = {"REGISTRY_AUTH_FILE": str(auth)}
    error = refusal(*options, **variables)
    assert "has no certificate to be trusted (" in error
    assert error.endswith(
        "; name a file with its authority's certificate in NIX_SSL_CERT_FILE, "
        "or add --no-tls-verify"
    )
    for name in ("SSL_CERT_FILE", "NIX_SSL_CERT_FILE"):
        trusting = prefetch(*options, **variables, **{name: str(certificate.certificate)})
        assert "tlsVerify" not in trusting.stdout
