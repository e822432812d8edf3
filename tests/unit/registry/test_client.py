"""Finding a way to a registry, redirections, and what is told where there is none."""

import errno
import socket
import ssl
import subprocess
import threading

import pytest
from urllib3.exceptions import ConnectTimeoutError, ProxyError

from builders.console.errors import UserError
from builders.registry.answers import Answer
from builders.registry.bodies import InMemory
from builders.registry.client import Client, Payload, retry_after
from builders.registry.credentials import Credentials
from builders.registry.destinations import Repository
from builders.registry.no_answer import NoAnswerError
from builders.registry.transport import Transport
from builders.registry.uploads import Uploads
from tests.unit.registry.pushing import SOON, client_of
from tests.unit.registry.quirks import Fault, Quirks, running

SCOPES = ("repository:app:pull,push",)
USER = Credentials("user", "secret-password")


def ask(client, method="HEAD", path="/v2/app/blobs/x", **options):
    return client.ask(method, path, SCOPES, **options)


def failure(client, **options):
    with pytest.raises(UserError) as found:
        ask(client, **options)
    return str(found.value)


def client_at(host, **options):
    verify = not options.get("insecure")
    return Client(host, Transport(verify=verify, patience=5), lambda: None, pauses=SOON, **options)


def self_signed(directory, address):
    """A certificate for `address` that has signed itself, and its key."""
    made = {"certificate": directory / "certificate.pem", "key": directory / "key.pem"}
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-noenc", "-days", "3650", "-subj", "/CN=tests"),
            *("-addext", f"subjectAltName=IP:{address}"),
            *("-out", str(made["certificate"]), "-keyout", str(made["key"])),
        ],
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for loopback."""
    return self_signed(tmp_path_factory.mktemp("certificate"), "127.0.0.1")


def unused_address():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


# The way there.


def test_this_machine_is_asked_by_plain_http(registry):
    assert ask(client_of(registry)).status == 404


def test_a_certificate_that_nobody_has_signed_is_refused(registry_with, certificate):
    registry = registry_with(**certificate)
    said = failure(client_of(registry))
    assert "has no certificate to be trusted (" in said
    assert said.endswith("SSL_CERT_FILE, or add --insecure")


def test_insecure_takes_any_certificate(registry_with, certificate):
    registry = registry_with(**certificate)
    assert ask(client_of(registry, insecure=True)).status == 404


def test_the_user_can_name_an_authority(registry_with, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate["certificate"]))
    assert ask(client_of(registry_with(**certificate))).status == 404


def test_a_certificate_for_another_host_is_refused(registry_with, tmp_path, monkeypatch):
    other = self_signed(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(other["certificate"]))
    said = failure(client_of(registry_with(**other)))
    assert "has no certificate to be trusted (it is one for another host)" in said


def test_a_registry_that_speaks_no_tls_needs_insecure(registry, monkeypatch):
    # As if it were another machine.
    monkeypatch.setattr("builders.registry.client.is_loopback", lambda host: False)
    said = failure(client_of(registry))
    assert "speaks plain HTTP where HTTPS is asked for; check its port, or add --insecure" in said
    assert ask(client_of(registry, insecure=True)).status == 404


def test_nobody_listens():
    said = failure(client_at(unused_address()))
    assert said.startswith("nobody listens at the registry 127.0.0.1:")
    assert said.endswith("; check its name and port, and whether it runs")


def test_there_is_no_such_registry(monkeypatch):
    def lookup(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    said = failure(client_at("registry.invalid"))
    assert said == (
        "there is no registry registry.invalid (Name or service not known); check its name, and "
        "this machine's name service"
    )


def test_a_proxy_that_refuses_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://user:s3cret@{unused_address()}")
    said = failure(client_at("registry.example"))
    assert said.startswith("the proxy that the environment names refuses the way to the registry")
    assert "s3cret" not in said


def test_a_proxy_is_used_with_its_password_and_not_for_this_machine(registry, monkeypatch):
    proxy = Quirks()
    with running(proxy):
        monkeypatch.setenv("http_proxy", f"http://user:s3cret@{proxy.address}")
        assert ask(client_of(registry)).status == 404
        assert not proxy.requests
        # As if it were another machine.
        monkeypatch.setattr("builders.registry.proxies.is_loopback", lambda host: False)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ask(client_of(registry)).status == 404
        assert not proxy.requests
        monkeypatch.setenv("no_proxy", "")
        proxy.faults = [Fault("HEAD", "", 407)]
        assert ask(client_of(registry)).status == 407
        (seen,) = proxy.requests
        assert seen.path.startswith("http://127.0.0.1:")
        assert seen.headers["Proxy-Authorization"].startswith("Basic ")


def test_a_proxy_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert "names a proxy of the kind socks5; set https_proxy" in failure(client_at("r.example"))


def test_what_is_no_http_is_told():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.recv(1 << 16)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        address = "{}:{}".format(*server.getsockname())
        said = failure(client_at(address))
    assert said.startswith(f"the registry {address} broke off (")


# Redirections.


def redirecting(registry, where, status=307, method="GET"):
    registry.faults = [Fault(method, "blobs/x", status, times=9, headers={"Location": where})]


def test_a_redirection_is_followed_without_credentials(registry_with):
    registry = registry_with(users={"user": "secret-password"})
    with running(Quirks()) as elsewhere:
        elsewhere.faults = [Fault("GET", "/other", 200, body=b"content")]
        client = client_of(registry, credentials=USER)
        ask(client)
        redirecting(registry, f"{elsewhere.url}/other?signature=1")
        assert ask(client, "GET").data == b"content"
        (seen,) = elsewhere.requests
        assert "Authorization" not in seen.headers
        assert registry.requests[-1].headers["Authorization"] == f"Basic {USER.basic}"


def test_a_host_that_is_redirected_to_gets_no_credentials_for_the_asking(registry_with):
    registry = registry_with(users={"user": "secret-password"})
    with running(Quirks()) as elsewhere:
        elsewhere.users = {"user": "secret-password"}
        client = client_of(registry, credentials=USER)
        ask(client)
        redirecting(registry, f"{elsewhere.url}/v2/app/blobs/other")
        assert ask(client, "GET").status == 401
        assert all("Authorization" not in r.headers for r in elsewhere.requests)


def test_a_body_goes_again_where_a_redirection_says_so(registry):
    registry.faults = [Fault("PUT", "/v2/app/x", 307, headers={"Location": "/v2/app/manifests/y"})]
    made = []

    def make():
        made.append(1)
        return iter([b"{}"])

    answer = ask(client_of(registry), "PUT", "/v2/app/x", payload=Payload(2, make))
    assert answer.status == 201
    assert len(made) == 2


@pytest.mark.parametrize(
    "where",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "http://[",
        "http://[::1",
        "http://host:99999/",
        "http://host:x/",
        "http://h\x1b[31m/",
        "http://h\xe9/",
    ],
)
def test_a_redirection_to_a_file_is_refused(where, registry):
    redirecting(registry, where)
    said = failure(client_of(registry), method="GET")
    assert said.endswith("no web server; check the name of the registry, or tell whoever runs it")


def test_redirections_have_an_end(registry):
    redirecting(registry, "/v2/app/blobs/x")
    assert "redirects again and again" in failure(client_of(registry), method="GET")


def test_https_is_not_left(registry):
    client = client_at("registry.example")
    answer = Answer(307, {}, b"", "https://registry.example/v2/")
    assert client.resolve("/x?y", answer) == "https://registry.example/x?y"
    assert client.resolve("https://cdn.example/x", answer) == "https://cdn.example/x"
    with pytest.raises(UserError, match=r"redirects to http://cdn.example, where anybody on the"):
        client.resolve("http://cdn.example/x", answer)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:80", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]"]
)
def test_a_registry_elsewhere_redirects_into_no_private_network(host):
    client = client_at("registry.example")
    answer = Answer(307, {}, b"", "https://registry.example/v2/")
    with pytest.raises(UserError, match="which is an address of a private network"):
        client.resolve(f"https://{host}/x", answer)
    near = client_at("10.0.0.2:5000")
    answer = Answer(307, {}, b"", "https://10.0.0.2:5000/v2/")
    assert near.resolve(f"https://{host}/x", answer)


# What is waited for.


def test_seconds_and_dates_are_read():
    assert retry_after("12") == 12
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 21 Oct 2099 07:28:00 GMT") > 1e9
    assert retry_after("soon") is retry_after("") is retry_after(None) is None


def test_an_answer_of_any_length_is_not_read_into_memory(registry):
    registry.faults = [Fault("GET", "", status, body=bytes(9 << 20)) for status in (200, 403)]
    client = client_of(registry)
    for status in (200, 403):
        answer = ask(client, "GET")
        assert (answer.status, len(answer.data), answer.whole) == (status, 8 << 20, False)
    assert ask(client, "GET").status == 404


def test_what_a_registry_says_shows_no_token(registry):
    body = b'{"errors": [{"code": "X", "message": "bad header: Bearer abc.def-ghi, sorry"}]}'
    registry.faults = [Fault("HEAD", "", 400), Fault("GET", "", 400, body=body)]
    said = ask(client_of(registry), "GET").said
    assert said == "HTTP status 400: X bad header: Bearer …, sorry"


def test_what_a_registry_says_shows_no_password(registry):
    registry.users = {USER.user: USER.password}
    body = f"user:{USER.password} may not, nor {USER.basic}".encode()
    client = client_of(registry, credentials=USER)
    ask(client, "GET")
    registry.faults = [Fault("GET", "", 403, body=body)]
    answer = ask(client, "GET")
    assert answer.said == "HTTP status 403: user:… may not, nor …"
    assert USER.password not in repr(answer.secrets and client)


@pytest.mark.parametrize(
    ("host", "address", "own"),
    [
        ("registry.example", "https://registry.example:443/x", True),
        ("registry.example:443", "https://registry.example/x", True),
        ("Registry.example", "https://registry.example/x", True),
        ("registry.example", "https://registry.example:444/x", False),
        ("registry.example", "http://registry.example:443/x", False),
        ("registry.example", "https://registry.example.evil.example/x", False),
        ("registry.example", "https://registry.example@evil.example/x", False),
    ],
)
def test_the_registry_itself_may_be_written_in_several_ways(host, address, own):
    seen = []

    class Recording(Transport):
        def send(self, method, url, headers, body=None):
            seen.append((url, headers.get("Authorization")))
            status = 401 if len(seen) == 1 else 200
            return Answer(status, {"WWW-Authenticate": "Basic"}, b"", url)

    client = Client(host, Recording(), lambda: USER, pauses=SOON)
    client.ask("GET", "/v2/", SCOPES)
    client.ask("PUT", address, SCOPES)
    assert seen[-1] == (address, f"Basic {USER.basic}" if own else None)


def test_a_server_that_a_registry_sends_to_is_named_where_it_is_not_there(registry):
    where = unused_address()
    redirecting(registry, f"http://{where}/x")
    said = failure(client_of(registry), method="GET")
    assert (
        f"nobody listens at the server {where} that the registry {registry.address} sends" in said
    )


def test_a_certificate_that_can_not_be_read_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("builders.registry.transport._CERTIFICATES", [str(tmp_path)])
    directory = tmp_path / "registry.example"
    directory.mkdir()
    (directory / "own.crt").write_text("x")
    said = failure(client_at("registry.example"))
    assert said.startswith(f"can't use the certificates in {directory}/own.crt")
    (directory / "own.crt").unlink()
    (directory / "client.cert").write_text("x")
    said = failure(client_at("registry.example"))
    assert said.startswith(f"can't use the certificate {directory}/client.cert with the key")
    (directory / "client.cert").unlink()
    client = client_at("registry.example")
    broken = tmp_path / "broken"
    broken.write_text("")
    client.transport = Transport(authorities=[str(broken)])
    assert failure(client).startswith(f"can't use the certificates in {broken}")


# Ways that lead nowhere.


class Unreachable(Transport):
    """Answers from `registry`, and fails on the way to others."""

    def __init__(self, error, host="elsewhere.example"):
        super().__init__(patience=5)
        self._error = error
        self._host = host
        self.tried = 0

    def send(self, method, url, headers, body=None):
        if self._host not in url:
            return super().send(method, url, headers, body)
        self.tried += 1
        obstacle, said = self._failure(self._error)
        raise NoAnswerError(obstacle, said, self._host)


LEADS_NOWHERE = [
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nobody listens at the"),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no"),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "there is no"),
    (OSError(errno.EHOSTUNREACH, "x"), "no way leads to the"),
    (OSError(errno.ENETUNREACH, "x"), "no way leads to the"),
    (OSError(errno.EADDRNOTAVAIL, "x"), "no way leads to the"),
    (ConnectTimeoutError(None, "x"), "no way leads to the"),
    (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] x"), "agree on no TLS"),
    (ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] x"), "agree on no TLS"),
    (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"), "agree on no TLS"),
    (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), "speaks plain HTTP"),
    (ssl.SSLCertVerificationError(1, "x"), "has no certificate to be trusted"),
    (ProxyError("x", OSError("Tunnel connection failed: 403 Forbidden")), "the proxy that"),
]


def with_reason(error):
    """As the TLS library makes it."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError):
        error.reason = str(error.args[1]).partition("SSL: ")[2].partition("]")[0]
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(("error", "said"), LEADS_NOWHERE)
def test_a_host_that_never_answered_is_not_asked_again(error, said, registry):
    client = client_of(registry)
    client.transport = Unreachable(with_reason(error))
    redirecting(registry, "http://elsewhere.example/x")
    shown = failure(client, method="GET")
    assert said in shown
    assert "server elsewhere.example that the registry" in shown
    assert client.transport.tried == 1


@pytest.mark.parametrize(("error", "said"), LEADS_NOWHERE)
def test_nor_is_a_registry_that_never_answered(error, said):
    client = client_at("elsewhere.example")
    client.transport = Unreachable(with_reason(error))
    assert said in failure(client)
    assert client.transport.tried == 1


@pytest.mark.parametrize("error", [error for error, _ in LEADS_NOWHERE[:7]])
def test_one_that_has_answered_is(error, registry):
    client = client_of(registry)
    with running(Quirks()) as elsewhere:
        client.transport = Unreachable(error, "never")
        redirecting(registry, f"{elsewhere.url}/x")
        assert ask(client, method="GET").status == 404
        client.transport = Unreachable(error, elsewhere.address)
        failure(client, method="GET")
        assert client.transport.tried == 1 + len(SOON)


def test_an_upload_that_is_sent_to_nobody_ends_soon(registry):
    where = unused_address()
    registry.location = f"http://{where}"
    with pytest.raises(UserError, match=f"nobody listens at the server {where} that the registry"):
        Uploads(client_of(registry), Repository(registry.address, "app")).send(
            InMemory(f"sha256:{'0' * 64}", b"x")
        )
    assert len(registry.requests) == 1


def test_how_long_was_waited_for_a_connection_is_told():
    transport = Transport(patience=5)
    assert transport._failure(ConnectTimeoutError(None, "x"))[1] == "no connection within 5 s"
    assert Transport()._failure(ConnectTimeoutError(None, "x"))[1] == "no connection within 30 s"
