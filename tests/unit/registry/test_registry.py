"""Images in registries: names, indexes, hashes, and what skopeo's words mean."""

import hashlib
import io
import json

import pytest

from builders.console.errors import UserError
from builders.derivations import pull_image
from builders.formats.image_index import choose_platform, read_index
from builders.image.platform import Platform
from builders.programs import nix_prefetch_docker
from builders.registry.failures import Problem, RegistryError, describe, read_failure
from builders.registry.hashes import FileHash, hash_file
from builders.registry.names import RemoteImage, archive_name, is_name, is_tag
from builders.registry.skopeo import Skopeo

DIGEST = "sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("name", "registry", "repository"),
    [
        ("hello", "docker.io", "hello"),
        ("nixos/nix", "docker.io", "nixos/nix"),
        ("registry.example/app", "registry.example", "app"),
        ("localhost/group/app", "localhost", "group/app"),
        ("host:5000/group/app", "host:5000", "group/app"),
        ("[::1]:5000/app", "[::1]:5000", "app"),
        ("Host/app", "Host", "app"),
    ],
)
def test_a_name_begins_with_its_registry_or_is_of_the_default_one(name, registry, repository):
    image = RemoteImage(name, "latest")
    assert (image.registry, image.repository) == (registry, repository)
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "App", "a//b", "a:1", f"a@{DIGEST}", "docker://a", "a b", "-a", "a/", "a\n"]
)
def test_these_are_no_names(name):
    assert not is_name(name)


@pytest.mark.parametrize("tag", ["", ".a", "a/b", "a:b", "a\n", 129 * "a"])
def test_these_are_no_tags(tag):
    assert not is_tag(tag)


def test_an_image_is_written_with_its_tag_or_digest():
    assert str(RemoteImage("a/b", "v1")) == "a/b:v1"
    assert str(RemoteImage("a/b", DIGEST)) == f"a/b@{DIGEST}"


def test_file_names_have_no_slash_and_no_colon():
    assert archive_name("host:5000/a", "v1") == "docker-image-host-5000-a-v1.tar"


def test_hashes_are_spelled_as_nix_spells_them(tmp_path):
    # The empty file's, as `nix-hash` prints it.
    empty = tmp_path / "empty"
    empty.touch()
    hashed = hash_file(str(empty))
    assert hashed.base32 == "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
    assert hashed.sri == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert hash_file(str(empty), "sha1").base32 == "143xibwh31h9bvxzalr0sjvbbvpa6ffs"


def test_every_spelling_of_a_hash_is_recognised():
    hashed = FileHash("sha256", hashlib.sha256(b"").digest())
    bare = [hashed.base32, hashed.base64, hashed.digest.hex()]
    for text in (*bare, *(f"sha256:{spelling}" for spelling in bare), hashed.sri):
        assert hashed.is_spelled(text)
    assert not hashed.is_spelled("")
    assert not hashed.is_spelled(f"sha512-{hashed.base64}")
    assert not hashed.is_spelled(FileHash("sha256", bytes(32)).sri)


def index(*platforms):
    manifests = []
    for number, platform in enumerate(platforms):
        names = ("os", "architecture", "variant")
        entry: dict[str, object] = {"digest": f"sha256:{number:064}"}
        if platform:
            entry["platform"] = dict(zip(names, platform.split("/"), strict=False))
        manifests.append(entry)
    return json.dumps({"manifests": manifests}).encode()


@pytest.mark.parametrize(
    ("platforms", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64/v8"], ("linux", "arm64"), "1"),
        (["windows/amd64", "linux/amd64"], ("linux", "amd64"), "1"),
        (["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], ("linux", "arm"), "1"),
        (["linux/arm/v7", "linux/arm"], ("linux", "arm"), "1"),
        (["linux/mips/x", "linux/mips/y"], ("linux", "mips"), "0"),
        (["unknown/unknown", "", "linux/amd64"], ("linux", "amd64"), "2"),
    ],
)
def test_of_an_index_the_entry_is_taken_that_skopeo_takes(platforms, wanted, chosen):
    os_name, architecture = wanted
    entries = read_index(index(*platforms), what="app", hint="mend it")
    digest = choose_platform(entries, Platform(os_name, architecture)).digest
    assert digest == f"sha256:{int(chosen):064}"


def test_an_index_without_the_platform_says_what_it_has():
    data = index("linux/amd64", "unknown/unknown", "linux/arm/v7")
    entries = read_index(data, what="app", hint="mend it")
    assert choose_platform(entries, Platform("linux", "s390x")) is None
    assert [str(entry.platform) for entry in entries] == ["linux/amd64", "linux/arm/v7"]


def test_a_manifest_is_no_index():
    data = b'{"schemaVersion": 2, "layers": []}'
    assert read_index(data, what="app", hint="mend it") is None


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b"3", b'{"manifests": 3}', b"\xff", b"[" * 9999]
)
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(UserError, match=r"^the index of app.*; mend it$"):
        read_index(data, what="the index of app", hint="mend it")


SOURCE = f"initializing source docker://host:1/timeout/denied@{DIGEST}: "


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (f"reading manifest {DIGEST} in host:1/timeout/denied: manifest unknown", "NO_MANIFEST"),
        ("reading manifest: name unknown: repository name not known to registry", "NO_MANIFEST"),
        ("reading manifest: StatusCode: 404, <html>", "NO_MANIFEST"),
        ("unauthorized: authentication required", "ACCESS"),
        ("denied: requested access to the resource is denied", "ACCESS"),
        ("reading manifest: StatusCode: 403, <html>", "ACCESS"),
        ('getting username and password: reading JSON file "/a"', "AUTH_FILE"),
        ("choosing: no image found in manifest list for architecture x", "NO_PLATFORM"),
        ("choosing: no image found in image index for architecture x", "NO_PLATFORM"),
        ('Get "https://host:1/v2/": x509: certificate signed by unknown authority', "CERTIFICATE"),
        ('Get "https://host:1/v2/": http: server gave HTTP response to HTTPS client', "PLAIN_HTTP"),
        ("dial tcp: lookup host: no such host", "NO_HOST"),
        ("writing blob: write /tmp/x: no space left on device", "DISK"),
        ("received unexpected HTTP status: 500 Internal Server Error", "TRANSIENT"),
        ("received unexpected HTTP status: 503 Service Unavailable", "TRANSIENT"),
        ("toomanyrequests: You have reached your pull rate limit", "TRANSIENT"),
        ("read tcp 1.2.3.4:5->6.7.8.9:0: read: connection reset by peer", "TRANSIENT"),
        ("dial tcp 1.2.3.4:5: connect: connection refused", "TRANSIENT"),
        ("dial tcp 1.2.3.4:5: i/o timeout", "TRANSIENT"),
        ("net/http: TLS handshake timeout", "TRANSIENT"),
        ("unexpected EOF", "TRANSIENT"),
        ("lookup host: Temporary failure in name resolution", "TRANSIENT"),
        ("something else", "OTHER"),
    ],
)
def test_words_of_skopeo_and_their_kind(said, problem):
    # What an image is called doesn't count.
    message = (SOURCE + said).replace('"', '\\"')
    log = f'time="1" level=warning msg="EOF"\ntime="2" level=fatal msg="{message}"\n'
    error = read_failure(log, RemoteImage("host:1/timeout/denied", DIGEST))
    assert error.problem == Problem[problem]
    assert error.said == SOURCE + said


def test_a_log_of_another_form_is_read_from_its_end():
    image = RemoteImage("app", "v1")
    assert read_failure("Error: x\npanic: y\n", image).said == "panic: y"
    assert read_failure("", image).said == "it said nothing"


def test_every_kind_names_registry_and_image():
    image = RemoteImage("host:1/app", "v1")
    for problem in Problem:
        described = describe(RegistryError(problem, "because"), image)
        assert "host:1" in described
        assert "app" in described
        assert "v1" in described
        assert "\n" not in described


@pytest.mark.parametrize("program", [nix_prefetch_docker, pull_image])
def test_every_kind_has_a_remedy(program):
    assert set(program.HINTS) == set(Problem)


FAKE = """#!/bin/sh
echo attempt >> {log}
[ $(wc -l < {log}) -gt {failures} ] || {{
  echo partial > {out}
  echo 'time=1 level=fatal msg="{message}"' >&2
  exit 1
}}
[ ! -e {out} ] || exit 2
echo image > {out}
echo copied
"""


@pytest.fixture
def fake_skopeo(tmp_path):
    """A program that fails some times, leaves a part of a file behind, and then succeeds."""

    def make(failures, message):
        program, log, out = tmp_path / "skopeo", tmp_path / "log", tmp_path / "out"
        said = io.BytesIO()
        program.write_text(FAKE.format(log=log, out=out, failures=failures, message=message))
        program.chmod(0o755)
        skopeo = Skopeo(
            program=str(program),
            environment={"PATH": "/usr/bin:/bin"},
            directory=str(tmp_path),
            tls_verify=True,
            output=said,
            pauses=(0.01, 0.02),
        )

        def copy():
            image = RemoteImage("app", "v1")
            skopeo.copy(image, str(out), name="app:v1", os_name="linux", architecture="amd64")
            assert said.getvalue() == b"copied\n"

        return copy, log, out

    return make


def test_what_may_pass_is_tried_again(fake_skopeo, capfd):
    copy, log, out = fake_skopeo(2, "connection reset by peer")
    copy()
    assert out.read_text() == "image\n"
    assert log.read_text().count("attempt") == 3
    said = "did not give app:v1 (connection reset by peer); attempt"
    assert capfd.readouterr().err.splitlines() == [
        f"warning: the registry docker.io {said} 2 of 3 follows in 0.01 s",
        f"warning: the registry docker.io {said} 3 of 3 follows in 0.02 s",
    ]


def test_what_does_not_pass_ends_after_the_last_attempt(fake_skopeo):
    copy, log, _ = fake_skopeo(9, "unexpected EOF")
    with pytest.raises(RegistryError) as raised:
        copy()
    assert raised.value.problem == Problem.TRANSIENT
    assert log.read_text().count("attempt") == 3


@pytest.mark.parametrize("message", ["manifest unknown", "unauthorized", "something else"])
def test_what_cannot_pass_is_not_tried_again(fake_skopeo, message):
    copy, log, _ = fake_skopeo(9, message)
    with pytest.raises(RegistryError):
        copy()
    assert log.read_text().count("attempt") == 1


@pytest.fixture
def skopeo_that(tmp_path):
    """Skopeo whose program is a shell script, and a patience of its own."""

    def make(script, *, patience):
        program = tmp_path / "skopeo"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        return Skopeo(
            program=str(program),
            environment={"PATH": "/usr/bin:/bin"},
            directory=str(tmp_path),
            tls_verify=True,
            output=None,
            pauses=(0.01,),
            patience=patience,
        )

    return make


def test_a_registry_that_says_nothing_is_not_waited_for(skopeo_that, tmp_path, capfd):
    log = tmp_path / "log"
    skopeo = skopeo_that(
        f"echo attempt >> {log}\n[ $(wc -l < {log}) -gt 1 ] || exec sleep 1000\necho manifest",
        patience=0.2,
    )
    assert skopeo.manifest(RemoteImage("app", "v1")) == b"manifest\n"
    said = "the registry docker.io did not give app:v1 (nothing came for 0.2 s)"
    assert capfd.readouterr().err == f"warning: {said}; attempt 2 of 2 follows in 0.01 s\n"


def test_a_registry_that_is_slow_is_waited_for(skopeo_that):
    slowly = "for number in 1 2 3 4 5 6; do sleep 0.5; echo $number; done"
    manifest = skopeo_that(slowly, patience=2).manifest(RemoteImage("app", "v1"))
    assert manifest == b"1\n2\n3\n4\n5\n6\n"
