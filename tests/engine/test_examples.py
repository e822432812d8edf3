"""Every example of the reference, as its documentation says it behaves, in a container."""

import datetime
import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

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


def test_non_root_user(docker: Docker):
    image = docker.load(example("non-root-user"))
    assert docker.run(image).stdout == "app\nwritten\n"


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


@contextmanager
def running(docker: Docker, image):
    """A container of `image` in the background, started as the image says."""
    container = docker.command("run", "--detach", "--network=none", image).strip()
    try:
        yield container
    finally:
        docker.command("rm", "--force", container)


def eventually(ask, answered):
    """Ask until `answered` likes the answer, for some seconds."""
    for _ in range(100):
        result = ask()
        if answered(result):
            return result
        time.sleep(0.1)
    raise AssertionError(f"the last answer was {result}")


def test_redis(docker: Docker):
    image = docker.load(example("redis"))
    assert docker.inspect(image)["Config"]["Volumes"] == {"/data": {}}
    with running(docker, image) as container:

        def redis(*command):
            execute = ["docker", "-H", docker.host, "exec", container, "/bin/redis-cli", *command]
            return subprocess.run(execute, capture_output=True, text=True, check=False).stdout

        eventually(lambda: redis("ping"), lambda answer: answer == "PONG\n")
        assert redis("set", "ship", "longshore") == "OK\n"
        assert redis("get", "ship") == "longshore\n"
        # It writes to its working directory, which runAsRoot made.
        assert redis("save") == "OK\n"


def test_nginx(docker: Docker):
    image = docker.load(example("nginx"))
    with running(docker, image) as container:
        (state,) = json.loads(docker.command("inspect", container))
        process = str(state["State"]["Pid"])
        fetch = "import urllib.request as r; print(r.urlopen('http://127.0.0.1').read().decode())"

        def page():
            # From inside of the container's own network, which leads nowhere.
            command = ["nsenter", "--target", process, "--net", sys.executable, "-c", fetch]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout

        assert "Hello from nginx" in eventually(page, bool)


def test_hello_run_as_root(docker: Docker):
    image = docker.load(example("hello-run-as-root"))
    assert docker.run(image).stdout == HELLO
    assert files_of_hello(docker, image) == ["/data", "some content"]


def test_hello_extra_commands(docker: Docker):
    image = docker.load(example("hello-extra-commands"))
    assert docker.run(image).stdout == HELLO
    assert files_of_hello(docker, image) == ["/data", "some content"]


def files_of_hello(docker, image):
    """Working directory and content of my-file, as a shell from outside sees them."""
    options = ["--volume=/nix/store:/nix/store:ro"]
    script = "pwd; read -r line < /my-file; echo $line"
    shell = f"{build('bash')}/bin/bash"
    result = docker.run(image, "-c", script, entrypoint=shell, options=options)
    return result.stdout.splitlines()


def test_hello_created_now(docker: Docker):
    before = datetime.datetime.now(datetime.UTC)
    image = docker.load(example("hello-created-now"))
    assert docker.run(image).stdout == HELLO
    created = datetime.datetime.fromisoformat(docker.inspect(image)["Created"])
    # The store may have it from an earlier run.
    assert before - datetime.timedelta(days=3650) < created
    assert created < datetime.datetime.now(datetime.UTC)


def test_env_helpers(docker: Docker):
    image = docker.load(example("env-helpers"))
    shell = docker.run(image, "/bin/sh", "-c", "help; echo $BASH_VERSION")
    assert "GNU bash, version" in shell.stdout
    assert docker.run(image, "/bin/hello").stdout == HELLO


def test_shadow_basic(docker: Docker):
    image = docker.load(example("shadow-basic"))
    assert docker.run(image).stdout == HELLO
    shell = f"{build('bash')}/bin/bash"
    options = ["--volume=/nix/store:/nix/store:ro"]
    script = "pwd; echo $UID; [ -O . ] && echo mine; echo x > file && echo written"
    as_hello = docker.run(
        image, "-c", script, entrypoint=shell, user="hello", options=options
    ).stdout.split()
    assert as_hello[0] == "/data"
    assert as_hello[1] != "0"
    assert as_hello[2:] == ["mine", "written"]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("export-image-hello", "hello"),
        ("export-image-importing-docker", "hello"),
        ("export-image-naming", "hello.tar.gz"),
        ("export-image-from-image-path", "filesystem.tar"),
    ],
)
def test_export_image(docker: Docker, name, output):
    path = example(name)
    assert path.partition("-")[2] == output
    image = docker.command("image", "import", path).strip()
    assert docker.run(image, "/bin/hello").stdout == HELLO
    # Only files, and no word of how to run them.
    assert not docker.inspect(image)["Config"].get("Cmd")


def test_merge_images(docker: Docker):
    images = docker.load_all(example("merge-images"))
    assert sorted(images) == ["bash:latest", "hello:latest"]
    assert docker.run("hello:latest").stdout == HELLO
    assert docker.run("bash:latest").stdout.startswith("5.")
