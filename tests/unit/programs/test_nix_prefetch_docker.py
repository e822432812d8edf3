"""What nix-prefetch-docker says, and how it calls a file."""

import json
import subprocess
import sys

import pytest

from builders.console.errors import UserError
from builders.formats.image_index import IndexEntry, describe_platforms
from builders.image.platform import Platform
from builders.programs.nix_prefetch_docker import PREFETCH_HINTS, archive_name, read_request
from builders.registry.failures import Problem
from tests.unit.support import BUILDERS


def test_file_names_have_no_slash_and_no_colon():
    assert archive_name("host:5000/a", "v1") == "docker-image-host-5000-a-v1.tar"


def test_every_kind_of_failure_has_a_remedy():
    assert set(PREFETCH_HINTS) == set(Problem)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "--arch aarch64",
            "the architecture can't be 'aarch64'; in Go's words, it is --arch arm64",
        ),
        ("--arch linux/arm/v7", "'linux/arm/v7'; in Go's words, it is --arch arm"),
        ("--arch sparc65", "'sparc65'; it must be one of Go's words, such as amd64, arm64, arm or"),
        ("--arch=", "the architecture can't be ''; it must be one of Go's words"),
        ("--os Linux", "the operating system can't be 'Linux'; in Go's words, it is --os linux"),
        ("--os x86_64-linux", "it is --os linux"),
        ("--os gnu", "'gnu'; it must be one of Go's words, such as linux"),
    ],
)
def test_platforms_are_named_in_words_of_go(options, expected):
    with pytest.raises(UserError) as failed:
        read_request(["app", *options.split()])
    assert expected in str(failed.value)


def test_words_of_go_are_taken():
    request = read_request(["app", "--os", "windows", "--arch", "loong64"])
    assert (request.os, request.architecture) == ("windows", "loong64")


# A registry that means no good


@pytest.fixture
def prefetch(tmp_path):
    """Run the program with a skopeo that answers as told, and a nix-store that takes all."""

    def run(manifest, *, digest=f"sha256:{'d' * 64}", temporary="temporary"):
        (tmp_path / "manifest").write_bytes(manifest)
        (tmp_path / "digest").write_bytes(digest if isinstance(digest, bytes) else digest.encode())
        skopeo, nix_store = tmp_path / "skopeo", tmp_path / "nix-store"
        skopeo.write_text(
            "#!/bin/bash\n"
            f'[[ $* != *" inspect "* ]] || exec cat {tmp_path}/manifest\n'
            f"[[ $1 != manifest-digest ]] || exec cat {tmp_path}/digest\n"
            # As skopeo takes apart what it is given.
            'IFS=: read -r transport path name tag rest <<<"${!#}"\n'
            "[[ $transport == docker-archive && $name == app && $tag == latest ]] || exit 9\n"
            'echo image >"$path"\n'
        )
        nix_store.write_text('#!/bin/sh\n[ "$(cat "$3")" = image ] && echo "/nix/store/x-$2"\n')
        for program in (skopeo, nix_store):
            program.chmod(0o755)
        directory = tmp_path / temporary
        directory.mkdir(exist_ok=True)
        command = [sys.executable, "-I", "-B", str(BUILDERS), "nix_prefetch_docker"]
        settings = [str(skopeo), "certificates", str(nix_store)]
        return subprocess.run(
            [*command, *settings, "--json", "--image-name", "app"],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(directory)},
        )

    return run


def index(**entry):
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {"digest": f"sha256:{'e' * 64}", "platform": platform, **entry}
    return json.dumps({"manifests": [entry]}).encode()


def test_an_answer_that_is_right_is_printed(prefetch):
    for answer, digest in ((index(), "e" * 64), (b'{"config": {}}', "d" * 64)):
        done = prefetch(answer)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["imageDigest"] == f"sha256:{digest}"


def test_a_temporary_directory_may_have_a_colon(prefetch):
    done = prefetch(index(), temporary="a:b")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["imageDigest"] == f"sha256:{'e' * 64}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (index(digest="sha256:../../x"), 'digest should be "sha256:" and 64 hexadecimal digits'),
        (index(digest="md5:" + "0" * 32), "digest should be"),
        (index(digest=None), "digest should be a string and is missing"),
        (index(digest=["x"]), "digest should be a string"),
        (index(platform=[]), "platform should be an object"),
        (index(platform={"os": 3}), "os should be a string"),
        (index(annotations=3), "annotations should be an object"),
        (index(mediaType={}), "mediaType should be a string"),
        (index(Digest=f"sha256:{'f' * 64}"), 'has the key "Digest", which engines take for'),
        (index(platform={"os": "linux", "architecture": "\x1b[2J"}), "\\x1b[2J"),
        (b'{"manifests": {}}', "manifests should be a list"),
        (b'{"manifests": null}', "manifests should be a list"),
        (b'{"Manifests": []}', 'has the key "Manifests"'),
        (b'{"manifests": [1]}', "manifests[0] should be an object"),
        (b'{"manifests": [], "manifests": []}', "is there twice"),
        (b"[" * 900 + b"]" * 900, "nested too deeply"),
        (b'{"manifests": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"NaN", "NaN is no JSON"),
        (b"3", "should be an object and is 3"),
        (b"<html>", "is not JSON"),
        (b"", "is not JSON"),
        (b" " * (9 << 20), "its manifest has more than 8388608 bytes"),
    ],
)
def test_an_answer_of_a_wrong_shape_is_one_line(prefetch, answer, words):
    done = prefetch(answer)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.parametrize("digest", ["", "sha256:x", b"\xff", "sha256:" + "D" * 64])
def test_a_digest_of_a_manifest_that_is_none_is_not_printed(prefetch, digest):
    done = prefetch(b'{"config": {}}', digest=digest)
    assert (done.returncode, done.stdout) == (1, "")
    assert "its manifest has the digest" in done.stderr


def test_very_many_platforms_are_not_all_named():
    entries = [
        IndexEntry(f"sha256:{'0' * 64}", Platform("linux", f"a{number}"), None, False)
        for number in range(1000)
    ]
    words = describe_platforms(entries)
    assert words.startswith("linux/a0, linux/a1, ")
    assert words.endswith("linux/a29, 970 more")
