"""Where credentials are found, and in which order."""

import base64
import json

import pytest

from builders.console.errors import UserError
from builders.registry.credentials import Credentials, find_credentials
from builders.registry.destinations import Repository

APP = Repository("registry.example", "group/app")
HUB = Repository("docker.io", "library/app")


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def home(tmp_path):
    """Write files below a home, and find credentials with it."""

    class Home:
        variables = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}  # noqa: RUF012

        def write(self, name, document):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document if isinstance(document, str) else json.dumps(document))
            return path

        def helper(self, name, script):
            path = self.write(f"bin/docker-credential-{name}", f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

        def find(self, repository=APP, **variables):
            return find_credentials(repository, {**self.variables, **variables})

    return Home()


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_file_has_none(content, tmp_path):
    """As those who only touched it leave it."""
    (tmp_path / "config.json").write_text(content)
    variables = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    assert find_credentials(Repository("registry.example", "app"), variables) is None


def test_base64_may_have_line_breaks(tmp_path):
    """As the program base64 makes them in what is long."""
    config = {"auths": {"registry.example": {"auth": "dXNlcjpz\nZWNyZXQ=\r\n"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    variables = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    found = find_credentials(Repository("registry.example", "app"), variables)
    assert (found.user, found.password) == ("user", "secret")


def test_without_files_there_are_none(home):
    assert home.find() is None


@pytest.mark.parametrize(
    "key",
    ["registry.example", "https://registry.example", "https://registry.example/v1/"],
)
def test_docker_writes_hosts_in_several_ways(key, home):
    home.write(".docker/config.json", {"auths": {key: auth("user", "pass:word")}})
    assert home.find() == Credentials("user", "pass:word")


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
)
def test_docker_hub_has_several_names(key, home):
    home.write(".docker/config.json", {"auths": {key: auth("user", "secret")}})
    assert home.find(HUB) == Credentials("user", "secret")


def test_the_key_that_says_most_decides(home):
    entries = {
        "registry.example": auth("host", "1"),
        "registry.example/group/app": auth("app", "3"),
        "registry.example/group": auth("group", "2"),
        "registry.example/group/ap": auth("other", "4"),
    }
    home.write(".config/containers/auth.json", {"auths": entries})
    assert home.find().user == "app"
    assert home.find(Repository("registry.example", "group/other")).user == "group"
    assert home.find(Repository("registry.example", "other")).user == "host"


def test_files_count_in_this_order(home, tmp_path):
    expected = []
    for name, variables in [
        (".docker/config.json", {}),
        (".config/containers/auth.json", {}),
        ("run/containers/auth.json", {"XDG_RUNTIME_DIR": str(tmp_path / "run")}),
        ("docker/config.json", {"DOCKER_CONFIG": str(tmp_path / "docker")}),
        ("named.json", {"REGISTRY_AUTH_FILE": str(tmp_path / "named.json")}),
    ]:
        home.write(name, {"auths": {"registry.example": auth(name, "x")}})
        home.variables = {**home.variables, **variables}
        expected.append(name)
        assert home.find().user == name


def test_a_file_without_the_registry_leaves_it_to_the_next(home, tmp_path):
    home.write("docker/config.json", {"auths": {"other.example": auth("other", "x")}})
    home.write(".config/containers/auth.json", {"auths": {"registry.example": auth("me", "x")}})
    assert home.find(DOCKER_CONFIG=str(tmp_path / "docker")).user == "me"


def test_a_helper_is_asked_for_the_host_on_standard_input(home):
    home.write(".docker/config.json", {"credHelpers": {"registry.example": "x"}})
    home.helper("x", 'read s; echo "{\\"Username\\": \\"$1 $s\\", \\"Secret\\": \\"secret\\"}"')
    assert home.find() == Credentials("get registry.example", "secret")


def test_a_helper_of_all_is_asked_after_that_of_the_host_and_entries(home):
    config = {"credsStore": "all", "credHelpers": {"registry.example": "one"}, "auths": {}}
    home.write(".docker/config.json", config)
    home.helper("all", 'read s; echo "{\\"Username\\": \\"$s\\", \\"Secret\\": \\"a\\"}"')
    home.helper("one", 'echo "{\\"Username\\": \\"one\\", \\"Secret\\": \\"b\\"}"')
    assert home.find().user == "one"
    assert home.find(HUB).user == "https://index.docker.io/v1/"
    assert home.find(Repository("other.example", "app")).user == "other.example"


def test_a_user_called_token_is_an_identity_token(home):
    home.write(".docker/config.json", {"credsStore": "x"})
    home.helper("x", """echo '{"Username": "<token>", "Secret": "identity"}'""")
    assert home.find() == Credentials(identity_token="identity")


def test_identity_tokens_and_tokens_of_registries_stand_in_files(home):
    entries = {
        "registry.example": {**auth("00000000", ""), "identitytoken": "identity"},
        "other.example": {"registrytoken": "token"},
    }
    home.write(".docker/config.json", {"auths": entries})
    assert home.find().identity_token == "identity"
    assert home.find(Repository("other.example", "x")).registry_token == "token"


def test_a_helper_that_knows_nothing_is_no_failure(home):
    home.write(".docker/config.json", {"credsStore": "x"})
    home.helper("x", "echo credentials not found in native keychain; exit 1")
    assert home.find() is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({".docker/config.json": "{"}, "is not JSON; mend it, or log in again"),
        ({".docker/config.json": "[]"}, "holds no JSON object"),
        (
            {".docker/config.json": {"auths": {"registry.example": {"auth": "s3cret!"}}}},
            "an entry is not base64; log in again",
        ),
        (
            {".docker/config.json": {"auths": {"registry.example": {"auth": "s3cret\xe9"}}}},
            "an entry is not base64; log in again",
        ),
        (
            {".docker/config.json": {"auths": {"registry.example": {"registrytoken": "s3cret\n"}}}},
            "an entry has a token with characters that tokens can't have; log in again",
        ),
        (
            {
                ".docker/config.json": {
                    "auths": {"registry.example": {"registrytoken": "s3cret\xe9"}}
                }
            },
            "an entry has a token with characters that tokens can't have; log in again",
        ),
        ({".docker/config.json": {"credsStore": "none"}}, "there is no program docker-credential-"),
        (
            {".docker/config.json": {"credsStore": "a\0b"}},
            "a helper for credentials that can be none",
        ),
        ({".docker/config.json": {"credsStore": {"s3cret": 1}}}, "credentials that can be none"),
        (
            {".docker/config.json": {"credsStore": "../x"}},
            "a helper for credentials that can be none",
        ),
    ],
)
def test_what_is_wrong_there_is_told_without_what_stands_there(files, said, home):
    for name, document in files.items():
        home.write(name, document)
    with pytest.raises(UserError) as found:
        home.find()
    assert said in str(found.value)
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize("script", ["echo s3cret; exit 1", "echo s3cret", "echo '[\"s3cret\"]'"])
def test_a_helper_that_fails_is_told_without_its_output(script, home):
    home.write(".docker/config.json", {"credsStore": "x"})
    home.helper("x", script)
    with pytest.raises(UserError) as found:
        home.find()
    assert "docker-credential-x" in str(found.value)
    assert "s3cret" not in str(found.value)


def test_a_file_that_is_named_and_missing_is_told(home):
    with pytest.raises(UserError, match="REGISTRY_AUTH_FILE names /no/such, which is missing"):
        home.find(REGISTRY_AUTH_FILE="/no/such")


def test_nothing_shows_a_secret():
    found = Credentials("user", "s3cret", "s3cret", "s3cret")
    assert "s3cret" not in repr(found)


def test_what_is_no_text_says_nothing(home):
    entry = {"username": ["u"], "password": {}, "identitytoken": 1, "registrytoken": True}
    home.write(".docker/config.json", {"auths": {"registry.example": entry}})
    assert home.find() is None
    home.write(".docker/config.json", {"credsStore": "x"})
    home.helper("x", 'echo \'{"Username": [1], "Secret": {}}\'')
    assert home.find() is None
