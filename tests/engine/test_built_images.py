"""buildImage and runAsRoot on real base images, as containers see the result."""

import json
import pathlib

import pytest

from tests.engine.bases import base_with_whiteouts
from tests.engine.engines import Docker
from tests.nix.images import build, closure

SHOW = """
import json, os, stat, sys
files = {}
for top in sys.argv[1:]:
    for directory, names, more in [(None, [], [top]), *os.walk(top)]:
        for name in names + more:
            path = name if directory is None else os.path.join(directory, name)
            try:
                s = os.lstat(path)
            except FileNotFoundError:
                continue
            facts = [stat.filemode(s.st_mode), s.st_uid, s.st_gid]
            if stat.S_ISLNK(s.st_mode):
                facts.append(os.readlink(path))
            elif stat.S_ISREG(s.st_mode):
                facts += [open(path).read(), sorted(os.listxattr(path))]
            elif not stat.S_ISDIR(s.st_mode):
                facts.append([os.major(s.st_rdev), os.minor(s.st_rdev)])
            files[path] = facts
print(json.dumps(files))
"""


def show(docker: Docker, image, *paths):
    """Facts about all files below `paths`, from a container; its Python comes from here."""
    python = build("pkgs.python3")
    options = ["--volume=/nix/store:/nix/store:ro"]
    result = docker.run(
        image, "-c", SHOW, *paths, entrypoint=f"{python}/bin/python3", options=options, user="0:0"
    )
    return json.loads(result.stdout)


@pytest.fixture
def base(tmp_path):
    """An image with whiteouts, owners, hard links and odd symlinks, as a Nix expression."""
    return base_with_whiteouts(tmp_path / "base.tar")


BASE_FILES = {
    "/etc/keep": ["-rw-r--r--", 0, 0, "keep", []],
    "/etc/other": ["-rw-r-----", 1234, 4321, "other", []],
    "/srv/new": ["-rw-r--r--", 0, 0, "new", []],
    "/opt/setuid": ["-rwsr-xr-x", 7, 0, "#!", []],
    "/opt/absolute": ["lrwxrwxrwx", 0, 0, "/etc/keep"],
    "/opt/up": ["lrwxrwxrwx", 0, 0, "../../../../etc/keep"],
    "/opt/one": ["-rw-r--r--", 0, 0, "linked", []],
    "/opt/two": ["-rw-r--r--", 0, 0, "linked", []],
    "/opt/null": ["crw-rw-rw-", 0, 0, [1, 3]],
}


def test_a_root_script_sees_and_changes_the_base_image(docker: Docker, base):
    image = docker.load(
        build(
            f"""buildImage {{
              name = "app"; tag = "1"; fromImage = {base};
              config.Env = [ "OWN=2" "PATH=/own" ];
              runAsRoot = ''
                set -x
                [ "$PWD" = / ]
                # What lower layers deleted is not there, and what they have is as they have it.
                [ ! -e /etc/gone ] && [ ! -e /srv/a ]
                [ "$(stat -c %u:%g:%a /etc/other)" = 1234:4321:640 ]
                [ "$(stat -c %u:%a /opt/setuid)" = 7:4755 ]
                [ "$(stat -c %t:%T /opt/null)" = 1:3 ]
                [ /opt/one -ef /opt/two ]
                [ "$(cat /opt/up)" = keep ]
                ls /dev/null /proc/self/status ${{coreutils}}/bin/true
                rm /etc/keep
                chown 55:66 /opt/one
                install -o 99 -g 98 -m 2750 /etc/other /opt/installed
                mknod /opt/zero c 1 5
                mkdir -m 1777 /opt/sticky
                rm -r /srv; mkdir /srv; echo fresh > /srv/fresh
                echo more >> /etc/other
                touch /opt/setuid
                ln -s nowhere /opt/dangling
              '';
            }}"""
        )
    )
    seen = show(docker, image, "/etc/keep", "/etc/other", "/srv", "/opt")
    assert "/etc/keep" not in seen
    assert seen["/etc/other"] == ["-rw-r-----", 1234, 4321, "othermore\n", []]
    assert {path for path in seen if path.startswith("/srv")} == {"/srv", "/srv/fresh"}
    assert seen["/opt/installed"] == ["-rwxr-s---", 99, 98, "other", []]
    assert seen["/opt/zero"] == ["crw-r--r--", 0, 0, [1, 5]]
    assert seen["/opt/sticky"] == ["drwxrwxrwt", 0, 0]
    assert seen["/opt/one"][1:3] == [55, 66]
    assert seen["/opt/two"][1:3] == [55, 66]
    assert seen["/opt/dangling"] == ["lrwxrwxrwx", 0, 0, "nowhere"]
    for path in ("/opt/setuid", "/opt/absolute", "/opt/up", "/opt/null"):
        assert seen[path] == BASE_FILES[path]
    assert docker.inspect(image)["Config"]["Env"] == ["BASE=1", "PATH=/own", "OWN=2"]
    assert len(docker.inspect(image)["RootFS"]["Layers"]) == 3


def test_without_a_script_the_base_image_stays_as_it_is(docker: Docker, base):
    image = docker.load(
        build(
            f"""buildImage {{
              name = "app"; tag = "1"; fromImage = {base};
              copyToRoot = [ (writeTextDir "etc/mine" "mine") ];
            }}"""
        )
    )
    seen = show(docker, image, "/etc", "/srv", "/opt")
    assert {path: seen.get(path) for path in BASE_FILES} == BASE_FILES
    assert seen["/etc/mine"] == ["-r--r--r--", 0, 0, "mine", []]
    assert "/etc/gone" not in seen
    assert "/srv/a" not in seen


def test_file_capabilities_of_a_root_script_are_in_the_image(docker: Docker):
    image = docker.load(
        build(
            """buildImage {
              name = "app"; tag = "1";
              runAsRoot = ''
                mkdir /opt; echo x > /opt/capable
                ${pkgs.libcap}/bin/setcap cap_net_raw+ep /opt/capable
              '';
            }"""
        )
    )
    assert show(docker, image, "/opt")["/opt/capable"][4] == ["security.capability"]


def test_an_image_that_docker_saved_is_a_base_for_root_scripts(docker: Docker, base, tmp_path):
    first = docker.load(build(f'buildImage {{ name = "first"; tag = "1"; fromImage = {base}; }}'))
    saved: pathlib.Path = docker.save(first, tmp_path / "saved.tar")
    expression = f'builtins.path {{ path = {saved}; name = "saved.tar"; }}'
    second = docker.load(
        build(
            f"""buildImage {{
              name = "second"; tag = "2"; fromImage = {expression};
              fromImageName = "first"; fromImageTag = "1";
              runAsRoot = "rm /opt/one; echo second > /opt/second";
            }}"""
        )
    )
    seen = show(docker, second, "/opt")
    assert "/opt/one" not in seen
    assert seen["/opt/two"] == BASE_FILES["/opt/two"]
    assert seen["/opt/second"][3] == "second\n"


def test_nix_runs_on_the_database_of_the_image(docker: Docker):
    image = docker.load(
        build(
            """buildImageWithNixDb {
              name = "nix"; tag = "1"; copyToRoot = [ pkgs.nix bash ];
              config.Env = [ "USER=nobody" "NIX_REMOTE=" "HOME=/root" ];
            }"""
        )
    )
    nix_path = build("pkgs.nix")
    docker.run(image, "/bin/nix-store", "--verify", "--check-contents")
    closure_there = docker.run(image, "/bin/nix-store", "-qR", str(nix_path)).stdout.split()
    assert set(closure_there) == closure(nix_path)
