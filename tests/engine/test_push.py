"""Pushes to a real registry, and what skopeo, podman and Docker pull of them."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import uuid

import pytest

from tests.engine.engines import EngineError, execute, skopeo_copy
from tests.engine.registry import busybox_archive, registry, self_signed, unused_address
from tests.nix.images import build

RUN = uuid.uuid4().hex
"""In what tests push, so that no run finds what another one left."""

USERS = {"user": "s3cret-password"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A registry that anybody may write to."""
    with registry(tmp_path_factory.mktemp("push") / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def longshore(sandboxed_nix):
    return build("dockerTools.longshore") / "bin/longshore"


@pytest.fixture
def push(longshore, tmp_path):
    """Run `longshore push`, with a home and a cache of its own."""
    home = tmp_path / "home"
    home.mkdir()

    def run(image, *arguments, check=True, **variables):
        result = subprocess.run(
            [longshore, "push", image, *arguments],
            capture_output=True,
            text=True,
            env={"HOME": str(home), "PATH": os.environ["PATH"], **variables},
        )
        assert not check or result.returncode == 0, result.stderr
        return result

    return run


def image(text, *, layers="hello"):
    """An image whose container prints `text`; a change of it changes one file of `contents`."""
    return f"""
      streamLayeredImage {{
        name = "app";
        tag = "1";
        contents = [ {layers} bash coreutils (writeTextDir "share/text" "{text} {RUN}") ];
        config.Cmd = [ "/bin/cat" "/share/text" ];
      }}
    """


def requests(server, since=0):
    """The requests that the registry has logged after byte `since` of its log."""
    log = server.log.read_bytes()[since:].decode()
    return re.findall(r'"(GET|HEAD|POST|PUT|PATCH) (/v2/\S*) HTTP', log)


def size_of_log(server):
    return server.log.stat().st_size


def pulled(server, name, directory):
    """Return the manifest that skopeo copies, whose digests it checks."""
    skopeo_copy(f"docker://{server.name(name)}", f"dir:{directory}", "--src-tls-verify=false")
    return json.loads((directory / "manifest.json").read_text())


def test_what_is_pushed_is_pulled_by_all(server, push, podman, docker, tmp_path):
    plan = build(f"({image('first')}).conf")
    result = push(plan, f"{server.address}/group/app:1")
    manifest = pulled(server, "group/app:1", tmp_path / "pulled")
    name, _, digest = result.stdout.strip().partition("@")
    data = (tmp_path / "pulled/manifest.json").read_bytes()
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert digest == build(f"({image('first')}).digest").read_text()
    docker.command("pull", f"{name}:1")
    assert docker.run(f"{name}:1").stdout == f"first {RUN}"
    identifier = docker.command("inspect", "--format={{.Id}}", f"{name}:1").strip()
    assert identifier == manifest["config"]["digest"]
    podman.command("pull", "--tls-verify=false", f"{name}@{digest}")


def test_after_a_change_at_most_sixteen_requests_are_made(server, push, tmp_path):
    layers = " ".join(
        f'(writeTextDir "share/many/{number}" "{number} {RUN}")' for number in range(60)
    )
    before, after = (build(f"({image(text, layers=layers)}).conf") for text in ("a", "b"))
    push(before, f"{server.address}/many:1")
    since = size_of_log(server)
    result = push(after, f"{server.address}/many:1", "--json", XDG_CACHE_HOME=str(tmp_path / "new"))
    report = json.loads(result.stdout)
    assert report["requests"] <= 16
    assert len(requests(server, since)) <= 16
    sent = [blob for blob in report["blobs"] if blob["status"] == "sent"]
    assert report["bytesSent"] <= sum(blob["size"] for blob in sent) + 64_000
    assert len(sent) <= 3 + 1
    since = size_of_log(server)
    again = json.loads(push(after, f"{server.address}/many:1", "--json").stdout)
    assert again["digest"] == report["digest"]
    assert len(requests(server, since)) <= 3


def test_no_store_path_is_opened_but_those_that_are_sent(server, push, longshore, tmp_path):
    before, after = (build(f"({image(text)}).conf") for text in ("one", "two"))
    push(before, f"{server.address}/traced:1")
    trace = tmp_path / "trace"
    subprocess.run(
        [
            *("strace", "-f", "-e", "trace=open,openat", "-o", trace),
            *(longshore, "push", after, f"{server.address}/traced:1"),
        ],
        check=True,
        capture_output=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    layers = json.loads(after.read_text())["layers"]
    paths = {path for layer in layers for path in layer.get("paths", ())}
    known = {
        path
        for layer in json.loads(before.read_text())["layers"]
        for path in layer.get("paths", ())
    }
    opened = {path for path in paths if re.search(rf'"{re.escape(path)}["/]', trace.read_text())}
    # The program itself is made of some of them.
    own = set(execute(["nix-store", "-qR", str(longshore)]).split())
    assert opened - own == paths - known - own


def test_what_a_registry_has_lost_is_sent_again_for_the_asking(server, push, tmp_path):
    plan = build(f"({image('lost')}).conf")
    pushed = json.loads(push(plan, f"{server.address}/lost:1", "--json").stdout)
    largest = max(pushed["blobs"], key=lambda blob: blob["size"])["digest"].partition(":")[2]
    (data,) = server.log.parent.rglob(f"{largest}/data")
    data.unlink()
    with pytest.raises(EngineError, match="404"):
        pulled(server, "lost:1", tmp_path / "broken")
    push(plan, f"{server.address}/lost:1")
    assert not data.exists()
    checked = json.loads(push(plan, f"{server.address}/lost:1", "--check", "--json").stdout)
    assert checked["digest"] == pushed["digest"]
    assert [blob["digest"] for blob in checked["blobs"] if blob["status"] == "sent"] == [
        f"sha256:{largest}"
    ]
    pulled(server, "lost:1", tmp_path / "pulled")


def test_layers_that_skopeo_pushed_are_not_sent_again(server, push, tmp_path):
    script, plan = (build(f"({image('skopeo')}){what}") for what in ("", ".conf"))
    archive = tmp_path / "image.tar"
    with archive.open("wb") as file:
        subprocess.run([script], stdout=file, stderr=subprocess.DEVNULL, check=True)
    server.push(archive, "by-skopeo", "1")
    report = json.loads(push(plan, f"{server.address}/by-skopeo:1", "--json").stdout)
    sent = [blob for blob in report["blobs"] if blob["status"] == "sent"]
    assert all("layer" not in blob["mediaType"] for blob in sent)
    pulled(server, "by-skopeo:1", tmp_path / "pulled")


def test_a_sibling_repository_is_mounted_from(server, push, tmp_path):
    plan = build(f"({image('sibling')}).conf")
    push(plan, f"{server.address}/sibling:1")
    source = f"{server.address}/sibling"
    result = push(plan, f"{server.address}/other:1", "--mount-from", source, "--json")
    report = json.loads(result.stdout)
    layers = [blob for blob in report["blobs"] if "layer" in blob["mediaType"]]
    assert {blob["status"] for blob in layers} == {"mounted"}
    pulled(server, "other:1", tmp_path / "pulled")


def test_the_program_of_an_index_pushes_all_its_images(server, tmp_path, podman):
    expression = f"""
      dockerTools.buildImageIndex {{
        name = "{server.address}/index";
        tag = "1";
        images = [
          ({image("both")})
          (({image("both")}).override {{ architecture = "arm64"; }})
        ];
      }}
    """
    program = build(f"({expression}).copyToRegistry") / "bin/copy-to-registry"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    said = subprocess.run([program], capture_output=True, text=True, check=True, env=environment)
    digest = build(f"({expression}).digest").read_text()
    assert said.stdout == f"{server.address}/index@{digest}\n"
    for architecture in ("amd64", "arm64"):
        inspected = execute(
            [
                *("skopeo", f"--override-arch={architecture}", "inspect", "--tls-verify=false"),
                f"docker://{server.address}/index:1",
            ]
        )
        assert json.loads(inspected)["Architecture"] == architecture


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci"])
def test_images_of_others_are_pushed(kind, server, push, tmp_path):
    busybox = busybox_archive(tmp_path / "busybox.tar", says=RUN)
    path = tmp_path / "image"
    skopeo_copy(f"docker-archive:{busybox}", f"{kind}:{path}:app:1")
    push(path, f"{server.address}/{kind}:1")
    pulled(server, f"{kind}:1", tmp_path / "pulled")


def test_whoever_has_logged_in_with_skopeo_may_push(push, tmp_path):
    plan = build(f"({image('login')}).conf")
    auth_file = tmp_path / "auth.json"
    with registry(tmp_path / "registry", users=USERS) as server:
        refused = push(plan, f"{server.address}/app:1", check=False)
        assert "to whoever has not logged in (HTTP status 401" in refused.stderr
        execute(
            [
                *("skopeo", "login", "--tls-verify=false", "--authfile", str(auth_file)),
                *("--username=user", f"--password={USERS['user']}", server.address),
            ]
        )
        result = push(plan, f"{server.address}/app:1", REGISTRY_AUTH_FILE=str(auth_file))
        assert "@sha256:" in result.stdout
        assert USERS["user"] not in result.stdout + result.stderr
        assert USERS["user"] not in server.log.read_text()


def test_tls_that_has_signed_itself_takes_its_authority_or_insecure(push, tmp_path):
    plan = build(f"({image('tls')}).conf")
    certificate = self_signed(tmp_path)
    with registry(tmp_path / "registry", certificate=certificate) as server:
        refused = push(plan, f"{server.address}/app:1", check=False)
        assert "has no certificate to be trusted" in refused.stderr
        trusted = str(certificate.certificate)
        assert push(plan, f"{server.address}/app:1", SSL_CERT_FILE=trusted).stdout
        assert push(plan, f"{server.address}/app:2", "--insecure").stdout


def test_nobody_listens_is_told_in_one_line(push):
    plan = build(f"({image('nobody')}).conf")
    result = push(plan, f"{unused_address()}/app:1", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: nobody listens at the registry 127.0.0.1:")
    assert result.stderr.count("\n") == 1


def test_a_repository_that_holds_nothing_holds_no_tag_after_a_failure(server, push, tmp_path):
    path = pathlib.Path(tmp_path / "image.tar")
    busybox_archive(path, says=RUN)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    assert push(path, f"{server.address}/damaged:1", check=False).returncode == 1
    with pytest.raises(EngineError):
        execute(["skopeo", "list-tags", "--tls-verify=false", f"docker://{server.address}/damaged"])
