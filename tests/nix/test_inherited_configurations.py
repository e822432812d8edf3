"""What images have of the configuration of their base image: `inheritConfig`."""

import pytest

from tests.nix.images import archive, build_log, failure, stream
from tests.nix.test_configurations import a_base
from tests.unit.archives import layer, plain_members

BASE = {
    "Cmd": ["--serve"],
    "Entrypoint": ["/init"],
    "Env": ["PATH=/bin", "A=1"],
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5},
    "Hostname": "built-here",
    "Labels": {"vendor": "somebody", "version": "1"},
    "Shell": ["/bin/bash", "-c"],
    "StopSignal": "SIGINT",
    "StopTimeout": 5,
    "Tty": True,
    "User": "1000",
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
}
INHERITED = {key: value for key, value in BASE.items() if key not in ("Hostname", "Tty")}
INHERITABLE = (
    "Cmd, Entrypoint, Env, ExposedPorts, Healthcheck, Labels, Shell, StopSignal, StopTimeout, "
    "User, Volumes, WorkingDir"
)


@pytest.fixture
def over(tmp_path):
    """Makes the expression of an image over a base image with `config`."""

    def over(attributes, *, function="streamLayeredImage", config=BASE, **facts):
        base = a_base(tmp_path, plain_members([layer("a")], config=config, **facts))
        return f'{function} {{ name = "app"; fromImage = {base}; {attributes} }}'

    return over


def config_of(expression):
    made = stream if expression.startswith("stream") else archive
    return made(expression).config["config"]


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildLayeredImage", "buildImage"])
def test_all_that_containers_run_with_is_inherited(function, over):
    assert config_of(over("inheritConfig = true;", function=function)) == INHERITED


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
@pytest.mark.parametrize("attribute", ["", 'inheritConfig = [ "Env" ];'])
def test_only_the_environment_is_inherited_by_default(function, attribute, over):
    image = over(f'config = {{ Cmd = [ "x" ]; User = null; }}; {attribute}', function=function)
    expected = {"Cmd": ["x"], "User": None, "Env": BASE["Env"]}
    assert list(config_of(image).items()) == list(expected.items())


@pytest.mark.parametrize("attribute", ["false", "[ ]"])
def test_nothing_is_inherited(attribute, over):
    assert config_of(over(f"inheritConfig = {attribute};")) == {}
    image = over(f"inheritConfig = {attribute};", function="buildImage")
    assert config_of(image) == {"Env": []}
    image = over(f'inheritConfig = {attribute}; config.Env = [ "B=2" ];')
    assert config_of(image) == {"Env": ["B=2"]}


def test_keys_are_listed_in_any_case_and_any_number(over):
    image = over('inheritConfig = [ "user" "WORKINGDIR" "User" ];')
    assert config_of(image) == {"User": "1000", "WorkingDir": "/srv"}


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
def test_an_own_configuration_is_merged_as_a_dockerfile_would(function, over):
    image = over(
        """
        inheritConfig = true;
        config = {
          entrypoint = [ "/own" ];
          Env = [ "B=2" "A=3" ];
          ExposedPorts = { "443/tcp" = { }; "80/tcp" = null; };
          Healthcheck.Test = [ "NONE" ];
          Labels = { version = "2"; vendor = null; own = "yes"; };
          Shell = null;
          StopTimeout = 0;
          User = null;
          WorkingDir = "app";
        };
        """,
        function=function,
    )
    assert config_of(image) == {
        "Entrypoint": ["/own"],
        "Env": ["PATH=/bin", "A=3", "B=2"],
        "ExposedPorts": {"443/tcp": {}},
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {"version": "2", "own": "yes"},
        "StopSignal": "SIGINT",
        "StopTimeout": 0,
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv/app",
    }


def test_null_takes_away_an_environment_that_is_inherited_by_default(over):
    assert config_of(over("config = { Env = null; Cmd = null; };")) == {"Cmd": None}


@pytest.mark.parametrize("value", ["true", "false", '[ "User" ]'])
def test_without_a_base_image_nothing_changes(value):
    config = '{ Cmd = null; Labels.a = null; WorkingDir = "x"; Entrypoint = [ "y" ]; }'
    image = f'streamLayeredImage {{ name = "app"; config = {config}; inheritConfig = {value}; }}'
    assert config_of(image) == {
        "Cmd": None,
        "Labels": {"a": None},
        "WorkingDir": "x",
        "Entrypoint": ["y"],
    }


def test_what_is_inherited_is_inherited_again():
    base = 'buildLayeredImage { name = "base"; config = { User = "7"; Labels.a = "1"; }; }'
    middle = (
        f'buildImage {{ name = "middle"; fromImage = {base}; inheritConfig = true; '
        'config.Labels.b = "2"; }'
    )
    top = f'streamLayeredImage {{ name = "top"; fromImage = {middle}; inheritConfig = true; }}'
    assert config_of(top) == {"User": "7", "Labels": {"a": "1", "b": "2"}}


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("null", "inheritConfig must be true, false or a list of strings, not null"),
        ('"Env"', 'must be true, false or a list of strings, not the string "Env"'),
        ("[ 5 ]", "must be true, false or a list of strings, not a list"),
        ('[ "Env" "Foo" ]', f"names Foo, which no image inherits; it may name {INHERITABLE}"),
        ('[ "OnBuild" ]', f"names OnBuild, which no image inherits; it may name {INHERITABLE}"),
        ('[ "Hostname" ]', "names Hostname, which no image inherits"),
    ],
)
def test_keys_that_no_image_inherits_are_refused(function, value, message):
    error = failure(f'{function} {{ name = "app"; inheritConfig = {value}; }}')
    assert error.startswith("error: in docker image app: inheritConfig ")
    assert message in error


# Build triggers.


TRIGGERS = {"OnBuild": ["COPY . /app", "RUN make\u001b[2J"]}
WARNING = (
    "warning: in docker image app: the base image has instructions for images that are built upon "
    "it, which are neither run nor inherited (COPY . /app, RUN make\\x1b[2J); do yourself what "
    "they do, and give config.OnBuild = null to say so"
)


@pytest.mark.parametrize("value", ["true", '[ "Env" ]', '[ "User" ]'])
def test_build_triggers_are_named_and_not_inherited(value, over):
    image = over(f"inheritConfig = {value};", config=TRIGGERS)
    assert WARNING in build_log(f"({image}).conf")
    assert config_of(image) == {}


@pytest.mark.parametrize(
    "attributes",
    [
        "inheritConfig = false;",
        "config.OnBuild = null;",
        'inheritConfig = true; config.onbuild = [ "RUN own" ];',
    ],
)
def test_who_knows_of_build_triggers_is_not_warned(attributes, over):
    assert "warning" not in build_log(f"({over(attributes, config=TRIGGERS)}).conf")


def test_a_base_image_of_very_many_triggers_has_one_line(over):
    image = over("", config={"OnBuild": [f"RUN {number}" for number in range(5000)]})
    log = build_log(f"({image}).conf")
    assert "RUN 9, …)" in log
    assert "RUN 10" not in log


# Base images that engines don't read.


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"User": 5}, "fromImage: config: User should be a string and is 5"),
        ({"Labels": {"a\u001b": 1}}, r"fromImage: config: Labels: a\x1b should be a string"),
        ({"User": "a", "USER": "b"}, "fromImage: config has both User and USER"),
        ({"Cmd": "sh"}, 'fromImage: config: Cmd should be a list of strings and is "sh"'),
    ],
)
def test_an_inherited_key_of_a_wrong_type_is_one_line(function, config, message, over):
    error = failure(over("inheritConfig = true;", function=function, config=config))
    assert error.startswith(f"error: in docker image app: {message}")
    assert error.endswith("; mend the base image, or leave that key out of inheritConfig")
    assert config_of(over("", function=function, config={**config, "Env": ["A=1"]})) == {
        "Env": ["A=1"]
    }


# Platforms.


@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
@pytest.mark.parametrize(
    ("facts", "attributes", "message"),
    [
        (
            {"architecture": "arm64"},
            "",
            "is an image for linux/arm64, and this one is for linux/amd64; take a base image for "
            "linux/amd64, or set architecture and variant to what the base image has",
        ),
        (
            {},
            'architecture = "arm"; variant = "v7";',
            "is an image for linux/amd64, and this one is for linux/arm/v7; take a base image for "
            "linux/arm/v7, or set architecture",
        ),
        (
            {"architecture": "arm", "variant": "v7"},
            'architecture = "arm"; variant = "v6";',
            "is an image for linux/arm/v7, and this one is for linux/arm/v6; take a base image for "
            "linux/arm/v6, or set architecture",
        ),
        (
            {"architecture": "arm64", "os": None},
            "",
            "is an image for arm64, and this one is for linux/amd64; take a base image for "
            "linux/amd64, or set architecture",
        ),
        (
            {"os": "windows"},
            "",
            "is an image for windows/amd64, and this one is for linux/amd64; take a base image for "
            "linux/amd64",
        ),
        ({"architecture": 5}, "", "architecture should be a string and is 5"),
    ],
)
def test_a_base_image_of_another_platform_is_refused(function, facts, attributes, message, over):
    error = failure(over(attributes, function=function, **facts))
    assert error.startswith("error: in docker image app: fromImage /nix/store/")
    assert message in error
    assert ("set architecture" in error) is ("set architecture" in message)


@pytest.mark.parametrize(
    ("facts", "attributes"),
    [
        ({"architecture": "arm64", "variant": "v8"}, 'architecture = "arm64";'),
        ({"architecture": "arm", "variant": "v6"}, 'architecture = "arm"; variant = "v7";'),
        ({"architecture": None, "os": None}, ""),
        ({"architecture": "", "os": ""}, 'architecture = "riscv64";'),
    ],
)
def test_a_base_image_of_the_same_or_no_platform_is_taken(facts, attributes, over):
    assert config_of(over(attributes, **facts)) == {"Env": BASE["Env"]}


def test_a_root_script_does_not_run_on_another_platform(over):
    image = over('runAsRoot = "exit 7";', function="buildImage", architecture="arm64")
    assert "is an image for linux/arm64" in failure(image)
