"""pullImage against real registries, from inside the sandbox."""

import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import uuid
from dataclasses import dataclass, field

import pytest

from builders.image.names import RemoteImage
from builders.registry.skopeo import Skopeo
from tests.engine.engines import Docker, skopeo_copy, skopeo_inspect
from tests.engine.registry import (
    Registry,
    busybox_archive,
    flaky,
    registry,
    self_signed,
    unused_address,
)
from tests.nix.images import REPOSITORY, NixError, build, nix
from tests.unit.oci_layouts import check_layout

RUN = uuid.uuid4().hex
"""In every image, since a store that has an image of an earlier run would not fetch it."""

NOWHERE = f"sha256:{64 * '0'}"


@dataclass(frozen=True)
class Images:
    """A registry with one repository, `app`, that has an image for several platforms.

    `archives` and `digests` are by platform; `list` and `index` are the digests of a manifest list
    and an image index of all of them.
    """

    registry: Registry
    archives: dict[str, pathlib.Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    list: str = ""
    index: str = ""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    with registry(directory / "registry") as server:
        archives, digests = {}, {"v2s2": {}, "oci": {}}
        for platform in ("linux/amd64", "linux/arm64", "freebsd/amd64"):
            path = directory / f"{platform.replace('/', '-')}.tar"
            architecture = platform.partition("/")[2]
            archives[platform] = busybox_archive(
                path, architecture=architecture, says=f"{platform} {RUN}"
            )
            for form, of in digests.items():
                of[platform] = server.push(path, "app", f"{form}-{path.stem}", "--format", form)
        yield Images(
            registry=server,
            archives=archives,
            digests=digests["v2s2"],
            list=server.push_index("app", "list", digests["v2s2"]),
            index=server.push_index("app", "index", digests["oci"]),
        )


def by_hand(images, tmp_path, *, name, tag):
    """The hash of what skopeo makes of the image, as somebody has it who uses nixpkgs."""
    source = f"docker://{images.registry.name('app')}@{images.digests['linux/amd64']}"
    return hash_by_hand(source, tmp_path, name=name, tag=tag)


def hash_by_hand(source, tmp_path, *, name, tag):
    """The hash of what skopeo makes of `source`."""
    path = tmp_path / "by-hand.tar"
    path.unlink(missing_ok=True)
    skopeo_copy(source, f"docker-archive:{path}:{name}:{tag}", "--src-tls-verify=false")
    return nix("nix", "hash", "file", "--type", "sha256", str(path)).stdout.strip()


def expression(**attributes):
    """A call of pullImage. JSON's strings and truth values are Nix's, too."""
    text = " ".join(f"{name} = {json.dumps(value)};" for name, value in attributes.items())
    return f"(dockerTools.pullImage {{ {text} }})"


@pytest.fixture
def app(images, tmp_path):
    """Attributes of pullImage for an image, under a name that no other test gives it."""
    name, tag = f"app-{uuid.uuid4().hex}", "v1"
    return {
        "imageName": images.registry.name("app"),
        "imageDigest": images.digests["linux/amd64"],
        "finalImageName": name,
        "finalImageTag": tag,
        "hash": by_hand(images, tmp_path, name=name, tag=tag),
        "tlsVerify": False,
    }


def refusal(attributes, *options, **environment):
    """The lines that a build prints which must fail: warnings, then the error."""
    try:
        path = pull(attributes, *options, **environment)
    except NixError as failed:
        lines = [line.strip() for line in failed.log.splitlines()]
        said = [line for line in lines if line.startswith(("error: ", "warning: "))]
        assert "Traceback" not in failed.log, failed.log
        errors = [line for line in said if line.startswith("error: ")]
        return [line for line in said if line.startswith("warning: ")], errors[0]
    raise AssertionError(f"{path} was built")


def pull(attributes, *options, **environment):
    """Build pullImage of the attributes, in an environment to which variables are added."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return build(expression(**attributes), *options)


def test_a_pulled_image_is_what_skopeo_makes_by_hand_and_runs(images, app, docker: Docker):
    path = pull(app)
    name = docker.load(path)
    assert name == f"{app['finalImageName']}:v1"
    assert docker.run(name).stdout == f"linux/amd64 {RUN}\n"
    assert path.name.endswith(f"-docker-image-{app['finalImageName']}-v1.tar")


def test_a_pulled_image_is_a_base_image(images, app, docker: Docker):
    image = build(
        f"""buildLayeredImage {{
          name = "above";
          tag = "v1";
          fromImage = {expression(**app)};
          config.Cmd = [ "/bin/busybox" "echo" "above" ];
        }}"""
    )
    assert docker.run(docker.load(image)).stdout == "above\n"


def test_a_pulled_image_is_an_image_of_the_oci_and_can_be_in_an_index(
    images, app, tmp_path, docker: Docker
):
    """Its configuration, and so its ID, stays; its layers, which come plain, are compressed."""
    pulled = expression(**app)
    archive = build(f"{pulled}.ociArchive")
    check_layout(archive)
    check_layout(build(f"{pulled}.ociLayout"))
    manifest = json.loads(build(f"{pulled}.manifest").read_text())
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]} == {"gzip"}
    digest = build(f"{pulled}.digest").read_text()
    name = docker.load(pull(app))
    assert manifest["config"]["digest"] == docker.inspect(name)["Id"]
    docker.remove_all()
    assert docker.load(archive) == name
    assert docker.inspect(name)["Id"] == manifest["config"]["digest"]
    assert docker.run(name).stdout == f"linux/amd64 {RUN}\n"
    index = f"""dockerTools.buildImageIndex {{
      name = "i"; images = [ {pulled} (buildImage {{ name = "a"; architecture = "arm64"; }}) ];
    }}"""
    check_layout(build(index))
    listed = json.loads(build(f"({index}).manifest").read_text())["manifests"]
    assert listed[0]["digest"] == digest
    assert [entry["platform"]["architecture"] for entry in listed] == ["amd64", "arm64"]
    # Pushed as it is, and so found under its digest.
    program = build(f"({index}).copyToRegistry")
    target = f"{images.registry.name('pushed')}:1"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [str(program / "bin/copy-to-registry"), target]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert said.stdout.strip().endswith(build(f"({index}).digest").read_text())


@pytest.mark.parametrize(
    ("example", "repository", "final"),
    [
        ("nix-image", "nixos/nix", "nix:2.19.3"),
        ("different-registry", "quay.io/coreos/etcd", "etcd:v3.5.11"),
        ("nix-prefetch-docker", "nixos/nix", "nixos/nix:latest"),
    ],
)
def test_examples_pull_from_the_registry_here(
    images, tmp_path, docker: Docker, example, repository, final
):
    # What differs is where the image comes from; what becomes of it is up to the example.
    archive = busybox_archive(tmp_path / "image.tar", says=f"{example} {RUN}")
    digest = images.registry.push(archive, repository, "v1", "--format=v2s2")
    name, tag = final.split(":")
    source = f"docker://{images.registry.name(repository)}@{digest}"
    here = f"""{{
      imageName = "{images.registry.address}/${{given.imageName}}";
      imageDigest = "{digest}";
      sha256 = "{hash_by_hand(source, tmp_path, name=name, tag=tag)}";
      tlsVerify = false;
    }}"""
    tools = f"dockerTools // {{ pullImage = given: dockerTools.pullImage (given // {here}); }}"
    file = REPOSITORY / f"examples/pull-image-{example}.nix"
    loaded = docker.load(build(f"import {file} {{ dockerTools = {tools}; }}"))
    assert loaded == final
    assert docker.run(loaded).stdout == f"{example} {RUN}\n"


@pytest.mark.parametrize("kind", ["list", "index"])
@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "freebsd/amd64"])
def test_os_and_arch_choose_from_an_index(images, app, tmp_path, kind, platform):
    os_name, architecture = platform.split("/")
    app |= {"imageDigest": getattr(images, kind), "hash": ""}
    _, error = refusal(app | {"os": os_name, "arch": architecture})
    assert "hash mismatch" in error
    app["hash"] = got(app | {"os": os_name, "arch": architecture})
    path = pull(app | {"os": os_name, "arch": architecture})
    config = skopeo_inspect(f"docker-archive:{path}", "--config")
    assert config["architecture"] == architecture
    assert config["config"]["Cmd"][-1] == f"{platform} {RUN}"


def got(attributes):
    """The hash that Nix asks for in place of a wrong one."""
    with pytest.raises(NixError) as failed:
        pull(attributes)
    (line,) = [line for line in failed.value.log.splitlines() if "got: " in line]
    return line.split("got:")[1].strip()


def test_os_and_arch_are_this_machine_s_if_not_given(images, app):
    path = pull(app | {"imageDigest": images.list})
    assert path == pull(app | {"arch": "amd64", "os": "linux"})


def test_the_final_name_is_the_image_s_own_and_latest(images, app, tmp_path):
    name = app["imageName"]
    del app["finalImageName"], app["finalImageTag"]
    path = pull(app | {"hash": by_hand(images, tmp_path, name=name, tag="latest")})
    (entry,) = json.loads(
        subprocess.check_output(["tar", "-xOf", path, "manifest.json"], text=True)
    )
    assert entry["RepoTags"] == [f"{name}:latest"]


def test_the_output_has_the_name_that_it_is_given(app):
    assert pull(app | {"name": "app.tar"}).name.endswith("-app.tar")


def test_a_wrong_hash_is_nix_s_to_refuse_and_said_to_be_wrong(images, app):
    right = app.pop("hash")
    wrong = f"sha256-{43 * 'A'}="
    warnings, error = refusal(app | {"hash": wrong})
    image = f"{app['imageName']}@{app['imageDigest']}"
    assert warnings == [
        f"warning: in docker image {app['imageName']}: {image} is what its imageDigest says, "
        "so it is the hash that is wrong; "
        f'for linux/amd64 as {app["finalImageName"]}:v1 it is hash = "{right}"'
    ]
    assert "hash mismatch in fixed-output derivation" in error
    assert got(app | {"hash": wrong}) == right
    assert got(app | {"sha256": ""}) == right


@pytest.mark.parametrize("algorithm", ["sha1", "sha512"])
def test_other_algorithms_are_nix_s_choice(app, algorithm):
    right = nix("nix", "hash", "file", "--type", algorithm, str(pull(app))).stdout.strip()
    del app["hash"]
    assert pull(
        app | {"outputHash": right, "outputHashAlgo": algorithm, "name": f"{algorithm}.tar"}
    )
    wrong = nix("nix", "hash", "file", "--type", algorithm, "--base32", __file__).stdout.strip()
    warnings, error = refusal(app | {"outputHash": wrong, "outputHashAlgo": algorithm})
    assert warnings[-1].endswith(f'it is hash = "{right}"')
    assert "hash mismatch" in error


def test_a_wrong_digest_is_named(images, app):
    warnings, error = refusal(app | {"imageDigest": NOWHERE, "name": "nowhere.tar"})
    assert not warnings
    assert error == (
        f"error: in docker image {app['imageName']}: "
        f"the registry {images.registry.address} has no image app with the digest "
        f"{NOWHERE} (manifest unknown: manifest unknown); imageDigest is wrong, or imageName is; "
        "nix-prefetch-docker prints both"
    )


def test_a_name_that_the_registry_lacks_is_named(images, app):
    name = images.registry.name("other/app")
    warnings, error = refusal(app | {"imageName": name})
    assert not warnings
    assert f"the registry {images.registry.address} has no image other/app with the digest" in error


@pytest.mark.parametrize("kind", ["list", "index"])
def test_a_platform_that_the_index_lacks_is_named_with_what_it_has(images, app, kind):
    digest = getattr(images, kind)
    warnings, error = refusal(app | {"imageDigest": digest, "arch": "s390x"})
    assert not warnings
    assert error == (
        f"error: in docker image {app['imageName']}: "
        f"the registry {images.registry.address} has no image for linux/s390x under "
        f"{app['imageName']}@{digest}; set os and arch to one of those it has: "
        "linux/amd64, linux/arm64, freebsd/amd64"
    )


def test_a_registry_that_is_down_is_tried_with_growing_pauses(app):
    address = unused_address()
    warnings, error = refusal(app | {"imageName": f"{address}/app"})
    image = f"{address}/app@{app['imageDigest']}"
    said = f"in docker image {address}/app: the registry {address} did not give {image} ("
    assert all(line.startswith(f"warning: {said}") for line in warnings)
    assert [line.rpartition("; ")[2] for line in warnings] == [
        "attempt 2 of 5 follows in 1 s",
        "attempt 3 of 5 follows in 2 s",
        "attempt 4 of 5 follows in 4 s",
        "attempt 5 of 5 follows in 8 s",
    ]
    assert error.startswith(f"error: {said}")
    assert "connection refused" in error
    assert error.endswith("; try again later, or check the registry in imageName")


@pytest.mark.parametrize("faults", [("500", "500"), ("503",), ("reset", "reset"), ("cut",)])
def test_what_passes_is_tried_again(images, app, faults):
    with flaky(images.registry, *faults) as proxy:
        assert pull(app | {"imageName": proxy.name("app")})
    assert [path for path in proxy.requests if "/manifests/" in path][len(faults) :]


def test_a_layer_that_is_cut_short_is_fetched_again(images, app):
    with flaky(images.registry, "none", "cut") as proxy:
        assert pull(app | {"imageName": proxy.name("app")})
    manifest, layer, *_ = proxy.requests
    assert "/manifests/" in manifest
    # By skopeo itself, or by another attempt.
    assert proxy.requests.count(layer) == 2


@pytest.mark.parametrize("faults", [("stall",), ("none", "stall")])
def test_a_registry_that_falls_silent_is_tried_again(images, tmp_path, faults):
    # Without Nix, where nobody would want to wait for as long as users get.
    skopeo = Skopeo(
        program=shutil.which("skopeo"),
        environment=os.environ,
        directory=str(tmp_path),
        tls_verify=False,
        output=io.BytesIO(),
        pauses=(0.1,),
        patience=2,
    )
    out = tmp_path / "image.tar"
    with flaky(images.registry, *faults) as proxy:
        image = RemoteImage(proxy.name("app"), images.digests["linux/amd64"])
        skopeo.copy(image, str(out), name="app:v1", os_name="linux", architecture="amd64")
    assert len([path for path in proxy.requests if "/manifests/" in path]) == 2
    assert tarfile.is_tarfile(out)


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_what_does_not_pass_is_not_tried_again(images, app, status):
    with flaky(images.registry, status) as proxy:
        name = proxy.name("app")
        warnings, error = refusal(app | {"imageName": name})
    assert not warnings
    assert len(proxy.requests) == 1
    assert error.startswith(f"error: in docker image {name}: the registry {proxy.address} ")


@pytest.fixture(scope="module")
def private(images, tmp_path_factory):
    """A registry that wants credentials, with the image, and an auth file for it."""
    directory = tmp_path_factory.mktemp("private")
    with registry(directory / "registry", users={"me": "secret"}) as server:
        auth = directory / "auth.json"
        login = ["skopeo", "login", "--tls-verify=false", "--authfile", auth]
        subprocess.run(
            [*login, "--username", "me", "--password-stdin", server.address],
            input=b"secret",
            check=True,
            capture_output=True,
        )
        archive = images.archives["linux/amd64"]
        server.push(archive, "app", "v1", "--format=v2s2", f"--dest-authfile={auth}")
        # For the build's user, who is not the one that logged in.
        auth.chmod(0o644)
        yield server, auth


def sandbox_path(path):
    return ["--option", "extra-sandbox-paths", f"/auth={path}"]


def test_a_private_image_needs_credentials(private, app):
    server, auth = private
    app["imageName"] = server.name("app")
    warnings, error = refusal(app)
    assert not warnings
    assert error == (
        f"error: in docker image {app['imageName']}: "
        f"the registry {server.address} refuses access to {app['imageName']}@"
        f"{app['imageDigest']} (unauthorized: authentication required); imageName is wrong, or the "
        "image is private: name a file with credentials in REGISTRY_AUTH_FILE and let the sandbox "
        "have it, or put the image into the store with nix-prefetch-docker"
    )
    assert pull(app, *sandbox_path(auth), REGISTRY_AUTH_FILE="/auth")


def test_an_auth_file_outside_of_the_sandbox_is_warned_of(private, app):
    server, auth = private
    warnings, error = refusal(app | {"imageName": server.name("app")}, REGISTRY_AUTH_FILE=str(auth))
    assert warnings == [
        f"warning: in docker image {server.name('app')}: "
        f"REGISTRY_AUTH_FILE names {auth}, which the build can't read; "
        "add it to the Nix setting extra-sandbox-paths and let the group nixbld read it"
    ]
    assert "refuses access" in error
    # Others are no worse off for it.
    assert pull(app, REGISTRY_AUTH_FILE=str(auth))


def test_an_auth_file_that_is_no_json_is_named(private, app, tmp_path):
    server, _ = private
    broken = tmp_path / "auth.json"
    broken.write_text("{")
    tmp_path.chmod(0o755)
    _, error = refusal(
        app | {"imageName": server.name("app")}, *sandbox_path(broken), REGISTRY_AUTH_FILE="/auth"
    )
    assert f"can't read the credentials for {server.name('app')}@" in error
    assert error.endswith("; write the file that REGISTRY_AUTH_FILE names with 'skopeo login'")


def test_wrong_credentials_are_refused_once(private, app, tmp_path):
    server, _ = private
    wrong = tmp_path / "auth.json"
    wrong.write_text(json.dumps({"auths": {server.address: {"auth": "bWU6d3Jvbmc="}}}))
    tmp_path.chmod(0o755)
    warnings, error = refusal(
        app | {"imageName": server.name("app")}, *sandbox_path(wrong), REGISTRY_AUTH_FILE="/auth"
    )
    assert not warnings
    assert f"the registry {server.address} refuses access to" in error


@pytest.fixture(scope="module")
def encrypted(images, tmp_path_factory):
    """A registry with a certificate that nobody trusts, and the image."""
    directory = tmp_path_factory.mktemp("encrypted")
    certificate = self_signed(directory)
    with registry(directory / "registry", certificate=certificate) as server:
        server.push(images.archives["linux/amd64"], "app", "v1", "--format=v2s2")
        yield server, certificate


def test_tls_verify_refuses_an_untrusted_certificate(encrypted, app):
    server, _ = encrypted
    app |= {"imageName": server.name("app"), "tlsVerify": True}
    warnings, error = refusal(app)
    assert not warnings
    assert f"the registry {server.address} of {app['imageName']}@" in error
    assert "has no certificate to be trusted" in error
    assert error.endswith("; name a file with its authority's certificate in NIX_SSL_CERT_FILE and "
        "let the sandbox have it, or set tlsVerify = false")  # fmt: skip
    del app["tlsVerify"]
    assert refusal(app) == (warnings, error)
    assert pull(app | {"tlsVerify": False})


def test_a_certificate_may_be_trusted(encrypted, app):
    server, certificate = encrypted
    assert pull(
        app | {"imageName": server.name("app"), "tlsVerify": True},
        *("--option", "extra-sandbox-paths", f"/certificate={certificate.certificate}"),
        NIX_SSL_CERT_FILE="/certificate",
    )


def test_tls_verify_refuses_plain_http(app):
    app["tlsVerify"] = True
    _, error = refusal(app)
    assert error.endswith(
        f"of {app['imageName']}@{app['imageDigest']} speaks plain HTTP where HTTPS is asked for; "
        "set tlsVerify = false"
    )


def test_a_proxy_is_honoured(images, app):
    # There is no such host; only the proxy knows the way.
    app["imageName"] = "registry.invalid:5000/app"
    with flaky(images.registry) as proxy:
        assert pull(app, http_proxy=f"http://{proxy.address}")
    assert all(path.startswith("http://registry.invalid:5000/v2/app/") for path in proxy.requests)
    assert proxy.requests


def test_a_host_that_does_not_exist_is_named(app):
    _, error = refusal(app | {"imageName": "registry.invalid/app"})
    assert "there is no host for the registry registry.invalid of registry.invalid/app@" in error
