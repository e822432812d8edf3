"""Finding what can't run in an image."""

import pytest

from builders.gates.image_files import open_image_files
from builders.gates.lint import MADE_BY_ENGINES, lint
from builders.image.layer_kinds import TarLayer
from tests.unit.accounts.images import archive
from tests.unit.gates.files import image_files, linked, write_tar
from tests.unit.support import read_base

SHELL = {"bin/sh": b"x"}
PASSWD = {"etc/passwd": "root:x:0:0::/:\nme:x:7:7::/:\n", "etc/group": "us:x:7:\n"}


def found(directory, members, config, *, roots=(), store=(), given=()):
    made = [*MADE_BY_ENGINES, *given]
    with image_files(directory, members, store=store, given=made) as files:
        return list(lint(files, config, architecture="amd64", roots=roots))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Cmd": ["sh"]}, None),
        ({"Cmd": ["/bin/sh"]}, None),
        ({"Cmd": ["./sh"], "WorkingDir": "/bin"}, None),
        ({"Entrypoint": ["sh"], "Cmd": ["no program"]}, None),
        (
            {"Entrypoint": [], "Cmd": ["bash"]},
            "Cmd names bash, which is in no directory of PATH",
        ),
        (
            {"Cmd": ["sh"], "Env": ["PATH=/x"]},
            "Cmd names sh, which is in no directory of PATH",
        ),
        ({"Entrypoint": ["/x"]}, "Entrypoint names /x, which is not in the image"),
        ({"Entrypoint": ["/bin"]}, "Entrypoint names /bin, which is a directory"),
        (
            {"Entrypoint": ["/etc/passwd"]},
            "Entrypoint names /etc/passwd, which is not executable",
        ),
        ({"Cmd": ["/proc/self/exe"]}, None),
        ({"Cmd": ["/given/bin/x"]}, None),
        ({"WorkingDir": "/bin"}, None),
        ({"WorkingDir": "/proc"}, None),
        (
            {"WorkingDir": "/srv"},
            "WorkingDir is /srv, which is not in the image; engines make it, and it belongs to "
            "root",
        ),
        ({"WorkingDir": "/bin/sh"}, "WorkingDir is /bin/sh, which is no directory"),
        ({"User": "7:7"}, None),
        ({"User": "me:us"}, None),
        ({"User": "you"}, "User names the user you, which /etc/passwd of the image lacks"),
        (
            {"User": "0:them"},
            "User names the group them, which /etc/group of the image lacks",
        ),
        ({"Healthcheck": {"Test": ["CMD", "sh"]}}, None),
        ({"Healthcheck": {"Test": ["NONE"]}}, None),
        (
            {"Healthcheck": {"Test": ["CMD", "curl"]}},
            "Healthcheck.Test names curl, which is in no directory of PATH",
        ),
        (
            {"Healthcheck": {"Test": ["CMD-SHELL", "x"]}, "Shell": ["/bin/zsh"]},
            "Healthcheck.Test (by its shell) names /bin/zsh, which is not in the image",
        ),
        ({"Env": None, "Cmd": None, "Entrypoint": None, "Healthcheck": None}, None),
    ],
)
def test_the_configuration_names_what_is_there(tmp_path, config, said):
    expected = [f"config.{said}"] if said else []
    assert found(tmp_path, {**SHELL, **PASSWD}, config, given=["/given"]) == expected


def test_a_user_needs_a_file_that_knows_it(tmp_path):
    said = ["config.User names the user root, which /etc/passwd of the image lacks"]
    assert found(tmp_path, SHELL, {"User": "root"}) == said


BROKEN = b"#!/usr/bin/perl\n"
SAID = "can't run: its interpreter /usr/bin/perl is not in the image"


def test_programs_of_path_of_roots_and_outside_of_the_store_are_looked_at(tmp_path):
    root, other = tmp_path / "aaa-root", tmp_path / "bbb-other"
    for path in (root, other):
        (path / "bin").mkdir(parents=True)
        (path / "bin/x").write_bytes(BROKEN)
        (path / "bin/x").chmod(0o755)
    members = {
        "bin/linked": (f"{other}/bin/x",),
        "app/run": BROKEN,
        "app/text": BROKEN.decode(),
        "special/tool": BROKEN,
    }
    config = {"Env": ["PATH=/bin:/special:relative"]}
    assert found(tmp_path, members, config, roots=[str(root)], store=[root, other]) == [
        f"/bin/linked ({other}/bin/x) {SAID}",
        f"/special/tool {SAID}",
        f"{root}/bin/x {SAID}",
        f"/app/run {SAID}",
    ]


def test_a_program_that_the_configuration_names_is_looked_at(tmp_path):
    said = found(tmp_path, {"x/run": BROKEN}, {"Entrypoint": ["/x/run"]})
    assert said[0] == f"config.Entrypoint names /x/run, which {SAID}"


def test_what_is_mounted_may_be_anything(tmp_path):
    members = {
        "bin/tool": ("/store/tool/bin/tool",),
        "bin/script": b"#!/store/bash/bin/bash\n",
        "bin/by-env": b"#!/usr/bin/env python3\n",
        "usr/bin/env": b"x",
        "bin/program": linked(tmp_path, "program", "-Wl,-rpath,/store/lib", needs=["libone.so"]),
        "bin/other": linked(tmp_path, "other", loader="/store/lib/ld.so"),
        "lib64/ld.so": b"x",
    }
    config = {"Cmd": ["/bin/tool"], "WorkingDir": "/store/x", "Env": ["PATH=/bin:/store/env/bin"]}
    assert len(found(tmp_path, members, config)) == 6
    assert found(tmp_path, members, config, given=["/store"]) == []


def test_of_a_base_image_only_what_the_rest_needs_is_looked_at(tmp_path):
    base = tmp_path / "base.tar"
    write_tar(tmp_path / "layer", {"bin/broken": BROKEN, "bin/used": BROKEN})
    base.write_bytes(archive([(tmp_path / "layer").read_bytes()]))
    write_tar(tmp_path / "own", {"app/run": b"#!/bin/used\n"})
    size = (tmp_path / "own").stat().st_size
    own = TarLayer(path=str(tmp_path / "own"), diff_id="sha256:0", size=size)
    layers = [*read_base(base).layers, own]
    with open_image_files(layers, directory=str(tmp_path), what="base") as files:
        said = list(lint(files, {}, architecture="amd64", roots=[]))
    assert said == [f"/app/run can't run: its interpreter /bin/used {SAID}"]
