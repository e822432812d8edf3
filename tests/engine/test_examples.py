"""Every example of the reference, as its documentation says it behaves, in a container."""

from tests.engine.engines import Docker
from tests.nix.images import REPOSITORY, build, nix


def example(name):
    """Build an example as a user does."""
    result = nix("nix-build", "--no-out-link", str(REPOSITORY), "-A", f"examples.{name}")
    return result.stdout.strip()


HELLO = "Hello, world!\n"


def test_hello(docker: Docker):
    image = docker.load(example("hello"))
    assert image == "hello:latest"
    assert docker.run(image).stdout == HELLO


def test_hello_stream_is_the_same_image(docker: Docker):
    image = docker.load(example("hello-stream"))
    assert docker.run(image).stdout == HELLO
    streamed = docker.inspect(image)["Id"]
    docker.load(example("hello"))
    assert docker.inspect(image)["Id"] == streamed


def test_exploring_layers(docker: Docker):
    script = example("exploring-layers")
    image = docker.load(script)
    closure = nix("nix-store", "-qR", str(build("hello"))).stdout.split()
    # One layer per store path, and one of links.
    assert len(docker.inspect(image)["RootFS"]["Layers"]) == len(closure) + 1
    assert docker.run(image, "/bin/hello").stdout == HELLO


def test_exploring_layers_without_store_paths(docker: Docker):
    image = docker.load(example("exploring-layers-without-store-paths"))
    assert len(docker.inspect(image)["RootFS"]["Layers"]) == 1
    assert docker.run(image, "/bin/hello", check=False).returncode != 0
    store = ["--volume=/nix/store:/nix/store:ro"]
    assert docker.run(image, "/bin/hello", options=store).stdout == HELLO


def test_config_closure(docker: Docker):
    image = docker.load(example("config-closure"))
    assert docker.run(image).stdout == HELLO


def test_env_helpers_layered(docker: Docker):
    image = docker.load(example("env-helpers-layered"))
    assert docker.run(image).stdout == HELLO
    shell = docker.run(image, "/bin/sh", "-c", "help; echo $BASH_VERSION")
    assert "GNU bash, version" in shell.stdout


def test_shadow_basic_layered(docker: Docker):
    image = docker.load(example("shadow-basic-layered"))
    assert docker.run(image).stdout == HELLO
    shell = f"{build('bash')}/bin/bash"
    script = "pwd; echo $UID; [ -O . ] && echo mine; echo x > file && echo written"
    as_hello = docker.run(image, "-c", script, entrypoint=shell, user="hello").stdout.split()
    assert as_hello[0] == "/data"
    assert as_hello[1] != "0"
    assert as_hello[2:] == ["mine", "written"]
    refused = docker.run(
        image, "-c", "echo x > file", entrypoint=shell, user="nobody:nogroup", check=False
    )
    assert refused.returncode != 0
