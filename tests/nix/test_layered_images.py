"""Each attribute of streamLayeredImage and buildLayeredImage, in the real sandbox."""

import datetime
import hashlib
import json
import sqlite3
import subprocess
import sys
import time
from itertools import chain

import pytest

from tests.nix.images import (
    REPOSITORY,
    NixError,
    archive,
    build,
    build_log,
    closure,
    evaluate,
    evaluation_warnings,
    failure,
    nix,
    stream,
)
from tests.unit.archives import layer, plain_members, tar


def test_name_is_lower_case_in_the_image_and_names_the_derivation():
    image = stream('streamLayeredImage { name = "Registry.example/Group/App"; tag = "T1"; }')
    assert image.manifest["RepoTags"] == ["registry.example/group/app:T1"]
    expression = 'streamLayeredImage { name = "Registry.example/Group/App"; }'
    assert evaluate(f"({expression}).name") == "stream-App"
    assert evaluate(f"({expression}).imageName") == "registry.example/group/app"


def test_tag_is_the_hash_of_the_plan_where_none_is_given():
    expression = 'streamLayeredImage { name = "app"; }'
    tag = evaluate(f"({expression}).imageTag")
    plan = build(f"({expression}).conf")
    assert plan.name == f"{tag}-app-conf.json"
    assert stream(expression).manifest["RepoTags"] == [f"app:{tag}"]
    assert evaluate('(buildLayeredImage { name = "app"; }).imageTag') == tag


def test_tag_that_is_given_is_kept():
    assert evaluate('(streamLayeredImage { name = "app"; tag = "v1"; }).imageTag') == "v1"
    image = stream('streamLayeredImage { name = "app"; tag = "v1"; }', "-t", "other:2")
    assert image.manifest["RepoTags"] == ["other:2"]


@pytest.mark.parametrize("compressor", ["none", "gz", "zstd"])
def test_layers_of_the_base_image_pass_through(compressor):
    base = f"""
      (buildLayeredImage {{
        name = "base"; tag = "1"; compressor = "{compressor}";
        contents = [ (writeTextDir "base" "base") ];
        config = {{ Env = [ "A=1" "B=2" ]; Cmd = [ "/base" ]; }};
      }})
    """
    below = archive(base)
    image = stream(
        f'streamLayeredImage {{ name = "top"; fromImage = {base};'
        ' contents = [ (writeTextDir "top" "top") ]; config.Env = [ "C=3" "A=4" ]; }'
    )
    count = len(below.diff_ids)
    assert count == 2
    assert image.diff_ids[:count] == below.diff_ids
    for name in below.manifest["Layers"]:
        assert image.members[name] == below.members[name]
    assert "base" in image.layer(1)
    assert "top" in image.layer(3)
    assert image.config["config"] == {"Env": ["A=4", "B=2", "C=3"]}
    assert len(image.config["history"]) == len(image.diff_ids)


def test_layers_of_the_base_image_count_for_max_layers():
    base = '(buildLayeredImage { name = "base"; contents = [ bash ]; maxLayers = 4; })'
    top = f'name = "top"; fromImage = {base}; contents = [ hello ];'
    image = stream(f"streamLayeredImage {{ {top} maxLayers = 6; }}")
    assert len(image.diff_ids) == 6
    error = failure(f"streamLayeredImage {{ {top} maxLayers = 5; }}")
    begin = "error: in docker image top: maxLayers = 5 leaves no layer for store paths"
    assert error.startswith(begin)
    assert "set maxLayers to 6 or more" in error


def test_contents_are_links_to_the_store():
    image = stream('streamLayeredImage { name = "app"; contents = [ hello coreutils ]; }')
    hello = build("hello")
    links = image.layer(-1)
    assert links["bin/hello"].linkname == f"{hello}/bin/hello"
    assert "bin/ls" in links
    assert sorted(path for layer in image.store_paths for path in layer) == sorted(
        closure(hello) | closure(build("coreutils"))
    )


@pytest.mark.parametrize("contents", ["hello", '"${hello}"', "[ hello ]"])
def test_contents_may_be_a_list_a_derivation_or_a_string(contents):
    image = stream(f'streamLayeredImage {{ name = "app"; contents = {contents}; }}')
    assert "bin/hello" in image.layer(-1)


def test_contents_may_be_a_path_literal(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").write_text("text")
    image = stream(f'streamLayeredImage {{ name = "app"; contents = [ {tmp_path}/directory ]; }}')
    target = image.layer(-1)["file"].linkname
    assert target.endswith("-directory/file")
    assert [target.removesuffix("/file")] in image.store_paths


def test_config_is_kept_and_its_closure_is_in_the_image():
    image = stream(
        'streamLayeredImage { name = "app"; config = {'
        ' Cmd = [ (lib.getExe hello) ]; Labels."org.example" = "x"; Volumes."/data" = { }; }; }'
    )
    hello = build("hello")
    assert image.config["config"] == {
        "Cmd": [f"{hello}/bin/hello"],
        "Labels": {"org.example": "x"},
        "Volumes": {"/data": {}},
    }
    assert {path for layer in image.store_paths for path in layer} == closure(hello)


def test_architecture():
    image = stream('streamLayeredImage { name = "app"; architecture = "arm64"; }')
    assert image.config["architecture"] == "arm64"
    assert stream('streamLayeredImage { name = "app"; }').config["architecture"] == evaluate(
        "pkgs.go.GOARCH"
    )


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09+00:00"),
        ("2024-05-06 07:08:09 +0200", "2024-05-06T05:08:09+00:00"),
        ("@86400", "1970-01-02T00:00:00+00:00"),
    ],
)
def test_created(created, expected):
    image = stream(f'streamLayeredImage {{ name = "app"; created = "{created}"; }}')
    assert image.config["created"] == expected


def test_created_is_a_second_after_1970_if_nothing_is_said():
    image = stream('streamLayeredImage { name = "app"; }')
    assert image.config["created"] == "1970-01-01T00:00:01+00:00"


def test_created_now_is_the_time_of_streaming():
    image = stream('streamLayeredImage { name = "app"; created = "now"; contents = [ hello ]; }')
    created = datetime.datetime.fromisoformat(image.config["created"])
    assert abs(created.timestamp() - time.time()) < 600
    usual = stream('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    assert image.diff_ids == usual.diff_ids


def test_mtime_is_that_of_the_files_in_store_layers():
    image = stream(
        'streamLayeredImage { name = "app"; contents = [ hello ]; mtime = "2024-01-01T00:00:00Z"; }'
    )
    assert {member.mtime for member in image.layer(0).values()} == {1704067200}
    assert {member.mtime for member in image.layer(-1).values()} == {315532800}
    usual = stream('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    assert {member.mtime for member in usual.layer(0).values()} == {1}


def test_mtime_now_is_the_time_of_streaming():
    image = stream('streamLayeredImage { name = "app"; contents = [ hello ]; mtime = "now"; }')
    assert all(abs(member.mtime - time.time()) < 600 for member in image.layer(0).values())
    for name, digest in zip(image.manifest["Layers"], image.diff_ids, strict=True):
        assert hashlib.sha256(image.members[name]).hexdigest() == digest


def test_owner_of_store_layers():
    image = stream(
        'streamLayeredImage { name = "app"; contents = [ hello ];'
        ' uid = 1000; gid = 100; uname = "user"; gname = "users"; }'
    )
    owners = {(m.uid, m.gid, m.uname, m.gname) for m in image.layer(0).values()}
    assert owners == {(1000, 100, "user", "users")}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in image.layer(-1).values()} == {(0, 0, "", "")}
    usual = stream('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    owners = {(m.uid, m.gid, m.uname, m.gname) for m in usual.layer(0).values()}
    assert owners == {(0, 0, "root", "root")}


def test_max_layers_puts_the_most_popular_paths_alone():
    whole = stream('streamLayeredImage { name = "app"; contents = [ bash hello ]; }')
    assert all(len(layer) == 1 for layer in whole.store_paths)
    order = [path for layer in whole.store_paths for path in layer]
    image = stream('streamLayeredImage { name = "app"; contents = [ bash hello ]; maxLayers = 3; }')
    assert image.store_paths == [[order[0]], order[1:]]
    assert len(image.diff_ids) == 3


def test_layering_by_size_keeps_what_large_paths_need_together():
    image = '{ name = "app"; contents = [ pkgs.git hello ]; maxLayers = 6; layering = "%s"; }'
    popular = stream("streamLayeredImage " + image % "popularity")
    sized = stream("streamLayeredImage " + image % "size")
    assert (
        stream(
            'streamLayeredImage { name = "app"; contents = [ pkgs.git hello ]; maxLayers = 6; }'
        ).diff_ids
        == popular.diff_ids
    )
    assert len(sized.diff_ids) <= 6
    assert set(chain(*sized.store_paths)) == set(chain(*popular.store_paths))
    assert sized.store_paths != popular.store_paths
    # The largest path has a layer with nothing that another one needs, too.
    assert any(str(build("pkgs.git")) in paths for paths in sized.store_paths)


BEGIN = "error: in docker image app:"
"""How errors begin, at evaluation and in builds."""


def layering(expression, docker_tools="dockerTools"):
    return evaluate(f"({docker_tools}.{expression}).layers.arguments.layering")


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ("{ }", "popularity"),
        ("{ dockerMakeLayers = 1; }", "popularity-pipeline"),
        ("{ dockerMakeLayers = 1; dockerAutoLayer = 1; }", "size"),
    ],
)
def test_the_default_layering_is_that_of_the_given_nixpkgs(has, expected):
    image = 'streamLayeredImage { name = "app"; %s }'
    given = f"(import {REPOSITORY} {{ pkgs = pkgs // {has}; }})"
    assert layering(image % "", given) == expected
    assert layering(image % "layering = null;", given) == expected
    assert layering('buildLayeredImage { name = "app"; }', f"{given}") == expected
    for named in ("popularity", "popularity-pipeline", "size"):
        assert layering(image % f'layering = "{named}";', given) == named


def test_the_contests_differ_where_roots_that_are_no_part_of_the_image_count():
    image = """streamLayeredImage {
      name = "app"; maxLayers = 2; contents = [ bash hello ]; layering = "%s";
      config.Cmd = [ "${hello}/bin/hello" ];
    }"""
    (before,), (since,) = (
        stream(image % layering).store_paths for layering in ("popularity", "popularity-pipeline")
    )
    assert sorted(before) == sorted(since)
    assert before != since


@pytest.mark.parametrize("layering", ["popularity", "popularity-pipeline", "size", "co-change"])
def test_layers_over_the_limit_are_those_that_the_command_prints(layering, tmp_path):
    """On a base image of many layers, of which each takes one."""
    (tmp_path / "base.tar").write_bytes(tar(plain_members([layer(f"{n}") for n in range(9)])))
    base = f'builtins.path {{ path = {tmp_path}/base.tar; name = "base.tar"; }}'
    image = f"""streamLayeredImage {{
      name = "app"; maxLayers = 15; contents = [ pkgs.git ]; layering = "{layering}";
      fromImage = {base}; config.Cmd = [ "${{hello}}/bin/hello" ];
    }}"""
    planned = json.loads(build(f"({image}).layers").read_text())
    layers = [layer["paths"] for layer in planned["layers"] if layer["kind"] == "store-paths"]
    assert len(planned["graph"]) > 15
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(planned["graph"]))
    excluded = [word for path in planned["exclude"] for word in ("--exclude", path)]
    command = [sys.executable, REPOSITORY / "builders", "layers", graph, "--layering", layering]
    said = subprocess.run(
        [*command, "--store-layers", "5", *excluded], capture_output=True, check=True
    ).stdout
    assert layers == json.loads(said)
    assert len(stream(image).diff_ids) == 9 + len(layers) + 1


PIPELINE = """[
  [ "split_paths" [ hello ] ]
  [ "over" "rest" [ "pipe" [ [ "popularity_contest" ] [ "limit_layers" 2 ] ] ] ]
]"""


def test_a_layering_pipeline_makes_the_layers():
    image = '{ name = "app"; contents = [ pkgs.git hello ]; layeringPipeline = %s; }'
    steps = stream("streamLayeredImage " + image % PIPELINE)
    assert steps.store_paths[0] == [str(build("hello"))]
    assert len(steps.store_paths) == 4
    assert len(steps.store_paths[2]) == 1
    plain = stream('streamLayeredImage { name = "app"; contents = [ pkgs.git hello ]; }')
    assert set(chain(*steps.store_paths)) == set(chain(*plain.store_paths))
    # References in a JSON file count as those in the list do.
    file = f'(pkgs.writeText "layers.json" (builtins.toJSON {PIPELINE}))'
    assert stream("streamLayeredImage " + image % file).diff_ids == steps.diff_ids
    assert archive("buildLayeredImage " + image % PIPELINE).diff_ids == steps.diff_ids


def test_a_layering_pipeline_obeys_max_layers():
    image = """streamLayeredImage {
      name = "app"; contents = [ bash hello ]; maxLayers = 3; debug = true;
      layeringPipeline = [ [ "popularity_contest" ] ];
    }"""
    assert len(stream(image).diff_ids) == 3
    log = build_log(f"({image}).layers")
    assert "leaves 2 for store paths: the last ones become one layer; for all of them set" in log
    assert "store layer 2: " in log
    assert str(build("hello")) in log


def test_a_wrong_layering_pipeline_is_an_error_that_names_the_step():
    error = failure(
        'streamLayeredImage { name = "app"; layeringPipeline = [ [ "reverse" ] [ "contest" ] ]; }'
    )
    assert error.startswith(f"{BEGIN} layeringPipeline, step 2: there is no step 'contest'")


def test_extra_commands_run_in_the_root_without_privileges():
    image = stream(
        """streamLayeredImage {
          name = "app"; contents = [ hello ];
          extraCommands = ''
            mkdir -p data
            readlink bin/hello > data/link
            id -u > data/uid
          '';
        }"""
    )
    layer = image.layer(-1)
    assert (layer["data"].uid, layer["data"].mode) == (0, 0o755)
    assert image.file(-1, "data/uid") != b"0\n"
    assert image.file(-1, "data/link").endswith(b"/bin/hello\n")


FAKE_ROOT = """
  mkdir -p data
  echo text > data/file
  chown -R 1000:100 data
  chmod 4755 data/file
  mknod data/null c 1 3
  test "$(id -u)" = 0
"""


def assert_privileged(layer):
    assert (layer["data"].uid, layer["data"].gid) == (1000, 100)
    assert (layer["data/file"].uid, layer["data/file"].mode) == (1000, 0o4755)
    assert layer["data/null"].ischr()
    assert (layer["data/null"].devmajor, layer["data/null"].devminor) == (1, 3)


def test_fake_root_commands_change_owners_devices_and_setuid_bits():
    image = stream(f"streamLayeredImage {{ name = \"app\"; fakeRootCommands = ''{FAKE_ROOT}''; }}")
    assert_privileged(image.layer(-1))


@pytest.mark.parametrize("fakechroot", ["true", "false"])
def test_file_capabilities_are_in_the_layer(fakechroot):
    image = stream(
        f"""streamLayeredImage {{
          name = "app"; enableFakechroot = {fakechroot};
          fakeRootCommands = ''
            echo > server
            ${{pkgs.libcap}}/bin/setcap cap_net_bind_service=+ep server
          '';
        }}"""
    )
    server = image.layer(-1)["server"]
    assert (server.uid, server.gid) == (0, 0)
    records = server.pax_headers
    # struct vfs_cap_data, revision 2 with the effective bit: permitted is bit 10.
    assert (
        records["SCHILY.xattr.security.capability"].encode().startswith(b"\x01\x00\x00\x02\x00\x04")
    )


SETCAP = "${pkgs.libcap}/bin/setcap cap_net_raw+ep"
OWNERS = {"new": (0, 0), "old": (0, 0), "mode": (0, 0), "before": (7, 8), "after": (7, 8)}


@pytest.mark.parametrize("fakechroot", ["true", "false"])
def test_file_capabilities_change_no_owner(fakechroot):
    image = stream(
        f"""streamLayeredImage {{
          name = "app"; enableFakechroot = {fakechroot};
          extraCommands = "echo > old";
          fakeRootCommands = ''
            echo > new; echo > mode; echo > before; echo > after
            chown 7:8 before
            for file in new old mode before after; do {SETCAP} $file; done
            chmod 750 mode
            chown 7:8 after
            ln new linked; mv mode moved; mv moved mode
          '';
        }}"""
    )
    layer = image.layer(-1)
    assert {name: (layer[name].uid, layer[name].gid) for name in OWNERS} == OWNERS
    assert (layer["linked"].uid, layer["linked"].gid) == (0, 0)
    assert layer["mode"].mode == 0o750


def test_extra_commands_run_before_fake_root_commands():
    image = stream(
        """streamLayeredImage {
          name = "app"; extraCommands = "echo one > order"; fakeRootCommands = "echo two >> order";
        }"""
    )
    assert image.file(-1, "order") == b"one\ntwo\n"


def test_fakechroot_makes_the_layer_the_root():
    image = stream(
        f"""streamLayeredImage {{
          name = "app"; contents = [ hello ]; enableFakechroot = true;
          fakeRootCommands = ''
            test "$(pwd)" = /
            test -c /dev/null
            test -d /sys
            test -e /proc/self/exe
            test "$(/bin/hello)" = "Hello, world!"
            test -d "$NIX_BUILD_TOP"
            cd /
            {FAKE_ROOT}
            echo > /etc-like
          '';
        }}"""
    )
    layer = image.layer(-1)
    assert_privileged(layer)
    assert set(layer) == {".", "bin", "data", "data/file", "data/null", "etc-like"} | {
        name for name in layer if name.startswith(("bin/", "share"))
    }
    assert (layer["etc-like"].uid, layer["etc-like"].gid) == (0, 0)


def test_fakechroot_leaves_no_mountpoints_behind():
    image = stream(
        """streamLayeredImage {
          name = "app"; enableFakechroot = true;
          fakeRootCommands = "mkdir -p /nix/var; ls /nix/store > /dev/null";
        }"""
    )
    assert set(image.layer(-1)) == {".", "nix", "nix/var"}


def test_without_store_paths_only_the_links_are_there():
    image = stream(
        'streamLayeredImage { name = "app"; contents = [ hello ]; includeStorePaths = false; }'
    )
    assert len(image.diff_ids) == 1
    assert image.layer(-1)["bin/hello"].linkname == f"{build('hello')}/bin/hello"


@pytest.mark.parametrize(
    "expression",
    [
        'streamLayeredImage { name = "app"; contents = [ hello ]; includeNixDB = true; }',
        '(buildLayeredImageWithNixDb { name = "app"; contents = [ hello ]; }).stream',
    ],
)
def test_nix_database_of_contents(expression, tmp_path):
    image = stream(expression)
    database = tmp_path / "db.sqlite"
    database.write_bytes(image.file(-1, "nix/var/nix/db/db.sqlite"))
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT path, registrationTime FROM ValidPaths").fetchall()
    hello = build("hello")
    assert {path for path, _ in rows} == closure(hello)
    assert {registered for _, registered in rows} == {315532800}
    root = image.layer(-1)[f"nix/var/nix/gcroots/docker/{hello.name}"]
    assert root.linkname == str(hello)


def test_no_nix_database_if_nothing_is_said():
    image = stream('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    assert not any(name.startswith("nix") for name in image.layer(-1))


def test_passthru_and_meta():
    expression = """(streamLayeredImage {
      name = "app"; passthru = { mine = 1; isExe = "overridden"; }; meta.description = "text";
    })"""
    assert evaluate(f"{expression}.mine") == 1
    assert evaluate(f"{expression}.isExe") is True
    assert evaluate(f"{expression}.meta.description") == "text"


def test_an_image_file_has_its_stream_and_is_no_program():
    expression = """(buildLayeredImage {
      name = "App"; tag = "t"; passthru.mine = 1; meta.description = "text";
    })"""
    assert evaluate(f"{expression}.stream.name") == "stream-App"
    assert evaluate(f"{expression} ? isExe") is False
    assert evaluate(f"{expression}.mine") == 1
    assert evaluate(f"{expression}.imageName") == "app"
    assert evaluate(f"{expression}.imageTag") == "t"
    assert evaluate(f"{expression}.meta.description") == "text"
    assert evaluate(f"{expression}.conf == {expression}.stream.conf") is True


@pytest.mark.parametrize(
    ("compressor", "name"), [("none", "app.tar"), ("gz", "app.tar.gz"), ("zstd", "app.tar.zst")]
)
def test_compressor(compressor, name):
    expression = f'(buildLayeredImage {{ name = "app"; compressor = "{compressor}"; }})'
    assert build(expression).name.endswith(f"-{name}")
    assert archive(expression).data == stream(f"{expression}.stream").data


@pytest.mark.parametrize("compressor", ["gz", "zstd"])
def test_compression_level(compressor):
    sizes = [
        build(
            f'buildLayeredImage {{ name = "app"; contents = hello; compressor = "{compressor}"; '
            f"compressionLevel = {level}; }}"
        )
        .stat()
        .st_size
        for level in ("1", "null", "9")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize(
    ("compressor", "level", "expected"),
    [
        ("gz", "0", 'a number from 1 to 12 (or null) where compressor is "gz", not 0'),
        ("gz", "13", "a number from 1 to 12"),
        ("zstd", "20", "a number from 1 to 19"),
        ("zstd", '"3"', 'a number from 1 to 19 (or null) where compressor is "zstd", not "3"'),
        ("none", "1", 'compressionLevel must be null where compressor is "none"'),
    ],
)
def test_a_bad_compression_level_fails_at_evaluation(compressor, level, expected):
    with pytest.raises(NixError) as failed:
        evaluate(
            f'(buildLayeredImage {{ name = "app"; compressor = "{compressor}"; '
            f"compressionLevel = {level}; }}).drvPath"
        )
    assert failed.value.error.startswith(f"{BEGIN} compressionLevel must be")
    assert expected in failed.value.error


def test_gz_is_the_compressor_if_nothing_is_said():
    assert evaluate('(buildLayeredImage { name = "app"; }).name') == "app.tar.gz"


def test_results_can_be_overridden():
    expression = '(streamLayeredImage { name = "app"; tag = "1"; })'
    assert stream(f'{expression}.override {{ tag = "2"; }}').manifest["RepoTags"] == ["app:2"]
    assert evaluate(f'({expression}.overrideAttrs (old: {{ name = "x"; }})).name') == "x"
    assert (
        evaluate('((buildLayeredImage { name = "app"; }).override { tag = "9"; }).imageTag') == "9"
    )


def test_the_stream_script_is_one_executable_file():
    script = build('streamLayeredImage { name = "app"; }')
    assert script.is_file()
    assert script.stat().st_mode & 0o111


def test_the_stream_script_holds_the_image_in_its_closure():
    script = build('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    assert closure(build("hello")) <= closure(script)


@pytest.mark.parametrize(
    "expression",
    [
        """streamLayeredImage {
          name = "app"; contents = [ hello bash ]; maxLayers = 4; includeNixDB = true;
          fakeRootCommands = "mkdir d; chown 1:2 d; echo x > d/y";
        }""",
        'buildLayeredImage { name = "app"; contents = [ hello ]; }',
        'buildLayeredImage { name = "app"; contents = [ hello ]; compressor = "zstd"; }',
    ],
)
def test_two_builds_give_the_same_bytes(expression):
    build(expression)
    target = f"({expression})"
    for attribute in (".conf", ""):
        nix_expression = target + attribute
        build(nix_expression)
        build(nix_expression, "--check")


def test_a_static_program_under_fakeroot_is_warned_of():
    log = build_log(
        """(streamLayeredImage {
          name = "app"; fakeRootCommands = ''
            touch file
            ${pkgs.busybox}/bin/busybox ls file
          '';
        }).customisationLayer"""
    )
    assert "warning: in docker image app: fakeRootCommands names" in log
    assert "which is statically linked" in log
    quiet = build_log(
        '(streamLayeredImage { name = "app"; fakeRootCommands = "ls"; }).customisationLayer'
    )
    assert "warning" not in quiet


def test_nothing_but_the_image_goes_to_stdout():
    script = build('streamLayeredImage { name = "app"; contents = [ hello ]; }')
    result = subprocess.run([script], capture_output=True, check=True)
    assert result.stdout[257:262] == b"ustar"
    assert len(result.stdout) % 10240 == 0
    assert result.stderr.decode().splitlines()[0] == "No 'fromImage' provided"


# Bad input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("maxLayers = 1;", "maxLayers must be greater than 1 (current value: 1)"),
        ('maxLayers = "9";', "maxLayers must be a number"),
        ("contents = [ 4 ];", "contents must be paths or derivations, not the number 4"),
        ('contents = [ "relative" ];', "contents must be paths or derivations"),
        (
            'config.Cmd = "/bin/sh";',
            'config.Cmd must be a list of strings, not the string "/bin/sh"; write Cmd = [ … ];',
        ),
        (
            "config.Entrypoint = [ 1 ];",
            "config.Entrypoint must be a list of strings, not a list that has other",
        ),
        (
            "config.User = 1000;",
            'config.User must be a string, not the number 1000; write User = "1000";',
        ),
        ('config.Labels."a.b" = 5;', 'config.Labels."a.b" must be a string, not the number 5'),
        ('config.StopTimeout = "5";', "config.StopTimeout must be a whole number, not the string"),
        ('config.Tty = "yes";', "config.Tty must be true or false, not the string"),
        ('config.Healthcheck.Test = "x";', "config.Healthcheck.Test must be a list of strings"),
        (
            'config.Healthcheck = "x";',
            "config.Healthcheck must be an attribute set, not the string",
        ),
        (
            "config.Labels = [ ];",
            "config.Labels must be an attribute set, not a list; write Labels",
        ),
        ("fromImage = 5;", "fromImage must be an image: a derivation or the path of a tarball"),
        ('fromImage = "/x.tar";', 'fromImage is the string "/x.tar", which a build can\'t see'),
        ('config.Env = { A = "1"; };', "config.Env must be a list of strings, not a set"),
        ('config = "x";', "config must be an attribute set"),
        (
            'layering = "weight";',
            "layering must be one of: [popularity popularity-pipeline size co-change], not",
        ),
        (
            "layeringPipeline = 4;",
            "layeringPipeline must be a list or a JSON file, not the number 4",
        ),
        ('layering = "size"; layeringPipeline = [ ];', "leave out one of them"),
        ("mtime = 0;", "mtime must be a string: a date such as"),
        ("uid = 1.5;", "uid must be a number from 0 on, not a float"),
        ("gid = -1;", "gid must be a number from 0 on, not the number -1"),
        ("uname = null;", "uname must be a string, not null"),
        ('tag = "";', "tag must be null, or a tag of letters"),
        ("architecture = 386;", "architecture must be a string, not the number 386"),
        ("extraCommands = [ ];", "extraCommands must be a string of shell commands, not a list"),
        ("fakeRootCommands = true;", "fakeRootCommands must be a string of shell commands, not"),
        ('enableFakechroot = "no";', "enableFakechroot must be true or false, not the string"),
        ("content = [ ];", "unknown attribute 'content'; did you mean 'contents'?"),
        ("frobnicate = 1;", "unknown attribute 'frobnicate'; known are: "),
    ],
)
@pytest.mark.parametrize("function", ["streamLayeredImage", "buildLayeredImage"])
def test_bad_arguments_fail_at_evaluation(function, arguments, expected):
    with pytest.raises(NixError) as failed:
        evaluate(f'({function} {{ name = "app"; {arguments} }}).drvPath')
    assert failed.value.error.startswith("error: in docker image app")
    assert expected in failed.value.error


def test_values_that_nix_turns_into_strings():
    given = """name = "app"; uid = "12"; gid = "034"; extraCommands = null; layering = null;
      contents = [ null [ hello [ ] ] ];"""
    plain = 'name = "app"; uid = 12; gid = 34; contents = [ hello ];'
    assert build(f"(streamLayeredImage {{ {given} }}).conf") == build(
        f"(streamLayeredImage {{ {plain} }}).conf"
    )
    assert build('(streamLayeredImage { name = "app"; contents = null; }).conf') == build(
        '(streamLayeredImage { name = "app"; }).conf'
    )


@pytest.mark.parametrize("name", ["", "app/", "-app", "app:1", "a..b", "gtk+"])
def test_a_name_that_no_engine_takes_fails_at_evaluation(name):
    for function in ("streamLayeredImage", "buildLayeredImage", "buildImage"):
        error = failure(f'{function} {{ name = "{name}"; }}')
        assert f"in docker image {name}: name must be one that engines take" in error


@pytest.mark.parametrize("name", ["App", "localhost:5000/a/b__c", "[::1]:5000/a", "a--b.c"])
def test_names_that_engines_take(name):
    assert evaluate(f'(buildImage {{ name = "{name}"; }}).imageName') == name.lower()


def test_null_in_config_is_as_good_as_nothing():
    config = '{ User = null; Labels.a = null; Labels.b = "c"; Healthcheck = null; Env = null; }'
    assert evaluate(f'(streamLayeredImage {{ name = "app"; config = {config}; }}).drvPath')


def test_an_unknown_compressor_fails_at_evaluation():
    with pytest.raises(NixError) as failed:
        evaluate('(buildLayeredImage { name = "app"; compressor = "lz4"; }).drvPath')
    assert "in docker image app: compressor must be one of: [gz none zstd]" in failed.value.error


def test_a_missing_name_fails_at_evaluation():
    with pytest.raises(NixError) as failed:
        evaluate("(streamLayeredImage { }).drvPath")
    assert "the attribute 'name' is missing" in failed.value.error


def test_a_key_that_the_image_specification_lacks_is_warned_of():
    log = evaluation_warnings('streamLayeredImage { name = "app"; config.Cmds = [ "x" ]; }')
    assert "config.Cmds is no key of the image specification" in log
    assert "did you mean Cmd?" in log
    quiet = evaluation_warnings('streamLayeredImage { name = "app"; config.Cmd = [ "x" ]; }')
    assert "warning" not in quiet


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('created = "yesterdayish";', f"{BEGIN} created = 'yesterdayish' is no date; give it as"),
        ('mtime = "2024-13-01";', f"{BEGIN} mtime = '2024-13-01' is no date; give it as"),
        ('created = "";', f"{BEGIN} created = '' is no date; give it as"),
        (
            'contents = [ "${pkgs.writeText "a-file" ""}" ];',
            "a-file is a file, but only directories can be put into the image's root",
        ),
        (
            'extraCommands = "true\\nno-such-command";',
            f"{BEGIN} extraCommands failed with exit code 127",
        ),
        (
            'fakeRootCommands = "exit 3";',
            f"{BEGIN} fakeRootCommands failed with exit code 3",
        ),
        (
            'enableFakechroot = true; fakeRootCommands = "false";',
            f"{BEGIN} fakeRootCommands failed with exit code 1",
        ),
    ],
)
def test_bad_arguments_fail_when_built_with_one_line(arguments, expected):
    assert expected in failure(f'streamLayeredImage {{ name = "app"; {arguments} }}')


def test_a_failing_script_names_its_line():
    with pytest.raises(NixError) as failed:
        build('streamLayeredImage { name = "app"; extraCommands = "true\\nno-such-command"; }')
    assert "extraCommands: line 2: no-such-command: command not found" in failed.value.log


def test_a_script_in_a_chroot_may_walk_over_all():
    image = stream(
        """streamLayeredImage {
          name = "app"; contents = [ hello ]; enableFakechroot = true;
          fakeRootCommands = ''
            ${pkgs.findutils}/bin/find / -xdev -name nothing
            rm -rf /build || echo kept > /kept
          '';
        }"""
    )
    last = len(image.manifest["Layers"]) - 1
    assert "bin/hello" in image.layer(last)
    assert image.file(last, "kept") == b"kept\n"


def test_nix_here_has_a_sandbox():
    assert "sandbox = true" in nix("nix", "show-config").stdout
