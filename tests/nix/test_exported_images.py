"""exportImage, out of the sandbox."""

import tarfile

import pytest

from tests.nix.images import NixError, build, evaluate
from tests.unit.archives import COMPRESSORS, dump, entry, layer, link, plain_members, sha256, tar

LAYERS = [
    tar([("etc/kept", b"kept"), ("etc/gone", b""), ("data/old", b"")]),
    tar([("etc/.wh.gone", b""), ("data/.wh..wh..opq", b""), ("data/new", b"new")]),
]


def write(path, data):
    path.write_bytes(data)
    return f'builtins.path {{ path = {path}; name = "base.tar"; }}'


def several():
    """An archive of the images first:1 and second:2."""
    members, entries = {}, []
    for name in ("first:1", "second:2"):
        *files, (document_name, document), _ = plain_members([layer(name.partition(":")[0])])
        members |= dict([*files, (document_name, document)])
        entries.append(entry(document_name, [files[0][0]], [name]))
    return tar([*members.items(), ("manifest.json", dump(entries))])


def names(path):
    with tarfile.open(path) as archive:
        return archive.getnames()


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_layers_are_applied_in_order(tmp_path, compression):
    base = write(tmp_path / "base", COMPRESSORS[compression](tar(plain_members(LAYERS))))
    path = build(f'dockerTools.exportImage {{ name = "fs.tar"; fromImage = {base}; }}')
    assert path.name.endswith("-fs.tar")
    assert names(path) == [".", "./data", "./data/new", "./etc", "./etc/kept"]
    with tarfile.open(path) as archive:
        assert {member.mtime for member in archive} == {315532800}


def test_the_image_may_be_any_of_ours():
    arguments = 'name = "hello"; contents = [ hello ];'
    archive = build(
        f"dockerTools.exportImage {{ fromImage = buildLayeredImage {{ {arguments} }}; }}"
    )
    stream = build(
        f"dockerTools.exportImage {{ fromImage = streamLayeredImage {{ {arguments} }}; }}"
    )
    assert archive.name.endswith("-hello.tar.gz")
    assert stream.name.endswith("-stream-hello")
    assert archive.read_bytes() == stream.read_bytes()
    assert "./bin/hello" in names(archive)


def test_two_builds_give_the_same_bytes():
    expression = 'dockerTools.exportImage { fromImage = buildLayeredImage { name = "hello"; }; }'
    path = build(expression)
    # Fails where the output is another one.
    assert build(expression, "--check") == path


def test_name_and_tag_choose_the_image(tmp_path):
    base = write(tmp_path / "base", several())
    for choice, expected in (
        ("", "./first"),
        ('fromImageName = "second"; fromImageTag = "2";', "./second"),
        ('fromImageName = "Second"; fromImageTag = "2";', "./second"),  # as it was given once
    ):
        path = build(f'dockerTools.exportImage {{ name = "x"; fromImage = {base}; {choice} }}')
        assert names(path) == [".", expected]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ('fromImageName = "second";', "given without fromImageTag; it holds first:1, second:2"),
        ('fromImageTag = "2";', "given without fromImageName; it holds first:1, second:2"),
        (
            'fromImageName = "second"; fromImageTag = "1";',
            "holds no image second:1, only first:1, second:2",
        ),
    ],
)
def test_a_choice_that_is_none_lists_what_there_is(tmp_path, choice, words):
    base = write(tmp_path / "base", several())
    error = failed_line(f'dockerTools.exportImage {{ name = "x"; fromImage = {base}; {choice} }}')
    assert words in error


def failed_line(expression):
    """The one line that a failed build ends with."""
    with pytest.raises(NixError) as failed:
        build(expression)
    assert "Traceback" not in failed.value.log
    lines = failed.value.log.splitlines()
    (line,) = {
        line.strip(" >") for line in lines if "error: in dockerTools.exportImage: fromImage" in line
    }
    return line


def test_disk_size_has_no_effect_and_no_virtual_machine_is_needed(tmp_path):
    base = write(tmp_path / "base", tar(plain_members(LAYERS)))
    expression = f'dockerTools.exportImage {{ name = "x"; fromImage = {base}; %s }}'
    assert build(expression % "diskSize = 9;") == build(expression % "")
    features = evaluate(f"({expression % ''}).requiredSystemFeatures or [ ]")
    assert features == []


CALL = "error: in docker image x (dockerTools.exportImage): "


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fromImage = ./base.tar;", ["the attribute 'name' is missing", 'add it, as in name = "']),
        ('fromImage = "/base.tar"; name = "x";', ['the string "/base.tar"', "give a path"]),
        ('fromImage = 7; name = "x";', ["fromImage must be an image", "not 7"]),
        ('name = "x";', ["the attribute 'fromImage' is missing"]),
        ("fromImag = 7;", ["unknown attribute 'fromImag'; did you mean 'fromImage'"]),
    ],
)
def test_bad_arguments_fail_at_evaluation(arguments, words):
    with pytest.raises(NixError) as failed:
        evaluate(f"(dockerTools.exportImage {{ {arguments} }}).drvPath")
    assert failed.value.error.startswith(("error: in dockerTools.exportImage: ", CALL))
    for word in words:
        assert word in failed.value.error


BAD_LAYERS = {
    "a hard link to outside": ([("a", link("../../etc/passwd", tarfile.LNKTYPE))], "hard link"),
    "a link that leads out": ([("l", link("/outside")), ("l/x", b"")], "lies below"),
    "a file as a directory": ([("f", b""), ("f/x", b"")], "no directory"),
    "a name twice": ([("f", b""), ("f", b"")], "is there twice"),
    "a deep path": ([("d/" * 10_000, b"")], "longer than Linux takes"),
}


@pytest.mark.parametrize("case", BAD_LAYERS)
def test_a_bad_layer_is_one_clear_line(tmp_path, case):
    members, words = BAD_LAYERS[case]
    bad = tar(members)
    base = write(tmp_path / "base", tar(plain_members([LAYERS[0], bad])))
    error = failed_line(f'dockerTools.exportImage {{ name = "x"; fromImage = {base}; }}')
    assert words in error
    assert f"layer {sha256(bad)}/layer.tar: " in error
    assert "base.tar" in error


def test_a_truncated_image_is_one_clear_line(tmp_path):
    data = COMPRESSORS["gz"](tar(plain_members(LAYERS)))
    base = write(tmp_path / "base", data[: len(data) // 2])
    error = failed_line(f'dockerTools.exportImage {{ name = "x"; fromImage = {base}; }}')
    assert "is cut off" in error
