"""buildImage: each attribute has a test that fails where it is ignored; and bad input."""

import datetime
import stat
import subprocess
import tarfile

import pytest

from tests.nix.images import (
    NixError,
    archive,
    build,
    build_log,
    built_layer,
    closure,
    deriver,
    evaluate,
    evaluation_warnings,
    failure,
    nix,
)
from tests.unit.archives import dump, entry, layer, plain_members, tar

BIN_HELLO = (
    """pkgs.buildEnv { name = "image-root"; paths = [ hello ]; pathsToLink = [ "/bin" ]; }"""
)


def tree(name, **files):
    """A Nix expression of a directory of text files."""
    lines = "\n".join(
        f"mkdir -p $out/$(dirname {path}); printf %s '{text}' > $out/{path}"
        for path, text in files.items()
    )
    return f"(runCommand \"{name}\" {{ }} ''\nmkdir -p $out\n{lines}\n'')"


def a_base(tmp_path, members, name="base.tar"):
    path = tmp_path / name
    path.write_bytes(members if isinstance(members, bytes) else tar(members))
    return f'builtins.path {{ path = {path}; name = "base.tar"; }}'


def test_name_is_lower_case_in_the_image_and_names_the_derivations():
    image = 'buildImage { name = "Group/App"; tag = "T"; }'
    assert build(image).name.endswith("-docker-image-App.tar.gz")
    assert build(f"({image}).layer").name.endswith("-docker-layer-App")
    assert archive(image).manifest["RepoTags"] == ["group/app:T"]
    assert evaluate(f"({image}).imageName") == "group/app"


def test_tag_is_the_hash_of_the_output_where_none_is_given():
    image = 'buildImage { name = "app"; }'
    path = build(image)
    tag = path.name.partition("-")[0]
    assert archive(image).manifest["RepoTags"] == [f"app:{tag}"]
    assert evaluate(f"({image}).imageTag") == tag


def test_passthru_and_meta():
    image = 'buildImage { name = "app"; tag = "1"; uid = 3; meta.description = "An app"; }'
    assert evaluate(f"({image}).imageTag") == "1"
    assert evaluate(f"({image}).buildArgs.uid") == 3
    assert evaluate(f"({image}).meta.description") == "An app"
    assert (build(f"({image}).layer") / "layer.tar").is_file()
    assert evaluate(f'(({image}).override {{ tag = "2"; }}).imageTag') == "2"


def test_copy_to_root_is_copied_and_its_closure_follows():
    image = archive(f'buildImage {{ name = "app"; copyToRoot = {BIN_HELLO}; }}')
    files = image.layer(0)
    assert files["bin/hello"].issym()
    paths = {f"/{name}" for name in files if name.count("/") == 2 and name.startswith("nix/store/")}
    assert paths == closure(build("hello"))
    assert stat.filemode(files["nix/store"].mode | stat.S_IFDIR) == "dr-xr-xr-x"
    assert all(member.mtime == 315532800 for member in files.values())


@pytest.mark.parametrize(
    "copy_to_root",
    ["hello", "[ hello ]", '"${hello}"', "[ hello bash ]"],
)
def test_copy_to_root_may_be_a_path_or_a_list(copy_to_root):
    image = archive(f'buildImage {{ name = "app"; copyToRoot = {copy_to_root}; }}')
    assert image.layer(0)["bin/hello"].isfile()
    assert ("bin/bash" in image.layer(0)) == ("bash" in copy_to_root)


def test_config_is_kept_and_its_closure_is_in_the_image():
    image = archive('buildImage { name = "app"; config.Cmd = [ "${hello}/bin/hello" ]; }')
    assert image.config["config"] == {"Cmd": [f"{build('hello')}/bin/hello"]}
    assert f"{build('hello')}/bin/hello".lstrip("/") in image.layer(0)


def test_architecture_and_created():
    image = archive(
        'buildImage { name = "app"; architecture = "arm64"; created = "2024-02-03T04:05:06Z"; }'
    )
    assert image.config["architecture"] == "arm64"
    assert image.config["created"] == "2024-02-03T04:05:06+00:00"
    default = archive('buildImage { name = "app"; }').config
    assert (default["architecture"], default["created"]) == ("amd64", "1970-01-01T00:00:01+00:00")


def test_created_now_is_the_time_of_the_build():
    image = archive(
        f'buildImage {{ name = "now-{datetime.datetime.now():%s%f}"; created = "now"; }}'
    )
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(
        image.config["created"]
    )
    assert abs(age) < datetime.timedelta(minutes=5)


def test_uid_and_gid_own_the_tree_and_not_the_closure():
    image = archive(f'buildImage {{ name = "app"; uid = 12; gid = 34; copyToRoot = {BIN_HELLO}; }}')
    files = image.layer(0)
    assert (files["bin/hello"].uid, files["bin/hello"].gid) == (12, 34)
    assert {(m.uid, m.gid) for name, m in files.items() if name.startswith("nix/store/")} == {
        (0, 0)
    }


def test_extra_commands_may_change_what_was_copied():
    image = archive(
        f"""buildImage {{
          name = "app"; copyToRoot = {tree("t", **{"d/old": "old", "d/gone": "x"})};
          extraCommands = "echo new > d/new; rm d/gone; chmod 700 d/old; [ $UID != 0 ]";
        }}"""
    )
    files = image.layer(0)
    assert image.file(0, "d/new") == b"new\n"
    assert "d/gone" not in files
    assert stat.S_IMODE(files["d/old"].mode) == 0o700
    # Writable for the script, and as it was afterwards.
    assert stat.S_IMODE(files["d"].mode) == 0o555


def test_modes_that_extra_commands_give_stay():
    image = archive(
        f"""buildImage {{
          name = "app"; copyToRoot = {tree("t", **{"d/f": "f", "e/f": "f", "g/f": "f"})};
          extraCommands = "chmod u+w d; echo new > d/new; chmod 755 e; echo new > g/new";
        }}"""
    )
    modes = {name: oct(stat.S_IMODE(image.layer(0)[name].mode)) for name in "deg"}
    assert modes == {"d": "0o755", "e": "0o755", "g": "0o555"}


def test_the_layer_is_what_gnu_tar_makes(tmp_path):
    """With the closure in the order of its lines, which is not that of its directories."""
    odd = "(runCommand \"odd\" { } ''mkdir -p $out/a/b; touch $out/a/b/c $out/a-b $out/a.b'')"
    script = f"mkdir -p etc nix/var; echo ${{{odd}}} ${{hello}} > etc/paths"
    expression = f'buildImage {{ name = "app"; uid = 12; extraCommands = "{script}"; }}'
    image = archive(expression)
    layer = built_layer(expression)
    expected = tmp_path / "layer.tar"
    expected.write_bytes((layer / "layer.tar").read_bytes())
    expected.chmod(0o644)
    (tmp_path / "nix/store").mkdir(parents=True)
    (tmp_path / "nix/store").chmod(0o555)
    files = [
        path
        for top in closure(layer) - {str(layer)}
        for path in subprocess.run(
            ["find", top], check=True, capture_output=True, text=True
        ).stdout.splitlines()
    ]
    names = "\n".join(["./nix/store", *sorted(files, key=str.encode)]) + "\n"
    subprocess.run(
        [
            *("tar", "-rf", expected, "--format=gnu", "--hard-dereference", "--mtime=@315532800"),
            *("--owner=root:0", "--group=root:0", "--no-recursion", "--verbatim-files-from"),
            *("--files-from", "-"),
        ],
        input=names,
        text=True,
        check=True,
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    assert image.members[image.manifest["Layers"][0]] == expected.read_bytes()


def test_a_store_path_that_was_copied_does_not_come_again():
    text = build('writeTextDir "a" "b"')
    image = archive(
        """buildImage {
          name = "app";
          copyToRoot = runCommand "x" { } ''
            mkdir -p $out/nix/store; cp -r ${writeTextDir "a" "b"} $out/nix/store/
          '';
          extraCommands = "chmod -R u+w nix; chmod 700 nix/store; rm nix/store/*/a";
        }"""
    )
    files = image.layer(0)
    # What is not there is added; what is there stays as it is.
    assert files[f"{text}/a".strip("/")].mode == 0o444
    assert files["nix/store"].mode == 0o700


def test_symlinks_to_directories_become_directories_or_stay():
    script = "mkdir -p $out/real; echo x > $out/real/f; ln -s real $out/l"
    linked = f"(runCommand \"linked\" {{ }} ''{script}'')"
    more = tree("more", **{"l/g": "g"})
    arguments = f'name = "app"; copyToRoot = [ {linked} {more} ];'
    copied = archive(f"buildImage {{ {arguments} }}").layer(0)
    assert copied["l"].isdir()
    assert copied["l/f"].isfile()
    assert copied["l/g"].isfile()
    assert "real/g" not in copied
    kept = archive(f"buildImage {{ {arguments} keepContentsDirlinks = true; }}").layer(0)
    assert kept["l"].issym()
    assert kept["real/g"].isfile()


def test_a_file_of_two_trees_is_warned_of():
    one = tree("one", f="one", same="same")
    two = tree("two", f="two", same="same")
    layer = built_layer(f'buildImage {{ name = "app"; copyToRoot = [ {one} {two} ]; }}')
    log = nix("nix-store", "--read-log", deriver(layer)).stdout
    assert "-one/f and " in log
    assert "-two/f both bring /f, the latter with other content; the latter is in the image" in log
    assert "/same" not in log


@pytest.mark.parametrize(
    ("compressor", "magic"), [("none", b"./"), ("gz", b"\x1f\x8b"), ("zstd", b"\x28\xb5\x2f\xfd")]
)
def test_compressor(compressor, magic):
    path = build(f'buildImage {{ name = "app"; compressor = "{compressor}"; }}')
    suffix = {"none": ".tar", "gz": ".gz", "zstd": ".zst"}[compressor]
    assert path.suffix == suffix
    data = path.read_bytes()
    assert data.startswith(magic) or (compressor == "none" and tarfile.is_tarfile(path))


def test_layers_of_the_base_image_pass_through_and_env_is_inherited(tmp_path):
    lower = layer("lower")
    base = a_base(tmp_path, plain_members([lower], config={"Env": ["A=1", "B=1"], "Cmd": ["x"]}))
    image = archive(f'buildImage {{ name = "app"; fromImage = {base}; config.Env = [ "B=2" ]; }}')
    assert image.members[image.manifest["Layers"][0]] == lower
    assert image.config["config"] == {"Env": ["A=1", "B=2"]}


def test_store_paths_of_the_base_image_are_not_added_again():
    lower = f'buildImage {{ name = "lower"; copyToRoot = {BIN_HELLO}; }}'
    image = archive(
        f'buildImage {{ name = "app"; fromImage = {lower}; copyToRoot = [ hello bash ]; }}'
    )
    assert len(image.manifest["Layers"]) == 2
    added = {name for name in image.layer(1) if name.count("/") == 2}
    names = {name.partition("-")[2] for name in added if name.startswith("nix/store/")}
    assert any(name.startswith("bash-") for name in names)
    assert not any(name.startswith(("hello-", "glibc-")) for name in names)
    assert "nix/store" not in image.layer(1)


def two_images():
    one, two = layer("one"), layer("two")
    first, second = plain_members([one]), plain_members([two])
    manifest = [
        entry(first[-2][0], [first[0][0]], ["first:1"]),
        entry(second[-2][0], [second[0][0]], ["second:2"]),
    ]
    members = dict(first) | dict(second) | {"manifest.json": dump(manifest)}
    return members.items(), one, two


def test_name_and_tag_choose_the_base_image(tmp_path):
    members, one, two = two_images()
    base = a_base(tmp_path, members)
    for choice, expected in (
        ("", one),
        ('fromImageName = "second"; fromImageTag = "2";', two),
    ):
        image = archive(f'buildImage {{ name = "app"; fromImage = {base}; {choice} }}')
        assert image.members[image.manifest["Layers"][0]] == expected
    error = failure(
        f'buildImage {{ name = "app"; fromImage = {base}; '
        'fromImageName = "second"; fromImageTag = "1"; }'
    )
    assert "first:1" in error
    assert "second:2" in error


def test_run_as_root_runs_as_root_without_a_network():
    image = archive(
        """buildImage {
          name = "app";
          runAsRoot = ''
            [ "$(id -u)" = 0 ]
            [ "$PWD" = / ]
            [ "$(tail -n +3 /proc/net/dev | wc -l)" = 1 ]
            mkdir /made; chown 5:6 /made; mknod /made/null c 1 3
            echo x > /made/file; chmod 4755 /made/file
          '';
          extraCommands = "echo extra > extra";
        }"""
    )
    files = image.layer(0)
    assert (files["made"].uid, files["made"].gid) == (5, 6)
    assert files["made/null"].ischr()
    assert stat.S_IMODE(files["made/file"].mode) == 0o4755
    assert image.file(0, "extra") == b"extra\n"
    assert not {"dev", "proc", "sys", "build", "nix"} & set(files)


def test_run_as_root_needs_no_virtual_machine():
    image = 'buildImage { name = "app"; runAsRoot = "true"; diskSize = 1; buildVMMemorySize = 1; }'
    features = evaluate(f"(({image}).layer.drvAttrs.requiredSystemFeatures or [ ])")
    assert features == []
    assert build(image).is_file()


def test_files_that_a_root_script_only_touches_stay_out(tmp_path):
    base = a_base(tmp_path, plain_members([tar([("a", b"a"), ("b", b"b")])]))
    image = archive(
        f'buildImage {{ name = "app"; fromImage = {base}; runAsRoot = "touch /a; echo c > /b"; }}'
    )
    assert set(image.layer(1)) == {".", "b", "tmp"}


def test_a_root_script_may_use_any_directory_and_walk_over_all():
    """The build's directory is none of the image's, and its root is nowhere a second time."""
    base = 'buildImage { name = "base"; extraCommands = "mkdir build; echo b > build/file"; }'
    image = archive(
        f"""buildImage {{
          name = "app"; fromImage = {base};
          runAsRoot = ''
            [ "$(cat /build/file)" = b ]
            rm -r /build
            mkdir -p /build/root /build/layer
            echo x > "$(mktemp -d)/left"
            ${{pkgs.findutils}}/bin/find / -xdev -name nothing
            chmod -R g+w / || true
          '';
        }}"""
    )
    files = image.layer(1)
    assert {"build/.wh.file", "build/root", "build/layer"} <= set(files)
    assert [name for name in files if name.startswith("tmp/") and name.endswith("/left")]


def test_a_root_script_can_run_setuid_programs_of_the_base_image():
    base = """buildImage {
      name = "base"; runAsRoot = "cp ${coreutils}/bin/id /id; chmod 4755 /id; chmod 6711 /id";
      config.Env = [ "KEEP=${coreutils}" ];
    }"""
    image = archive(
        f'buildImage {{ name = "app"; fromImage = {base}; runAsRoot = "/id -u > /uid"; }}'
    )
    assert image.file(1, "uid") == b"0\n"
    assert "id" not in image.layer(1)


def test_file_capabilities_change_no_owner():
    image = archive(
        """buildImage {
          name = "app"; copyToRoot = writeTextDir "srv/copied" "x";
          runAsRoot = "echo > /script; chown 7:8 /script";
          extraCommands = ''
            echo > new
            for file in new srv/copied script; do
              ${pkgs.libcap}/bin/setcap cap_net_raw+ep $file
            done
          '';
        }"""
    )
    owners = {"new": (0, 0), "srv/copied": (0, 0), "script": (7, 8)}
    layer = image.layer(0)
    assert {name: (layer[name].uid, layer[name].gid) for name in owners} == owners
    assert all("SCHILY.xattr.security.capability" in layer[name].pax_headers for name in owners)


def test_directories_that_nobody_may_enter_are_in_the_layer():
    image = archive(
        """buildImage {
          name = "app";
          runAsRoot = "umask 0777; mkdir /a; mkdir /a/b; echo x > /a/b/c; umask 022; echo y > /a/d";
        }"""
    )
    assert {name: image.layer(0)[name].mode for name in ("a", "a/b", "a/b/c", "a/d")} == {
        "a": 0,
        "a/b": 0,
        "a/b/c": 0,
        "a/d": 0o644,
    }
    assert image.file(0, "a/b/c") == b"x\n"


def test_what_a_root_script_deletes_and_the_image_needs_comes_again():
    command = 'config.Cmd = [ "${hello}/bin/hello" ];'
    base = f'buildImage {{ name = "base"; copyToRoot = hello; {command} }}'
    image = archive(
        f"""buildImage {{
          name = "app"; fromImage = {base}; {command}
          runAsRoot = "rm -rf /nix/store/*-hello-2.10";
        }}"""
    )
    hello = str(build("hello")).strip("/")
    files = image.layer(1)
    assert f"nix/store/.wh.{hello.rpartition('/')[2]}" in files
    assert f"{hello}/bin/hello" in files


def test_a_root_script_longer_than_an_argument_may_be():
    image = archive(
        """buildImage { name = "app"; runAsRoot = ''
          ${lib.concatStrings (lib.genList (number: ": ${toString number}\n") 20000)}
          echo $0 > /done
        ''; }"""
    )
    assert image.file(0, "done") == b"runAsRoot\n"


def test_programs_of_a_root_script_end_when_nobody_reads():
    log = build_log(
        """(buildImage { name = "app"; runAsRoot = ''
          bash=${bash}/bin/bash
          $bash -c 'while :; do echo y; done' | head -n 1
        ''; }).layer"""
    )
    assert "Broken pipe" not in log


def test_nix_database_of_copy_to_root():
    image = archive('buildImageWithNixDb { name = "app"; copyToRoot = hello; }')
    assert "nix/var/nix/db/db.sqlite" in image.layer(0)
    assert "nix/var/nix/db/db.sqlite" not in archive(
        'buildImage { name = "app"; copyToRoot = hello; }'
    ).layer(0)


@pytest.mark.parametrize(
    "arguments",
    [
        'copyToRoot = [ hello bash ]; extraCommands = "mkdir x; echo $((1 + 1)) > x/y";',
        "includeNixDB = true; copyToRoot = hello;",
        'runAsRoot = "mkdir /d; chown 3 /d; mknod /d/n c 1 3; ln /d/n /d/m"; copyToRoot = hello;',
    ],
)
def test_two_builds_give_the_same_bytes(arguments):
    image = f'buildImage {{ name = "app"; compressor = "zstd"; {arguments} }}'
    build(image)
    nix("nix-store", "--realise", "--check", deriver(built_layer(image)))
    for part in ("layers", "conf"):
        build(f"({image}).{part}", "--check")
    build(image, "--check")


def test_values_that_nix_turns_into_strings():
    image = archive(
        """buildImage {
          name = "app"; uid = "12"; gid = "034";
          copyToRoot = [ null [ hello [ ] ] (writeTextDir "a" "") ];
        }"""
    )
    assert (image.layer(0)["a"].uid, image.layer(0)["a"].gid) == (12, 34)
    assert "bin/hello" in image.layer(0)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("copyToRoot = 4;", "copyToRoot must be paths or derivations, not the number 4"),
        ("created = 5;", "created must be a string: a date such as"),
        ('uid = "x";', "uid must be a number from 0 on, not the string"),
        ("runAsRoot = [ ];", "runAsRoot must be a string of shell commands, not a list"),
        ('fromImage = "/x.tar";', 'fromImage is the string "/x.tar", which a build can\'t see'),
        ('tag = "a b";', "tag must be null, or a tag of letters"),
        ('copyToRoot = [ "x" ];', "copyToRoot must be paths or derivations"),
        ("contents = hello; copyToRoot = hello;", "contents and copyToRoot are both given"),
        ('config.Cmd = "x";', "config.Cmd must be a list of strings"),
        ('compressor = "xz";', "compressor must be one of: [gz none zstd]"),
        ("copyToroot = hello;", "unknown attribute 'copyToroot'; did you mean 'copyToRoot'?"),
    ],
)
def test_bad_arguments_fail_at_evaluation(arguments, expected):
    with pytest.raises(NixError) as failed:
        evaluate(f'(buildImage {{ name = "app"; {arguments} }}).drvPath')
    assert failed.value.error.startswith("error: in docker image app")
    assert expected in failed.value.error


def test_contents_is_deprecated():
    warning = evaluation_warnings('buildImage { name = "app"; contents = hello; }')
    assert "in docker image app: contents is deprecated; give copyToRoot instead" in warning
    assert "deprecated" not in evaluation_warnings(
        'buildImage { name = "app"; copyToRoot = hello; }'
    )
    assert "bin/hello" in archive('buildImage { name = "app"; contents = hello; }').layer(0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('created = "soonish";', "created = 'soonish' is no date"),
        ('created = "@253402300800";', "is 10000-01-01T00:00:00+00:00, which no image can have"),
        ('runAsRoot = "true\\nfalse\\ntrue";', "runAsRoot failed with exit code 1"),
        ('runAsRoot = "exit 7";', "runAsRoot failed with exit code 7"),
        ('extraCommands = "exit 8";', "extraCommands failed with exit code 8"),
        (
            f"copyToRoot = [ {tree('one', x='file')} {tree('two', **{'x/y': 'deep'})} "
            f"{tree('three', x='file')} ];",
            "-three/x is no directory, but ",
        ),
        (
            "copyToRoot = runCommand \"loop\" { } ''mkdir -p $out/a; ln -s . $out/a/l'';",
            "-loop/a/l leads back to a directory that it is in",
        ),
    ],
)
def test_bad_arguments_fail_when_built_with_one_line(arguments, expected):
    assert expected in failure(f'buildImage {{ name = "app"; {arguments} }}')


def evil(*members):
    return plain_members([tar(members)])


@pytest.mark.parametrize("use", ['runAsRoot = "true";', "copyToRoot = hello;"])
@pytest.mark.parametrize("name", ["../../escaped", "/abs/../../escaped", "a/../../../escaped"])
def test_names_that_lead_out_stay_inside_or_are_refused(tmp_path, use, name):
    base = a_base(tmp_path, evil((name, b"x")))
    image = f'buildImage {{ name = "app"; fromImage = {base}; {use} }}'
    try:
        path = build(image)
    except NixError as failed:
        assert "Traceback" not in failed.log
        assert "escaped" in failed.error
    else:
        assert path.is_file()


@pytest.mark.parametrize("depth", [1000, 1500, 2040, 2046, 10000])
def test_a_root_script_on_deep_directories_works_or_says_why(tmp_path, depth):
    base = a_base(tmp_path, evil(("a/" * depth + "f", b"x")))
    image = f'(buildImage {{ name = "app"; fromImage = {base}; runAsRoot = "true"; }}).layer'
    if depth <= 1500:
        build(image)
    else:
        error = failure(image)
        assert "base.tar" in error or "of the base image" in error


def test_a_truncated_base_image_is_refused(tmp_path):
    base = a_base(tmp_path, tar(plain_members([layer("x", 5000)]))[:4000])
    for use in ('runAsRoot = "true";', "copyToRoot = hello;"):
        error = failure(f'buildImage {{ name = "app"; fromImage = {base}; {use} }}')
        assert "is cut off" in error
