"""Saying who one is, to registries and token services."""

import json

import pytest

from builders.console.errors import UserError
from builders.registry.answers import Answer
from builders.registry.credentials import Credentials
from builders.registry.tokens import Authorizer
from tests.unit.registry.pushing import client_of
from tests.unit.registry.quirks import Fault, Quirks, running

USER = Credentials("user", "secret-password")
SCOPES = ("repository:app:pull,push",)


def ask(registry, credentials=USER, times=1):
    client = client_of(registry, credentials=credentials)
    return [client.ask("HEAD", "/v2/app/blobs/x", SCOPES) for _ in range(times)][-1]


def challenge(realm, scheme="Bearer"):
    headers = {"WWW-Authenticate": f'{scheme} realm="{realm}",service="s"'}
    return Answer(401, headers, b"", "https://registry.example/v2/")


def refused(realm, *, secure):
    def unasked(*_):
        raise AssertionError("nobody is asked for a token")

    authorizer = Authorizer("registry.example", lambda: USER, unasked)
    with pytest.raises(UserError) as found:
        authorizer.challenged(challenge(realm), SCOPES, None, secure=secure)
    return str(found.value)


def test_a_token_is_got_once_and_used_from_there_on(registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    assert ask(registry, times=3).status == 404
    assert len(registry.seen("GET", "^/token")) == 1
    (first, *others) = registry.seen("HEAD")
    assert "Authorization" not in first.headers
    assert all(r.headers["Authorization"].startswith("Bearer ") for r in others)
    (token,) = registry.seen("GET", "^/token")
    assert token.query["service"] == "quirks"
    assert token.query["account"] == "user"
    assert token.headers["Authorization"] == f"Basic {USER.basic}"


def test_basic_needs_no_token(registry_with):
    registry = registry_with(users={"user": "secret-password"})
    assert ask(registry, times=3).status == 404
    assert [r.status for r in registry.requests] == [401, 404, 404, 404]


def test_an_identity_token_is_posted(registry_with):
    registry = registry_with(identity_token="identity", scheme="Bearer")
    assert ask(registry, Credentials(identity_token="identity")).status == 404
    (asked,) = registry.seen("POST", "^/token")
    assert json.loads(asked.form) == {
        "grant_type": "refresh_token",
        "service": "quirks",
        "client_id": "longshore",
        "scope": "repository:app:pull,push",
        "refresh_token": "identity",
    }


@pytest.mark.parametrize("status", [404, 405])
def test_where_there_is_no_post_an_identity_token_is_a_password(status, registry_with):
    registry = registry_with(users={"<token>": "identity"}, scheme="Bearer")
    registry.faults = [Fault("POST", "^/token", status)]
    assert ask(registry, Credentials(identity_token="identity")).status == 404


def test_a_token_for_the_registry_itself_is_used_as_it_is(registry_with):
    registry = registry_with(users={"user": "other"}, scheme="Bearer")
    registry.tokens["ready"] = {"scopes": SCOPES, "uses": 0}
    assert ask(registry, Credentials(registry_token="ready")).status == 404
    assert not registry.seen(pattern="^/token")


def test_something_large_begins_with_a_fresh_token():
    now = [0.0]
    given = iter(range(9))

    def serve(method, address, headers, body):
        data = json.dumps({"token": f"t{next(given)}", "expires_in": 300}).encode()
        return Answer(200, {}, data, address)

    authorizer = Authorizer("r", lambda: USER, serve, clock=lambda: now[0])
    authorizer.challenged(challenge("https://tokens.example/"), SCOPES, None, secure=True)
    assert authorizer.header(SCOPES, large=True) == "Bearer t0"
    now[0] = 280
    assert authorizer.header(SCOPES) == "Bearer t0"
    assert authorizer.header(SCOPES, large=True) == "Bearer t1"
    now[0] = 580
    assert authorizer.header(SCOPES) == "Bearer t2"


def test_a_token_without_a_time_is_good_for_a_minute(registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer", expires_in=None)
    assert ask(registry, times=3).status == 404
    assert len(registry.seen("GET", "^/token")) == 1


def test_the_scope_that_is_asked_for_stands_first():
    asked = []

    def serve(method, address, headers, body):
        asked.append(address)
        return Answer(200, {}, b'{"access_token": "t"}', address)

    authorizer = Authorizer("r", lambda: USER, serve)
    wanted = 'Bearer realm="https://t.example/x?y=1",scope="repository:base:pull"'
    answer = Answer(401, {"WWW-Authenticate": wanted}, b"", "")
    scopes = ("repository:app:pull,push", "repository:base:pull")
    assert authorizer.challenged(answer, scopes, None, secure=True)
    assert asked == [
        "https://t.example/x?y=1&scope=repository%3Abase%3Apull"
        "&scope=repository%3Aapp%3Apull%2Cpush&account=user"
    ]
    assert authorizer.header(scopes) == "Bearer t"


def test_a_registry_with_https_may_not_send_to_a_token_service_without():
    said = refused("http://tokens.example/token", secure=True)
    assert said == (
        "the registry registry.example sends to http://tokens.example for a token, where "
        "credentials could be read on their way; tell whoever runs it that its token service has "
        "to use HTTPS"
    )


def test_nor_may_one_of_this_machine_to_one_elsewhere():
    assert "could be read on their way" in refused("http://tokens.example/token", secure=False)
    with pytest.raises(AssertionError, match="nobody is asked for a token"):
        refused("http://localhost:1/token", secure=False)


@pytest.mark.parametrize(
    "realm",
    [
        *("file:///etc/passwd", "", "//host/x", "ftp://host/x", "https:"),
        *("http://[", "https://host:99999/x", "https://host:x/", "https://h\x1b/"),
    ],
)
def test_a_token_service_is_a_web_server(realm):
    assert "which is no address of a web server; " in refused(realm, secure=False)


def test_a_login_that_has_expired_is_told_without_the_secret(registry_with):
    registry = registry_with(users={"user": "another"}, scheme="Bearer")
    with pytest.raises(UserError) as found:
        ask(registry)
    assert "doesn't take the credentials (HTTP status 401): the login is wrong or" in str(
        found.value
    )
    assert f"log in again with 'docker login {registry.address}'" in str(found.value)
    assert "secret-password" not in str(found.value)


def test_whoever_has_not_logged_in_is_told_to(registry_with):
    registry = registry_with(users={"user": "another"}, scheme="Bearer")
    with pytest.raises(UserError, match="gives nobody a token who has not logged in"):
        ask(registry, credentials=None)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b"\xff", b'{"token": "\xc3\xa9"}'],
)
def test_a_token_service_that_gives_none_is_told(body, registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    registry.faults = [Fault("GET", "^/token", 200, body=body)]
    with pytest.raises(UserError, match="answers without a token"):
        ask(registry)


def test_a_token_service_that_fails_for_a_moment_is_asked_again(registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    registry.faults = [Fault("GET", "^/token", 503), Fault("GET", "^/token", "reset")]
    assert ask(registry).status == 404


@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_a_token_service_that_fails_says_nothing_of_the_login(status, registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    registry.faults = [Fault("GET", "^/token", status, times=9)]
    with pytest.raises(UserError, match=rf"gives no token \(HTTP status {status}\); push again"):
        ask(registry)


@pytest.mark.parametrize("life", ["1" + "0" * 400, "1e300", "-1", "true", '"9"', "null", "[]"])
def test_a_token_may_say_any_time(life, registry_with):
    registry = registry_with(users={"user": "secret-password"}, scheme="Bearer")
    body = f'{{"token": "t", "expires_in": {life}}}'.encode()
    registry.tokens["t"] = {"scopes": ["repository:app:pull,push"], "uses": 0}
    registry.faults = [Fault("GET", "^/token", 200, body=body)]
    try:
        assert ask(registry).status == 404
    except UserError as error:
        # Of the JSON that nobody else would read, either.
        assert "answers without a token" in str(error)


def test_a_challenge_of_a_kind_that_nobody_knows_is_the_answer(registry):
    registry.faults = [Fault("HEAD", "", 401, headers={"WWW-Authenticate": "Negotiate"})]
    assert ask(registry).status == 401


def test_credentials_never_go_to_the_token_service_of_another_registry_unasked():
    """A token service elsewhere gets the user's own credentials, and the registry's token none."""
    tokens = Quirks()
    tokens.users, tokens.scheme = {"user": "secret-password"}, "Bearer"
    with running(tokens), running(Quirks()) as registry:
        registry.users, registry.scheme = {"user": "secret-password"}, "Bearer"
        registry.realm = f"{tokens.url}/token"
        registry.tokens = tokens.tokens
        assert ask(registry).status == 404
        assert all("Bearer" not in str(r.headers) for r in tokens.requests)
        assert all(USER.basic not in str(r.headers) for r in registry.requests)


# Redirections.


@pytest.fixture
def bearer(registry_with):
    """A registry that gives tokens to a user."""
    return registry_with(users={"user": "secret-password"}, scheme="Bearer")


def redirecting(registry, where, status=307, method="GET"):
    registry.faults = [
        Fault(method, "^/token[?]", status, times=9, headers={"Location": where}),
        Fault(method, "^/token$", status, times=9, headers={"Location": where}),
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_service_may_send_on_to_another_place_of_its_own(status, bearer):
    redirecting(bearer, "/token/new?service=quirks&scope=repository:app:pull,push", status)
    assert ask(bearer).status == 404
    assert bearer.seen("GET", "^/token/new")[0].headers["Authorization"] == f"Basic {USER.basic}"


def test_no_other_host_gets_the_credentials_and_its_token_is_used(bearer):
    with running(Quirks()) as elsewhere:
        bearer.tokens["t"] = {"scopes": ["repository:app:pull,push"], "uses": 0}
        elsewhere.faults = [
            Fault("GET", "^/first", 302, headers={"Location": f"{bearer.url}/token/back"}),
        ]
        bearer.faults = [
            Fault("GET", "^/token[?]", 302, headers={"Location": f"{elsewhere.url}/first"}),
            Fault("GET", "^/token/back", 200, body=b'{"token": "t"}'),
        ]
        assert ask(bearer).status == 404
        assert "Authorization" not in elsewhere.requests[0].headers
        # Who was elsewhere has given away what was asked for.
        assert "Authorization" not in bearer.seen("GET", "^/token/back")[0].headers


def test_another_host_that_wants_credentials_is_told_of(bearer):
    with running(Quirks()) as elsewhere:
        elsewhere.faults = [Fault("GET", "", 401, times=9)]
        redirecting(bearer, f"{elsewhere.url}/x")
        with pytest.raises(UserError) as found:
            ask(bearer)
    assert (
        f"sends on to {elsewhere.address}, which gets no credentials and gives no token "
        "(HTTP status 401)"
    ) in str(found.value)


def test_redirections_of_a_token_service_have_an_end(bearer):
    redirecting(bearer, "/token?x=y")
    with pytest.raises(UserError, match=r"the token service .* redirects again and again; check"):
        ask(bearer)
    assert len(bearer.seen("GET", "^/token")) < 10


def asked_of(location, *, identity=False, realm="https://tokens.example/token"):
    """The addresses that are asked for a token, by a service that sends on to `location`."""
    asked = []

    def serve(method, address, headers, body):
        asked.append((method, address, headers.get("Authorization"), body))
        if len(asked) == 1:
            return Answer(307, {"Location": location}, b"", address)
        return Answer(200, {}, b'{"token": "t"}', address)

    credentials = Credentials(identity_token="identity") if identity else USER
    authorizer = Authorizer("registry.example", lambda: credentials, serve)
    authorizer.challenged(challenge(realm), SCOPES, None, secure=realm.startswith("https"))
    return asked


def test_https_is_not_left_for_a_token():
    with pytest.raises(UserError) as found:
        asked_of("http://tokens.example/token")
    assert str(found.value).startswith(
        "the token service tokens.example of the registry registry.example redirects to "
        "http://tokens.example, where anybody on the way could read"
    )
    with pytest.raises(UserError, match="could be read on their way"):
        asked_of("http://tokens.example/token", realm="http://localhost:1/token")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "https://10.0.0.1/", "https://[::1]/"])
def test_a_token_service_sends_to_no_file_and_into_no_private_network(location):
    with pytest.raises(UserError, match=r"redirects to (file:…, no web|.* a private network)"):
        asked_of(location)


def test_https_elsewhere_is_followed_without_credentials():
    (first, second) = asked_of("https://other.example/token")
    assert first[2] == f"Basic {USER.basic}"
    assert second == ("GET", "https://other.example/token", None, None)


def test_an_identity_token_is_posted_again_to_the_same_host_alone():
    (first, second) = asked_of("/other", identity=True)
    assert second == ("POST", "https://tokens.example/other", None, first[3])
    with pytest.raises(UserError, match=r"sends on to other.example what has the identity token"):
        asked_of("https://other.example/token", identity=True)
