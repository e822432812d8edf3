"""A planned image streams as an archive that says what the plan says."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest

from builders.console.errors import UserError
from builders.formats.image_stream import stream_image
from builders.image.dates import NOW
from builders.image.layering import hash_layers
from tests.unit.archives import config, dump, entry, tar
from tests.unit.plans import make_plan
from tests.unit.support import BUILDERS, read_base


@pytest.fixture
def plan(tmp_path):
    """A plan of two store layers in a store of its own, with a customisation layer."""
    return make_plan(tmp_path)


def streamed(plan, tmp_path, **options):
    output = tmp_path / "image.tar"
    with open(output, "wb") as file:
        stream_image(plan, file.fileno(), **options)
    return output


def members(archive):
    with tarfile.open(archive) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}


def test_members_come_in_order_and_their_names_are_their_digests(plan, tmp_path):
    archive = streamed(plan, tmp_path)
    files = members(archive)
    manifest = json.loads(files["manifest.json"])
    assert list(files) == [*manifest[0]["Layers"], manifest[0]["Config"], "manifest.json"]
    document = json.loads(files[manifest[0]["Config"]])
    assert manifest[0]["RepoTags"] == ["test:tag"]
    assert manifest[0]["Config"] == (
        hashlib.sha256(files[manifest[0]["Config"]]).hexdigest() + ".json"
    )
    digests = [hashlib.sha256(files[name]).hexdigest() for name in manifest[0]["Layers"]]
    assert document["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in digests]
    assert manifest[0]["Layers"] == [f"{digest}/layer.tar" for digest in digests]
    assert len(document["history"]) == len(digests)
    assert document["config"] == {"Cmd": ["/bin/hello"]}
    assert document["os"] == "linux"
    assert archive.stat().st_size % 10240 == 0


def test_the_stream_is_the_same_each_time(plan, tmp_path):
    first = streamed(plan, tmp_path).read_bytes()
    assert streamed(plan, tmp_path).read_bytes() == first


def test_repo_tag_replaces_name_and_tag(plan, tmp_path):
    files = members(streamed(plan, tmp_path, repo_tag="Other:1"))
    assert json.loads(files["manifest.json"])[0]["RepoTags"] == ["Other:1"]


def test_now_as_created_leaves_the_layers_alone(plan, tmp_path):
    before = json.loads(members(streamed(plan, tmp_path))["manifest.json"])[0]
    files = members(streamed(replace(plan, created=NOW), tmp_path))
    after = json.loads(files["manifest.json"])[0]
    assert after["Layers"] == before["Layers"]
    created = json.loads(files[after["Config"]])["created"]
    assert created > "2026"


def test_now_as_mtime_is_hashed_when_it_is_streamed(plan, tmp_path):
    *own, last = plan.layers
    layers = (*(replace(layer, mtime=NOW, diff_id=None, size=None) for layer in own), last)
    files = members(streamed(replace(plan, mtime=NOW, layers=layers), tmp_path))
    manifest = json.loads(files["manifest.json"])[0]
    for name in manifest["Layers"]:
        assert hashlib.sha256(files[name]).hexdigest() == name.partition("/")[0]
    with tarfile.open(fileobj=io.BytesIO(files[manifest["Layers"][0]])) as layer:
        assert layer.getmembers()[-1].mtime > 1_700_000_000


def test_a_layer_that_occurs_twice_is_written_once(plan, tmp_path):
    twice = replace(plan, layers=(*plan.layers, plan.layers[0]))
    with tarfile.open(streamed(twice, tmp_path)) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names)) == 5


def on_base(plan, tmp_path, name, content=b"evil"):
    """`plan` on a base image whose only layer has this name and content."""
    data = tar([("f", content)])
    document = dump(config([data]))
    manifest = dump([entry("base.json", [name])])
    members = [(name, data), ("base.json", document), ("manifest.json", manifest)]
    path = tmp_path / "base.tar"
    path.write_bytes(tar(members))
    return replace(plan, layers=(*read_base(path).layers, *plan.layers))


def layers_of(archive):
    """The layers of an archive in the image's order, all of them checked."""
    files = members(archive)
    (manifest,) = json.loads(files["manifest.json"])
    diff_ids = json.loads(files[manifest["Config"]])["rootfs"]["diff_ids"]
    found = [files[name] for name in manifest["Layers"]]
    assert [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in found] == diff_ids
    return manifest["Layers"]


def own_name(layer):
    return f"{layer.diff_id.removeprefix('sha256:')}/layer.tar"


def test_a_layer_of_a_base_image_keeps_its_name(plan, tmp_path):
    # The second one is what Docker before 25 calls them: the digest is of something else.
    for name in ("some.tar", f"{'a' * 64}/layer.tar", "d/e/f"):
        assert layers_of(streamed(on_base(plan, tmp_path, name), tmp_path))[0] == name


def test_a_layer_of_a_base_image_that_is_called_like_one_of_ours_takes_not_its_place(
    plan, tmp_path
):
    target = own_name(plan.layers[1])
    taken = [target, target.partition("/")[0], f"{target}/x"]
    for name in taken:
        based = on_base(plan, tmp_path, name)
        names = layers_of(streamed(based, tmp_path))
        assert names == [own_name(layer) for layer in based.layers]


def test_a_layer_of_a_base_image_that_is_called_like_the_configuration_takes_not_its_place(
    plan, tmp_path
):
    based = on_base(plan, tmp_path, "any")
    (manifest,) = json.loads(members(streamed(based, tmp_path))["manifest.json"])
    for name in (manifest["Config"], f"{manifest['Config']}/x", "oci-layout/x"):
        again = on_base(plan, tmp_path, name)
        assert layers_of(streamed(again, tmp_path)) == [own_name(layer) for layer in based.layers]


def test_a_missing_store_path_stops_it_before_the_first_byte(plan, tmp_path):
    os.unlink(os.path.join(plan.layers[0].paths[0], "file"))
    os.rmdir(plan.layers[0].paths[0])
    with pytest.raises(UserError, match="aaa-small is missing, but the image test:tag needs it"):
        streamed(plan, tmp_path)
    assert (tmp_path / "image.tar").stat().st_size == 0


def test_a_store_path_that_changed_is_an_error(plan, tmp_path):
    with open(os.path.join(plan.layers[1].paths[0], "more"), "w") as file:
        file.write("more" * 5000)  # past what the padding to a record hides
    with pytest.raises(UserError, match="when the image was planned"):
        streamed(plan, tmp_path)


def run_stream(plan, tmp_path, *arguments, **options):
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    return subprocess.Popen(
        [sys.executable, "-I", "-B", BUILDERS, "stream", path, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_program_says_how_to_check_the_store(plan, tmp_path):
    with open(os.path.join(plan.layers[1].paths[0], "more"), "w") as file:
        file.write("more" * 5000)
    process = run_stream(plan, tmp_path, stdout=subprocess.DEVNULL)
    last = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 1
    assert last.endswith(
        "when the image was planned; check the store with "
        "'nix-store --verify --check-contents --repair', or build the image again"
    )


def test_one_line_tells_that_the_reader_went_away(plan, tmp_path):
    reader, writer = os.pipe()
    process = run_stream(plan, tmp_path, stdout=writer)
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    lines = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert lines[-1].startswith("error: the reader of the image went away after ")
    assert not any("Traceback" in line for line in lines)


def test_a_full_disk_is_one_line(plan, tmp_path):
    with open("/dev/full", "wb") as full:
        process = run_stream(plan, tmp_path, stdout=full)
        lines = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert lines[-1].startswith("error: can't write the image: No space left on device")


def test_a_terminal_gets_no_image(plan, tmp_path):
    parent, child = os.openpty()
    process = run_stream(plan, tmp_path, stdout=child)
    assert process.communicate()[1].startswith("error: an image is not written to a terminal")
    assert process.returncode == 1
    os.close(parent)
    os.close(child)


def test_plain_lines_where_stderr_is_no_terminal(plan, tmp_path):
    process = run_stream(plan, tmp_path, stdout=subprocess.DEVNULL)
    lines = process.communicate()[1].splitlines()
    assert lines == [
        "No 'fromImage' provided",
        f"Creating layer 1 from paths: ['{plan.layers[0].paths[0]}']",
        f"Creating layer 2 from paths: ['{plan.layers[1].paths[0]}']",
        "Creating layer 3 with customisation...",
        "Adding manifests...",
        "Done.",
    ]


def test_one_moving_line_on_a_terminal(plan, tmp_path):
    parent, child = os.openpty()
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    with open(tmp_path / "out", "wb") as out:
        code = subprocess.call(
            [sys.executable, "-I", "-B", BUILDERS, "stream", path], stdout=out, stderr=child
        )
    os.close(child)
    shown = os.read(parent, 65536).decode()
    os.close(parent)
    assert code == 0
    assert "Creating layer" not in shown
    assert "3 layers, 3.2 MB in" in shown


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "2>&- >&-"])
def test_closed_streams(plan, tmp_path, closed):
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    script = tmp_path / "script"
    script.write_text(f"#!/bin/bash\nexec {sys.executable} -I -B {BUILDERS} stream {path}\n")
    script.chmod(0o755)
    process = subprocess.run(["bash", "-c", f"{script} {closed}"], capture_output=True, check=False)
    if closed == "2>&-":
        assert process.returncode == 0
        assert process.stdout == streamed(plan, tmp_path).read_bytes()
    else:
        assert process.returncode == 1
        said = b"" if "2" in closed else b"error: standard output is closed; pipe it into"
        assert process.stderr.startswith(said)
        assert len(process.stderr.splitlines()) == bool(said)


def test_the_tag_can_be_given_on_the_command_line(plan, tmp_path):
    for option in ("-t", "--repo_tag"):
        with open(tmp_path / "out.tar", "wb") as out:
            process = run_stream(plan, tmp_path, option, "given:1", stdout=out)
            process.communicate()
        manifest = json.loads(members(tmp_path / "out.tar")["manifest.json"])
        assert manifest[0]["RepoTags"] == ["given:1"]


@pytest.mark.parametrize("given", ["", "app", "a\nb:1", "App:1", "app:", ":1", b"\xff:1", "a:1:2"])
def test_a_name_that_no_engine_loads_is_refused(plan, tmp_path, given):
    with open(tmp_path / "out.tar", "wb") as out:
        process = run_stream(plan, tmp_path, "-t", given, stdout=out)
        said = process.communicate()[1]
    assert process.returncode == 1
    assert said.startswith("error: ")
    assert "is no name and tag of an image; write it like registry.example/app:1.0" in said
    assert len(said.splitlines()) == 1
    assert (tmp_path / "out.tar").stat().st_size == 0


def gone():
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("kind", ["full", "gone", "closed", "read-only"])
@pytest.mark.parametrize("is_based", [False, True])
def test_where_stderr_takes_nothing_the_image_is_whole(plan, tmp_path, kind, is_based):
    if is_based:
        plan = on_base(plan, tmp_path, "layer.tar")
    expected = streamed(plan, tmp_path).read_bytes()
    stderr = {
        "full": lambda: os.open("/dev/full", os.O_WRONLY),
        "gone": gone,
        "closed": lambda: os.open(os.devnull, os.O_WRONLY),
        "read-only": lambda: os.open(os.devnull, os.O_RDONLY),
    }[kind]()
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    command = [sys.executable, "-I", "-B", BUILDERS, "stream", path]
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.run(
            command,
            stdout=out,
            stderr=stderr,
            preexec_fn=(lambda: os.close(2)) if kind == "closed" else None,
        )
    os.close(stderr)
    assert process.returncode == 0
    assert (tmp_path / "out").read_bytes() == expected


@pytest.mark.parametrize("kind", ["/dev/full", "gone"])
def test_an_error_that_cannot_be_shown_is_an_error_all_the_same(plan, tmp_path, kind):
    path = tmp_path / "plan.json"
    path.write_text(replace(plan, layers=[replace(plan.layers[2], size=1)]).to_json())
    stderr = gone() if kind == "gone" else os.open(kind, os.O_WRONLY)
    command = [sys.executable, "-I", "-B", BUILDERS, "stream", path]
    process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stderr)
    os.close(stderr)
    assert process.returncode == 1


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory):
    """Variables of a locale that is not UTF-8."""
    directory = tmp_path_factory.mktemp("locale")
    name = "en_US.ISO-8859-1"
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(directory / name)]
    if not os.path.exists("/usr/share/i18n/locales/en_US"):
        pytest.skip("there is nothing to make a locale of; tests/run gets it on Debian")
    subprocess.run(command, check=True)
    return {**os.environ, "LOCPATH": str(directory), "LC_ALL": name}


def test_the_locale_has_no_say_in_the_bytes(plan, tmp_path, latin_1):
    path = os.fsencode(plan.layers[0].paths[0])
    for name in ("f\u00fcr", "\u65e5\u672c", "a\udcff"):
        with open(os.path.join(path, os.fsencode(name)), "w") as file:
            file.write(name.encode("utf-8", "surrogateescape").hex())
    fresh = [replace(layer, diff_id=None, size=None) for layer in plan.layers[:2]]
    layers = (*hash_layers(fresh, graph={}, jobs=1), plan.layers[2])
    plan = replace(plan, layers=layers, config={"Cmd": ["f\u00fcr"]})
    expected = streamed(plan, tmp_path).read_bytes()
    is_latin = "import sys; sys.exit(sys.getfilesystemencoding() != 'iso8859-1')"
    subprocess.run([sys.executable, "-I", "-c", is_latin], env=latin_1, check=True)
    with open(tmp_path / "out", "wb") as out:
        process = run_stream(plan, tmp_path, stdout=out, env=latin_1)
        process.communicate()
    assert process.returncode == 0
    assert (tmp_path / "out").read_bytes() == expected
