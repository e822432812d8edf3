"""`longshore push` as people call it: what it prints, and what it never does."""

import base64
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from tests.unit.plans import make_plan
from tests.unit.registry.quirks import Fault, Quirks, running
from tests.unit.support import BUILDERS, deadline

SECRET = "s3cret-password"


@pytest.fixture
def registry():
    with running(Quirks()) as quirks:
        yield quirks


@pytest.fixture
def plan(tmp_path):
    """The path of a plan."""
    path = tmp_path / "conf.json"
    path.write_text(make_plan(tmp_path, {"path": os.urandom(3000)}).to_json())
    return path


@pytest.fixture
def push(plan, tmp_path):
    """Run the program on the plan, with a home of its own."""

    def run(*arguments, image=plan, **variables):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        known = {"HOME": str(home), "PATH": os.environ["PATH"]}
        return subprocess.run(
            [sys.executable, BUILDERS, "longshore", "push", image, *arguments],
            capture_output=True,
            text=True,
            env={**known, **variables},
        )

    return run


def refused(result, said):
    assert result.returncode == 1
    assert not result.stdout
    assert said in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr


def test_the_last_line_is_the_name_with_the_digest(push, registry, tmp_path):
    digest_file = tmp_path / "digest"
    result = push(f"{registry.address}/app:1", "--digest-file", digest_file)
    assert result.returncode == 0, result.stderr
    name, _, digest = result.stdout.strip().partition("@")
    assert name == f"{registry.address}/app"
    assert digest in registry.manifests["app"]
    assert digest_file.read_text() == digest
    assert "layer 1 " in result.stderr
    assert "config: sent, " in result.stderr


def test_nothing_of_it_is_on_standard_output_twice(push, registry):
    push(f"{registry.address}/app:1")
    result = push(f"{registry.address}/app:1")
    assert result.stdout.count("\n") == 1
    assert result.stderr.startswith("2 there already: 0 B in ")


def test_the_report_is_json(push, registry):
    result = push(f"{registry.address}/app:1", "--json")
    report = json.loads(result.stdout)
    assert report["name"] == f"{registry.address}/app"
    assert report["reference"] == f"{report['name']}@{report['digest']}"
    assert report["tags"] == ["1"]
    assert [blob["status"] for blob in report["blobs"]] == ["sent"] * 3
    assert report["requests"] == len(registry.requests)
    assert report["bytesSent"] == sum(r.received for r in registry.requests)
    assert report["dryRun"] is False


def test_without_a_reference_the_image_has_one(push, registry, tmp_path):
    path = tmp_path / "named.json"
    path.write_text(
        make_plan(tmp_path / "named", {"x": b"x"}, name=f"{registry.address}/own").to_json()
    )
    assert push(image=path).returncode == 0
    assert registry.tag("own", "tag")


def test_tags_stand_for_that_of_the_image(push, registry):
    push(f"{registry.address}/app", "--tag", "1", "--tag", "2")
    push(f"{registry.address}/other:3", f"{registry.address}/more", "--tag", "4")
    tags = {
        repository: {tag for tag in tags if ":" not in tag}
        for repository, tags in registry.manifests.items()
    }
    assert tags == {"app": {"1", "2"}, "other": {"3", "4"}, "more": {"4"}}


def test_a_dry_run_prints_what_would_be_sent(push, registry):
    result = push(f"{registry.address}/app:1", "--dry-run")
    assert result.returncode == 0
    assert result.stderr.count("would send ") == 3
    assert not registry.manifests
    assert not result.stdout


def test_a_repository_to_mount_from(push, registry):
    push(f"{registry.address}/app:1")
    result = push(
        f"{registry.address}/other:2",
        *("--mount-from", f"{registry.address}/app:1"),
        *("--mount-from", "elsewhere.example/app"),
    )
    assert result.stderr.count(": mounted, ") == 2


def test_what_the_registry_has_lost_is_sent_again_for_the_asking(push, registry):
    push(f"{registry.address}/app:1")
    lost = registry.image("app", "1")["layers"][0]["digest"]
    del registry.blobs["app"][lost]
    result = push(f"{registry.address}/app:1", "--check")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(": sent, ") == 1
    registry.image("app", "1")


def test_options_may_stand_between(push, registry):
    assert push("--jobs", "2", f"{registry.address}/app:1", "--exact").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["registry.example/App:1"], "write registry.example/app"),
        (["registry.example/app:" + "x" * 129], "tags have at most 128; shorten it"),
        ([], "'test' names no registry"),
        (["r.example/app", "--tag", "-x"], "--tag: expected one argument"),
        (["r.example/app", "--tag=.x"], "'.x' is no tag of an image"),
        (["r.example/app", "--jobs", "0"], "--jobs can't be 0"),
        (["r.example/app", "--jobs", "9" * 20], "give a number from 1 to 1000"),
        (["r.example/app", "--jobs", "x"], "invalid int value: 'x'; 'longshore push --help'"),
        (["r.example/app", "--compress", "xz"], "invalid choice: 'xz'"),
        (["r.example/app", "--chunk-size", "0"], "--chunk-size can't be 0"),
        (["r.example/app", "--attach", "sbom"], "nothing can be attached to an image yet"),
        (["r.example/app", "--mount-from", "B"], "'B' has letters in upper case"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_sent(arguments, said, push):
    refused(push(*arguments), said)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "--digest-file can't be '', which is no file"),
        ("/", "--digest-file can't be '/', which is no file"),
        ("/proc/missing/x", "there is no directory /proc/missing for --digest-file; make it first"),
    ],
)
def test_a_digest_that_can_not_be_written_is_told_before_anything_is_sent(
    path, said, push, registry
):
    refused(push(f"{registry.address}/app:1", "--digest-file", path), said)
    assert not registry.requests


def test_a_digest_that_could_not_be_written_is_told(push, registry):
    result = push(f"{registry.address}/app:1", "--digest-file", "/dev/full")
    refused(result, "the image is pushed, and /dev/full can't be written: No space left on device")


def test_an_image_that_is_not_there_is_told(push):
    refused(push("r.example/app", image="missing"), "can't read missing: No such file")


@pytest.mark.parametrize("kind", ["layout", "archive"])
def test_what_is_damaged_of_a_layout_or_an_archive_is_told_without_a_word_of_the_store(
    kind, push, registry, tmp_path
):
    image = make_layout(tmp_path / "layout")
    blob = damaged(image)
    if kind == "archive":
        with tarfile.open(tmp_path / "image.tar", "w") as archive:
            archive.add(image, ".")
        image = blob = tmp_path / "image.tar"
    result = push(f"{registry.address}/app:1", image=image)
    refused(result, "layer 1 has another digest than the image says: what is at ")
    assert f"what is at {blob} has changed since; make the archive or the layout" in result.stderr
    assert "nix-store" not in result.stderr
    assert not registry.manifests


def make_layout(directory):
    """An image layout of one layer."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    layer = add(os.urandom(3000), "layer.v1.tar")
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [layer["digest"]]}}
    manifest = {
        "schemaVersion": 2,
        "config": add(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    entry = add(json.dumps(manifest).encode(), "manifest.v1+json")
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def damaged(layout):
    """Change a byte of the layer, which is the blob of 3000 bytes, and return its path."""
    (path,) = (path for path in (layout / "blobs/sha256").iterdir() if path.stat().st_size == 3000)
    with path.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))
    return path


def test_where_one_place_fails_the_others_are_told(push, registry):
    places = (f"{registry.address}/app:1", "localhost:1/app:1", f"{registry.address}/more:1")
    refused(push(*places), f"; pushed before was {registry.address}/app@sha256:")
    assert list(registry.manifests) == ["app"]
    result = push("localhost:1/app:1", places[0])
    assert "pushed before" not in result.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("POST", "uploads", 401, times=9), "to whoever has not logged in (HTTP status 401"),
        (Fault("POST", "uploads", 403, times=9), "or has no access to it (HTTP status 403"),
        (Fault("POST", "uploads", 404, times=9), "it has no repository app (HTTP status 404"),
        (Fault("PUT", "manifests", 413, times=9), "raise the limit of whatever stands before it"),
        (Fault("GET", "manifests", 302, times=9, headers={"Location": "file:///x"}), "redirects"),
    ],
)
def test_what_a_registry_refuses_is_told_in_one_line_and_leaves_no_tag(fault, said, push, registry):
    registry.faults = [fault]
    refused(push(f"{registry.address}/app:1"), said)
    assert not registry.manifests


# Ends from outside.


def slow_push(registry, plan, directory, **options):
    """Begin a push that waits for the registry."""
    registry.faults = [Fault("POST", "uploads", "slow", times=1, after=1)]
    directory.mkdir()
    process = subprocess.Popen(
        [sys.executable, BUILDERS, "longshore", "push", plan, f"{registry.address}/app:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(directory), "TMPDIR": str(directory)},
        **options,
    )
    with deadline(60):
        while not registry.seen("POST"):
            time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_push_that_is_ended_leaves_no_tag_and_no_file(number, plan, registry, tmp_path):
    process = slow_push(registry, plan, tmp_path / "temporary")
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in said
    assert not registry.manifests
    assert not list((tmp_path / "temporary").glob("longshore-*"))


def test_what_a_push_leaves_that_is_killed_the_next_one_removes(push, plan, registry, tmp_path):
    temporary = tmp_path / "temporary"
    killed = slow_push(registry, plan, temporary)
    killed.kill()
    killed.communicate()
    (left,) = temporary.glob("longshore-push-*")
    # One that goes on, one that has just begun, and one of somebody else.
    others = [temporary / f"longshore-push-{name}" for name in ("held", "new", "file")]
    for directory in others[:2]:
        directory.mkdir()
    others[2].touch()
    registry.faults.clear()
    with (others[0] / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert push(f"{registry.address}/app:2", TMPDIR=str(temporary)).returncode == 0
    assert not left.exists()
    assert sorted(temporary.glob("longshore-*")) == sorted(others)


def test_a_push_without_a_terminal_to_lose_goes_on(plan, registry, tmp_path):
    def as_nohup_does():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = slow_push(registry, plan, tmp_path / "temporary", preexec_fn=as_nohup_does)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert registry.tag("app", "1")


# Credentials.


def with_login(tmp_path, registry):
    packed = base64.b64encode(f"user:{SECRET}".encode()).decode()
    directory = tmp_path / "docker"
    directory.mkdir()
    (directory / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": packed}}})
    )
    return {"DOCKER_CONFIG": str(directory)}


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_credentials_are_in_no_argument_no_line_and_on_no_other_host(
    scheme, push, registry, tmp_path
):
    registry.users, registry.scheme = {"user": SECRET}, scheme
    with running(Quirks()) as elsewhere:
        variables = with_login(tmp_path, registry)
        assert push(f"{registry.address}/app:1", **variables).returncode == 0
        digest = next(iter(registry.blobs["app"]))
        where = {"Location": f"{elsewhere.url}/blob"}
        registry.faults = [Fault("GET", "/blobs/", 307, times=9, headers=where)]
        other = make_plan(tmp_path / "other", {"path": b"other"})
        (tmp_path / "other.json").write_text(other.to_json())
        results = [push(f"{registry.address}/app:1", image=tmp_path / "other.json", **variables)]
        assert elsewhere.requests, digest
        assert all("Authorization" not in r.headers for r in elsewhere.requests)
        registry.users = {"user": "changed"}
        registry.tokens.clear()
        results.append(push(f"{registry.address}/app:2", **variables))
        assert results[-1].returncode == 1
        packed = base64.b64encode(f"user:{SECRET}".encode()).decode()
        for result in results:
            for word in (SECRET, packed, *registry.tokens):
                assert word not in result.stdout + result.stderr
        assert all(SECRET not in r.path for r in registry.requests)


def test_credentials_are_sent_only_once_they_are_asked_for(push, registry, tmp_path):
    assert push(f"{registry.address}/app:1", **with_login(tmp_path, registry)).returncode == 0
    assert all("Authorization" not in r.headers for r in registry.requests)


def test_a_program_of_one_image_takes_no_other(plan, registry, tmp_path):
    variables = {
        "LONGSHORE_IMAGE": str(plan),
        "LONGSHORE_PROGRAM": "copy-to-registry",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    command = [sys.executable, str(BUILDERS), "longshore", "push"]
    shown = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, env={**os.environ, **variables}
    ).stdout
    assert shown.startswith("usage: copy-to-registry [-h]")
    assert "PLAN|" not in shown
    result = subprocess.run(
        [*command, f"{registry.address}/app:1"],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    assert result.returncode == 0, result.stderr
    assert registry.tag("app", "1")
