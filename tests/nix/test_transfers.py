"""Programs that take images to registries: what they are made of, and what they fetch."""

import functools
import http.server
import json
import os
import pathlib
import subprocess
import threading
from dataclasses import replace

import pytest

from builders.image.layering import hash_layers
from tests.nix.images import REPOSITORY, build, closure, evaluate, nix
from tests.unit.plans import make_plan, store_layer
from tests.unit.registry.quirks import Quirks, running

IMAGE = """
  streamLayeredImage {
    name = "registry.example/app";
    tag = "1";
    contents = [ hello ];
    config.Cmd = [ "/bin/hello" ];
    annotations."org.example.a" = "b";
    layerCompressionLevel = 6;
  }
"""


def document(program):
    return json.loads((program / "share/longshore/image.json").read_text())


@pytest.fixture
def registry():
    with running(Quirks()) as quirks:
        yield quirks


def run(program, *arguments, **variables):
    result = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
    )
    assert result.returncode == 0, result.stderr
    return result


def test_an_image_has_a_program_that_pushes_it(registry):
    program = build(f"({IMAGE}).copyToRegistry") / "bin/copy-to-registry"
    result = run(program, f"{registry.address}/app:1")
    manifest = registry.image("app", "1")
    assert manifest["annotations"] == {"org.example.a": "b"}
    assert "level 6" in json.dumps(manifest["layers"])
    digest = build(f"({IMAGE}).digest").read_text()
    assert result.stdout == f"{registry.address}/app@{digest}\n"


def test_it_is_run_by_its_name():
    assert evaluate(f"({IMAGE}).copyToRegistry.meta.mainProgram") == "copy-to-registry"


def test_what_compressed_layers_are_is_looked_at_and_not_built():
    image = IMAGE.replace('"1"', '"never-built"')
    program = build(f"({image}).copyToRegistry")
    (described,) = document(program)["images"]
    assert described["blobs"] == evaluate(f"({image}).blobs.outPath")
    assert not os.path.exists(described["blobs"])


@pytest.mark.parametrize(
    "function", ["buildImage", "buildLayeredImage", "streamLayeredImage", "buildImageIndex"]
)
def test_every_image_has_one(function):
    image = f'{{ name = "r.example/app"; images = [ ({IMAGE}) ]; }}'
    if function != "buildImageIndex":
        image = '{ name = "r.example/app"; }'
    program = build(f"(dockerTools.{function} {image}).copyToRegistry")
    assert document(program)["name"] == "r.example/app"
    assert (document(program)["indexAnnotations"] is not None) is (function == "buildImageIndex")


def test_a_lazy_program_has_nothing_of_the_image_in_its_closure():
    held = {os.path.basename(path)[33:] for path in closure(build(LAZY.format(image=IMAGE)))}
    assert not any(name.startswith(("hello", "app-conf")) for name in held)
    eager = {os.path.basename(path)[33:] for path in closure(build(f"({IMAGE}).copyToRegistry"))}
    assert any(name.startswith("hello") for name in eager)


def test_a_lazy_program_pushes_the_same_image(registry):
    program = build(LAZY.format(image=IMAGE)) / "bin/copy-to-registry"
    digest = build(f"({IMAGE}).digest").read_text()
    assert run(program, f"{registry.address}/app:1").stdout.endswith(f"@{digest}\n")


LAZY = "(({image}).copyToRegistry.override {{ lazy = true; }})"


class Files(http.server.SimpleHTTPRequestHandler):
    """What a binary cache has, served without a log."""

    def log_message(self, *_):
        pass


def changing(function, text):
    change = {
        "streamLayeredImage": "contents = [ hello change ];",
        "buildImage": "copyToRoot = [ hello change ];",
    }[function]
    return f"""
      let
        change = writeTextDir "share/change" "{text}";
      in
      {function} {{ name = "registry.example/app"; tag = "1"; {change} }}
    """


@pytest.fixture(params=["file", "http"])
def other_machine(tmp_path, request):
    """A machine with a store of its own, which has a binary cache and nothing else of ours."""
    written = cache = f"file://{tmp_path}/cache?compression=none"
    server = None
    if request.param == "http":
        handler = functools.partial(Files, directory=tmp_path / "cache")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        cache = f"http://127.0.0.1:{server.server_port}"
    store = tmp_path / "store"

    class Machine:
        def offer(self, expression):
            """Build here what the cache then has."""
            path = build(expression)
            nix("nix", "copy", "--to", written, str(path))
            return path

        def get(self, path):
            nix("nix", "copy", "--no-check-sigs", "--from", cache, "--to", str(store), str(path))

        def has(self, path):
            return (store / str(path).lstrip("/")).exists()

        def run(self, program, *arguments):
            home = tmp_path / "home"
            home.mkdir(exist_ok=True)
            settings = "experimental-features = nix-command\nsubstituters = " + cache
            inside = f'mount --bind {store}/nix /nix && exec "$@"'
            return run(
                "unshare",
                *("--mount", "sh", "-euc", inside, "sh", str(program), *arguments),
                HOME=str(home),
                NIX_CONFIG=settings,
                NIX_USER_CONF_FILES="/dev/null",
            )

    yield Machine()
    if server:
        server.shutdown()
        server.server_close()
    subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put another store in place of Nix's")
@pytest.mark.parametrize("function", ["streamLayeredImage", "buildImage"])
def test_on_a_fresh_machine_only_what_has_changed_is_fetched(function, other_machine, registry):
    for text in ("before", "after"):
        image = changing(function, text)
        program = other_machine.offer(LAZY.format(image=image))
        # As another machine has built them.
        other_machine.offer(f"({image}).conf")
        other_machine.get(program)
        result = other_machine.run(program / "bin/copy-to-registry", f"{registry.address}/app:1")
        assert not other_machine.has(build(f"({image}).conf"))
        assert not other_machine.has(build("hello"))
        fetched = [line.split()[1] for line in result.stderr.splitlines() if "fetched" in line]
        assert fetched
        digest = build(f"({image}).digest").read_text()
        assert result.stdout == f"{registry.address}/app@{digest}\n"
        registry.image("app", "1")
    names = sorted(path[44:] for path in fetched)
    if function == "streamLayeredImage":
        assert names == ["app-customisation-layer", "change"]


def test_of_a_layer_the_store_path_that_has_changed_is_named(registry, tmp_path):
    """In a store of the test's own, whose database knows what was added."""
    variables = {
        "NIX_STORE_DIR": str(tmp_path / "store"),
        "NIX_STATE_DIR": str(tmp_path / "state"),
        "NIX_LOG_DIR": str(tmp_path / "log"),
        "NIX_REMOTE": "local",
        "NIX_USER_CONF_FILES": "/dev/null",
    }
    paths = []
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        added = subprocess.run(
            ["nix-store", "--add", tmp_path / name],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
        )
        paths.append(added.stdout.strip())
    layer = replace(store_layer(tmp_path / "store", paths[0]), paths=tuple(sorted(paths)))
    plan = make_plan(tmp_path / "plan", {"x": b"x"})
    plan = replace(plan, layers=hash_layers((layer,), graph={}, jobs=1))
    (tmp_path / "plan.json").write_text(plan.to_json())
    file = pathlib.Path(paths[1]) / "file"
    file.chmod(0o644)
    file.write_text("SECOND")
    file.chmod(0o444)
    package = build("dockerTools.longshore")
    result = subprocess.run(
        [package / "bin/longshore", "push", tmp_path / "plan.json", f"{registry.address}/app:1"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
    )
    assert result.returncode == 1
    assert f"what is at {paths[1]} has changed since; check the store with" in result.stderr
    assert paths[0] not in result.stderr
    assert paths[2] not in result.stderr
    assert not registry.manifests


# The package.


def test_longshore_is_a_package_with_completion():
    package = build("dockerTools.longshore")
    shown = run(package / "bin/longshore", "--help").stdout
    assert "longshore push result registry.example/app:1.0" in shown
    for name in (
        "bash-completion/completions/longshore",
        "fish/vendor_completions.d/longshore.fish",
        "zsh/site-functions/_longshore",
    ):
        assert "push" in (package / "share" / name).read_text()


def test_the_overlay_has_longshore():
    overlaid = f"import <nixpkgs> {{ overlays = [ (import {REPOSITORY}/nix/overlay.nix) ]; }}"
    assert build(f"({overlaid}).longshore") == build("dockerTools.longshore")


@pytest.mark.parametrize("what", ["conf", "", "ociArchive", "ociLayout"])
def test_it_pushes_plans_scripts_archives_and_layouts(what, registry):
    package = build("dockerTools.longshore")
    path = build(f"({IMAGE}){'.' if what else ''}{what}")
    run(package / "bin/longshore", "push", str(path), f"{registry.address}/app:1")
    manifest = registry.image("app", "1")
    if what.startswith("oci"):
        assert registry.manifests["app"]["1"][1] == build(f"({IMAGE}).manifest").read_bytes()
    assert len(manifest["layers"]) >= 2
