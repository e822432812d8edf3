"""skopeo runs again where a failure may pass, and is not waited for for ever."""

import io

import pytest

from builders.image.names import RemoteImage
from builders.registry.failures import Problem, RegistryError
from builders.registry.skopeo import Skopeo

FAKE = """#!/bin/sh
echo attempt >> {log}
[ $(wc -l < {log}) -gt {failures} ] || {{
  echo partial > {out}
  echo 'time=1 level=fatal msg="{message}"' >&2
  exit 1
}}
[ ! -e {out} ] || exit 2
echo image > {out}
echo copied
"""


@pytest.fixture
def fake_skopeo(tmp_path):
    """A program that fails some times, leaves a part of a file behind, and then succeeds."""

    def make(failures, message):
        program, log, out = tmp_path / "skopeo", tmp_path / "log", tmp_path / "out"
        said = io.BytesIO()
        program.write_text(FAKE.format(log=log, out=out, failures=failures, message=message))
        program.chmod(0o755)
        skopeo = Skopeo(
            program=str(program),
            environment={"PATH": "/usr/bin:/bin"},
            directory=str(tmp_path),
            tls_verify=True,
            output=said,
            pauses=(0.01, 0.02),
        )

        def copy():
            image = RemoteImage("app", "v1")
            skopeo.copy(image, str(out), name="app:v1", os_name="linux", architecture="amd64")
            assert said.getvalue() == b"copied\n"

        return copy, log, out

    return make


def test_what_may_pass_is_tried_again(fake_skopeo, capfd):
    copy, log, out = fake_skopeo(2, "connection reset by peer")
    copy()
    assert out.read_text() == "image\n"
    assert log.read_text().count("attempt") == 3
    said = "did not give app:v1 (connection reset by peer); attempt"
    assert capfd.readouterr().err.splitlines() == [
        f"warning: the registry docker.io {said} 2 of 3 follows in 0.01 s",
        f"warning: the registry docker.io {said} 3 of 3 follows in 0.02 s",
    ]


def test_what_does_not_pass_ends_after_the_last_attempt(fake_skopeo):
    copy, log, _ = fake_skopeo(9, "unexpected EOF")
    with pytest.raises(RegistryError) as raised:
        copy()
    assert raised.value.problem == Problem.TRANSIENT
    assert log.read_text().count("attempt") == 3


@pytest.mark.parametrize("message", ["manifest unknown", "unauthorized", "something else"])
def test_what_cannot_pass_is_not_tried_again(fake_skopeo, message):
    copy, log, _ = fake_skopeo(9, message)
    with pytest.raises(RegistryError):
        copy()
    assert log.read_text().count("attempt") == 1


@pytest.fixture
def skopeo_that(tmp_path):
    """Skopeo whose program is a shell script, and a patience of its own."""

    def make(script, *, patience):
        program = tmp_path / "skopeo"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        return Skopeo(
            program=str(program),
            environment={"PATH": "/usr/bin:/bin"},
            directory=str(tmp_path),
            tls_verify=True,
            output=None,
            pauses=(0.01,),
            patience=patience,
        )

    return make


def test_a_registry_that_says_nothing_is_not_waited_for(skopeo_that, tmp_path, capfd):
    log = tmp_path / "log"
    skopeo = skopeo_that(
        f"echo attempt >> {log}\n[ $(wc -l < {log}) -gt 1 ] || exec sleep 1000\necho manifest",
        patience=0.2,
    )
    assert skopeo.manifest(RemoteImage("app", "v1")) == b"manifest\n"
    said = "the registry docker.io did not give app:v1 (nothing came for 0.2 s)"
    assert capfd.readouterr().err == f"warning: {said}; attempt 2 of 2 follows in 0.01 s\n"


def test_a_registry_that_is_slow_is_waited_for(skopeo_that):
    slowly = "for number in 1 2 3 4 5 6; do sleep 0.5; echo $number; done"
    manifest = skopeo_that(slowly, patience=2).manifest(RemoteImage("app", "v1"))
    assert manifest == b"1\n2\n3\n4\n5\n6\n"
