"""What skopeo's words mean."""

import pytest

from builders.image.names import RemoteImage
from builders.registry.failures import Problem, RegistryError, describe, read_failure

DIGEST = "sha256:" + 64 * "0"


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
