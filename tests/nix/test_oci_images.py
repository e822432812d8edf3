"""Images as the OCI has them, built by Nix: their digests are known before anything is written."""

import hashlib
import json
import pathlib
import tarfile

import pytest

from builders.blobs.descriptors import COMPRESSOR
from builders.image.platform import IMPLIED_VARIANTS
from tests.nix.images import PREAMBLE, NixError, archive, build, closure, evaluate, nix
from tests.unit.oci_layouts import check_layout

APP = """
  name = "group/app";
  tag = "1.0";
  contents = [ hello ];
  config.Cmd = [ "hello" ];
"""
SINGLE = """
  name = "app";
  tag = "1.0";
  copyToRoot = writeTextDir "etc/greeting" "hello";
  config.Cmd = [ "/bin/true" ];
"""
DATA = """
  name = "data";
  copyToRoot = writeTextDir "data" "1";
"""

IMAGES = {
    "streamed": f"streamLayeredImage {{ {APP} }}",
    "layered": f'buildLayeredImage {{ {APP} layerCompressor = "zstd"; }}',
    "uncompressed": f'buildLayeredImage {{ {APP} layerCompressor = "none"; }}',
    "single": f"buildImage {{ {SINGLE} layerCompressionLevel = 9; }}",
    "without-tag": f"buildImage {{ {DATA} }}",
    "as-root": f'buildImage {{ {DATA} runAsRoot = "mkdir -p /x; chown 7:8 /x"; }}',
    "on-a-base": f"buildImage {{ {DATA} fromImage = buildLayeredImage {{ {APP} }}; }}",
    "nix-shell": "buildNixShellImage { drv = hello; }",
}


def outputs(image):
    """Build what an image is in the OCI, and return contents by name."""
    paths = {
        name: build(f"({image}).{name}")
        for name in ("ociArchive", "ociLayout", "manifest", "digest", "blobs")
    }
    with tarfile.open(paths["ociArchive"]) as opened:
        members = {member.name: opened.extractfile(member).read() for member in opened}
    layout = {
        str(path.relative_to(paths["ociLayout"])): path.read_bytes()
        for path in paths["ociLayout"].rglob("*")
        if path.is_file()
    }
    return {
        "archive": members,
        "layout": layout,
        "manifest": paths["manifest"].read_bytes(),
        "digest": paths["digest"].read_text(),
        "blobs": json.loads(paths["blobs"].read_text()),
    }


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def member(members, digest):
    return members["blobs/sha256/" + digest.removeprefix("sha256:")]


@pytest.mark.parametrize("kind", IMAGES)
def test_all_outputs_are_of_one_image(kind):
    found = outputs(IMAGES[kind])
    assert found["digest"] == sha256(found["manifest"])
    (entry,) = json.loads(found["layout"]["index.json"])["manifests"]
    assert entry["digest"] == found["digest"]
    # The specification's schemas, and each blob against its descriptor.
    check_layout(build(f"({IMAGES[kind]}).ociArchive"))
    check_layout(build(f"({IMAGES[kind]}).ociLayout"))
    members = dict(found["archive"])
    assert "manifest.json" in members
    del members["manifest.json"]
    assert members == found["layout"]
    manifest = json.loads(found["manifest"])
    assert manifest["layers"] == found["blobs"]["layers"]
    for descriptor in (manifest["config"], *manifest["layers"]):
        data = member(members, descriptor["digest"])
        assert (sha256(data), len(data)) == (descriptor["digest"], descriptor["size"])
    assert member(members, found["digest"]) == found["manifest"]
    # The configuration, and so the image ID, is the Docker archive's.
    docker = archive(IMAGES[kind]) if kind != "streamed" else None
    if docker:
        config = docker.members[docker.manifest["Config"]]
        assert manifest["config"]["digest"] == sha256(config)
        (said,) = json.loads(found["archive"]["manifest.json"])
        assert said["RepoTags"] == docker.manifest["RepoTags"]


def test_layers_say_what_compressed_them():
    kinds = {}
    for kind in ("streamed", "layered", "uncompressed", "single"):
        manifest = json.loads(build(f"({IMAGES[kind]}).manifest").read_text())
        annotations = {layer.get("annotations", {}).get(COMPRESSOR) for layer in manifest["layers"]}
        (annotation,) = annotations
        (media_type,) = {layer["mediaType"] for layer in manifest["layers"]}
        kinds[kind] = (media_type.rpartition(".")[2], annotation)
    assert kinds["uncompressed"] == ("tar", None)
    assert kinds["layered"][0] == "tar+zstd"
    assert kinds["layered"][1].startswith("zstd 1.") and "level 3," in kinds["layered"][1]
    assert kinds["single"][0] == "tar+gzip"
    # The version is what Nix knows of the library.
    version = evaluate("pkgs.lib.getVersion pkgs.libdeflate")
    assert kinds["single"][1] == f"libdeflate {version}, level 9, members of 1048576 bytes"
    assert "level 1," in kinds["streamed"][1]


@pytest.mark.parametrize("format_", ["oci", "oci-layout"])
@pytest.mark.parametrize(
    "image", [f"buildLayeredImage {{ {APP}", f"buildImage {{ {SINGLE}", f"buildImage {{ {DATA}"]
)
def test_a_format_is_that_of_the_result(image, format_):
    """It has the digest that the image has else, and the tag that it says."""
    image = f'({image} format = "{format_}"; }})'
    path = build(image)
    if format_ == "oci":
        with tarfile.open(path) as opened:
            index = json.load(opened.extractfile("index.json"))
    else:
        index = json.loads((path / "index.json").read_text())
    (entry,) = index["manifests"]
    assert entry["digest"] == build(f"{image}.digest").read_text()
    tag = evaluate(f"{image}.imageTag")
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == tag
    name = evaluate(f"{image}.imageName")
    full = name if "/" in name else f"library/{name}"
    assert entry["annotations"]["io.containerd.image.name"] == f"docker.io/{full}:{tag}"
    own = "ociArchive" if format_ == "oci" else "ociLayout"
    assert evaluate(f"{image}.{own}.outPath == {image}.outPath")


def test_the_docker_archive_does_not_know_of_the_layers_compression():
    expression = f"[ (buildLayeredImage {{ {APP} }}) (buildLayeredImage {{ {APP}%s }}) ]"
    for more in ('layerCompressor = "zstd";', 'annotations.a = "b";', 'format = "docker";'):
        same = expression.replace("%s", more)
        assert evaluate(f"let l = {same}; in (lib.head l).outPath == (lib.last l).outPath")


def test_nothing_but_json_is_kept_of_compressed_layers():
    path = build(f"(streamLayeredImage {{ {APP} }}).blobs")
    assert path.is_file() and path.stat().st_size < 4000
    assert closure(path) == {str(path)}
    # The builder needs the bytes; who has the JSON does not.
    assert closure(build(f"(streamLayeredImage {{ {APP} }}).digest")).__len__() == 1


def test_annotations_are_the_manifests():
    manifest = json.loads(
        build(
            f'(buildImage {{ {DATA} annotations = {{ "org.opencontainers.image.title" = "a"; '
            'b = builtins.toFile "c" ""; }; }).manifest'
        ).read_text()
    )
    assert manifest["annotations"]["org.opencontainers.image.title"] == "a"
    assert manifest["annotations"]["b"].endswith("-c")


def test_an_image_of_now_has_one_digest_in_all_its_outputs():
    image = f'buildLayeredImage {{ {APP} created = "now"; mtime = "now"; }}'
    found = outputs(image)
    (entry,) = json.loads(found["archive"]["index.json"])["manifests"]
    assert entry["digest"] == found["digest"] == sha256(found["manifest"])
    assert isinstance(found["blobs"]["time"], int)
    config = json.loads(member(found["archive"], json.loads(found["manifest"])["config"]["digest"]))
    assert config["created"].startswith("20")


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_the_digest_is_the_same_on_any_number_of_cores(cores):
    image = f'(buildLayeredImage {{ {APP} layerCompressor = "%s"; }}).blobs'
    for compressor in ("gz", "zstd"):
        expression = image.replace("%s", compressor)
        first = build(expression).read_text()
        # Built again: a second result that differs is an error.
        build(expression, "--check", "--cores", str(cores))
        assert build(expression).read_text() == first


def test_a_golden_digest_says_when_a_library_compresses_otherwise():
    """A new version of a library makes new digests: then its own ones are added to the file."""
    golden = json.loads((pathlib.Path(__file__).parents[1] / "golden/oci-digests.json").read_text())
    layer = """
      name = "golden";
      tag = "1";
      architecture = "amd64";
      extraCommands = "for i in $(seq 200000); do echo line $i; done > text";
    """
    found = {}
    for compressor in ("none", "gz", "zstd"):
        image = f'(buildImage {{ {layer} layerCompressor = "{compressor}"; }})'
        (described,) = json.loads(build(f"{image}.manifest").read_text())["layers"]
        by = described.get("annotations", {}).get(COMPRESSOR, "none")
        found[by] = {"layer": described["digest"], "image": build(f"{image}.digest").read_text()}
    # What the file lacks is printed as it belongs there.
    assert found.items() <= golden.items(), json.dumps(found, indent=2)


BAD = {
    "format": (
        f'buildLayeredImage {{ {APP} format = "tar"; }}',
        "format must be one of: [docker oci oci-layout]",
    ),
    "compressor": (
        f'buildLayeredImage {{ {APP} format = "oci"; compressor = "gz"; }}',
        "layerCompressor",
    ),
    "layerCompressor": (
        f'(streamLayeredImage {{ {APP} layerCompressor = "xz"; }}).digest',
        "layerCompressor must be one of",
    ),
    "level": (
        f"(buildImage {{ {DATA} layerCompressionLevel = 13; }}).ociArchive",
        "layerCompressionLevel must be a number from 1 to 12",
    ),
    "level-of-none": (
        f'(buildImage {{ {DATA} layerCompressor = "none"; layerCompressionLevel = 1; }}).digest',
        'layerCompressionLevel must be null where layerCompressor is "none"',
    ),
    "annotations": (
        f'(buildImage {{ {DATA} annotations = [ "a" ]; }}).manifest',
        "annotations must be an attribute set of strings, not a list",
    ),
    "annotation": (
        f"(buildImage {{ {DATA} annotations.a = 1; }}).manifest",
        "annotations.a must be a string, not the number 1",
    ),
    "annotation-key": (
        f'(buildImage {{ {DATA} annotations."" = "1"; }}).manifest',
        "annotations has an empty key",
    ),
    "index-of-nothing": (
        'dockerTools.buildImageIndex { name = "i"; images = [ ]; }',
        "in image index i: images is empty",
    ),
    "index-of-no-list": (
        'dockerTools.buildImageIndex { name = "i"; images = { }; }',
        "in image index i: images must be a list of images, not a set",
    ),
    "index-of-a-package": (
        'dockerTools.buildImageIndex { name = "i"; images = [ hello ]; }',
        "image 1 of images is hello-2.10, which is no image of these functions",
    ),
    "index-of-a-path": (
        'dockerTools.buildImageIndex { name = "i"; images = [ ./image.tar ]; }',
        "image 1 of images is a path, no image of these functions",
    ),
    "index-of-a-string": (
        'dockerTools.buildImageIndex { name = "i"; images = [ "docker.io/alpine" ]; }',
        'image 1 of images is the string "docker.io/alpine", no image',
    ),
    "index-of-an-index": (
        f"""let i = dockerTools.buildImageIndex {{
          name = "i"; images = [ (buildImage {{ {DATA} }}) ];
        }}; in dockerTools.buildImageIndex {{ name = "i"; images = [ i ]; }}""",
        "image 1 of images is an image index itself",
    ),
    "index-of-one-platform": (
        f"""dockerTools.buildImageIndex {{ name = "i"; images = [
          (buildImage {{ {DATA} }}) (streamLayeredImage {{ {APP} }})
        ]; }}""",
        "image 1 (data) and image 2 (group/app) are both for linux/amd64",
    ),
    "index-in-docker-format": (
        f"""dockerTools.buildImageIndex {{ name = "i"; format = "docker"; images = [
          (buildImage {{ {DATA} }})
        ]; }}""",
        'format must be "oci" or "oci-layout"',
    ),
    "annotation-of-a-docker-archive": (
        f"buildImage {{ {DATA} annotations.a = null; }}",
        "in docker image data: annotations.a must be a string, not null",
    ),
    "level-of-a-docker-archive": (
        f"buildLayeredImage {{ {APP} layerCompressionLevel = 0; }}",
        "layerCompressionLevel must be a number from 1 to 12",
    ),
    "compressor-of-a-stream": (
        f'streamLayeredImage {{ {APP} layerCompressor = "gzip"; }}',
        "layerCompressor must be one of: [gz none zstd]",
    ),
    "compressor-of-a-nix-shell": (
        'buildNixShellImage { drv = hello; layerCompressor = "xz"; }',
        "in docker image hello-2.10-env: layerCompressor must be one of",
    ),
    "name-of-a-number": (
        "buildImage { name = 3; }",
        "in docker image ?: name must be a string such as",
    ),
    "index-name": (
        f'dockerTools.buildImageIndex {{ name = "a:1"; images = [ (buildImage {{ {DATA} }}) ]; }}',
        "in image index a:1: name must be one that engines take",
    ),
    "index-name-of-null": (
        f"dockerTools.buildImageIndex {{ name = null; images = [ (buildImage {{ {DATA} }}) ]; }}",
        "in image index ?: name must be a string such as",
    ),
    "index-tag": (
        f"""(dockerTools.buildImageIndex {{
          name = "i"; tag = 3; images = [ (buildImage {{ {DATA} }}) ];
        }}).imageTag""",
        "in image index i: tag must be null, or a tag",
    ),
    "tag": (f"(buildImage {{ {DATA} tag = 3; }}).imageTag", "tag must be null, or a tag"),
    "index-attribute": (
        'dockerTools.buildImageIndex { name = "i"; image = [ ]; }',
        "in image index i (dockerTools.buildImageIndex): unknown attribute 'image'; did you mean",
    ),
    **{
        f"index-of-the-implied-variant-of-{architecture}": (
            f"""dockerTools.buildImageIndex {{ name = "i"; images = [
              (buildImage {{ {DATA} architecture = "{architecture}"; }})
              (buildImage {{ {DATA} architecture = "{architecture}"; variant = "{variant}"; }})
            ]; }}""",
            f"image 1 (data) and image 2 (data) are both for linux/{architecture};",
        )
        for architecture, variant in IMPLIED_VARIANTS.items()
    },
    "oci-tools-arguments": (
        f"dockerTools.ociTools.buildImage {{ {DATA} extraOCIArgs = null; }}",
        "extraOCIArgs must be a set, not null",
    ),
    "oci-tools-name": (
        f'dockerTools.ociTools.buildImage {{ {DATA} extraOCIArgs.name = "a b"; }}',
        "extraOCIArgs.name must be a name of letters, digits and",
    ),
    "oci-tools-docker-format": (
        f'dockerTools.ociTools.buildImage {{ {DATA} format = "docker"; }}',
        'format must be "oci" or "oci-layout", not the string "docker"',
    ),
    "oci-tools-two-formats": (
        f"""dockerTools.ociTools.buildImage {{
          {DATA} format = "oci"; extraOCIArgs.outputFormat = "directory";
        }}""",
        "format and extraOCIArgs.outputFormat both say",
    ),
    "oci-tools-output": (
        f'dockerTools.ociTools.buildImage {{ {DATA} extraOCIArgs.outputFormat = "tar"; }}',
        'outputFormat must be "directory" or "tarball"',
    ),
    "oci-tools-argument": (
        f"dockerTools.ociTools.buildImage {{ {DATA} extraOCIArgs.compress = true; }}",
        "unknown attribute 'compress' of extraOCIArgs",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_at_evaluation(what):
    expression, message = BAD[what]
    with pytest.raises(NixError) as failed:
        nix("nix-instantiate", "-E", PREAMBLE + expression)
    assert message in failed.value.error


INDEX = f"""
dockerTools.buildImageIndex {{
  name = "registry.example/group/app";
  tag = "2";
  annotations.a = "b";
  images = [
    (streamLayeredImage {{ {APP} }})
    (buildImage {{ {DATA} architecture = "arm64"; layerCompressor = "zstd"; }})
    (buildImage {{ {DATA} architecture = "arm"; variant = "v7"; }})
    (buildImage {{ {DATA} architecture = "arm"; variant = "v6"; }})
  ];
}}
"""


def test_passthru_of_a_user_does_not_get_in_the_way():
    passthru = "passthru = { imageIndex = 1; ociImage = 1; digest = 1; manifest = 1; blobs = 1; };"
    index = """dockerTools.buildImageIndex { name = "i"; %s images = [
      (buildLayeredImage { name = "app"; %s })
    ]; }"""
    given = evaluate(f"(i: [ i.drvPath i.digest ]) ({index % (passthru, passthru)})")
    assert given == evaluate(f"(i: [ i.drvPath i.digest ]) ({index % ('', '')})")


PULLED = """
let
  pulled = more: dockerTools.pullImage ({
    imageName = "alpine";
    imageDigest = "sha256:" + lib.concatStrings (lib.genList (_: "ab") 32);
    hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  } // more);
in
dockerTools.buildImageIndex { name = "i"; images = %s; }
"""


@pytest.mark.parametrize(
    "images",
    [
        # Only the image itself says which variant it is of.
        'map (_: pulled { arch = "arm"; }) [ 6 7 ]',
        '[ (pulled { arch = "arm"; }) (buildImage { name = "a"; architecture = "arm"; }) ]',
        '[ (pulled { os = "windows"; }) (buildImage { name = "a"; }) ]',
    ],
)
def test_pulled_images_may_be_for_other_platforms_than_they_seem(images):
    assert evaluate(f"({PULLED % images}).drvPath").endswith("-i-oci.tar.drv")


@pytest.mark.parametrize("os", ["linux", "windows"])
def test_two_pulled_images_for_one_platform_are_refused(os):
    with pytest.raises(NixError) as failed:
        evaluate(f"({PULLED % f'map (_: pulled {{ os = {json.dumps(os)}; }}) [ 1 2 ]'}).drvPath")
    assert f"image 1 (alpine) and image 2 (alpine) are both for {os}/amd64" in failed.value.error


def test_an_index_is_of_its_images():
    found = {name: build(f"({INDEX}).{name}") for name in ("manifest", "digest", "ociArchive")}
    index = json.loads(found["manifest"].read_text())
    assert found["digest"].read_text() == sha256(found["manifest"].read_bytes())
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
        {"architecture": "arm", "os": "linux", "variant": "v6"},
    ]
    assert index["annotations"] == {"a": "b"}
    digests = [
        build(f"(lib.elemAt ({INDEX}).images {number}).digest").read_text() for number in range(4)
    ]
    assert [entry["digest"] for entry in index["manifests"]] == digests
    check_layout(found["ociArchive"])
    with tarfile.open(found["ociArchive"]) as opened:
        names = opened.getnames()
        (entry,) = json.load(opened.extractfile("index.json"))["manifests"]
        (docker,) = json.load(opened.extractfile("manifest.json"))
    assert entry["digest"] == found["digest"].read_text()
    assert entry["annotations"]["io.containerd.image.name"] == "registry.example/group/app:2"
    assert docker["RepoTags"] == ["registry.example/group/app:2"]
    # The data of three images is one layer, compressed in two ways.
    assert len(names) == len(set(names))


@pytest.mark.parametrize("format_", ["oci", "oci-layout"])
def test_every_format_can_be_a_base_image(format_):
    base = f'buildLayeredImage {{ {APP} format = "{format_}"; layerCompressor = "zstd"; }}'
    image = archive(f"buildImage {{ {DATA} fromImage = {base}; }}")
    below = json.loads(build(f"({base}).blobs").read_text())["layers"]
    assert len(image.diff_ids) == len(below) + 1
    assert "data" in image.layer(-1)


@pytest.mark.parametrize("format_", ["oci", "oci-layout"])
def test_of_an_index_the_base_image_is_that_of_the_architecture(format_):
    index = f"""dockerTools.buildImageIndex {{
      name = "i"; format = "{format_}"; images = [
        (buildImage {{ name = "a"; copyToRoot = writeTextDir "is" "amd64"; }})
        (buildImage {{
          name = "a"; copyToRoot = writeTextDir "is" "arm64"; architecture = "arm64";
        }})
      ];
    }}"""
    for architecture in ("amd64", "arm64"):
        image = archive(
            f'buildImage {{ {DATA} fromImage = {index}; architecture = "{architecture}"; }}'
        )
        assert image.file(0, "is").decode() == architecture


def test_of_an_index_the_base_image_is_that_of_the_variant():
    of = 'writeTextDir "is"'
    index = f"""dockerTools.buildImageIndex {{
      name = "i"; images = map (variant: buildImage {{
        name = "a"; copyToRoot = {of} variant; architecture = "arm"; inherit variant;
      }}) [ "v6" "v5" "v7" ];
    }}"""
    for given, taken in (('variant = "v7";', "v7"), ('variant = "v5";', "v5"), ("", "v7")):
        image = archive(
            f'buildImage {{ {DATA} fromImage = {index}; architecture = "arm"; {given} }}'
        )
        assert image.file(0, "is").decode() == taken


def test_an_index_can_be_a_directory_and_has_its_hash_as_a_tag():
    expression = f"""(dockerTools.buildImageIndex {{
      name = "i"; format = "oci-layout"; images = [ (buildImage {{ {DATA} }}) ];
    }})"""
    path = build(expression)
    (entry,) = json.loads((path / "index.json").read_text())["manifests"]
    tag = entry["annotations"]["org.opencontainers.image.ref.name"]
    assert tag == path.name.partition("-")[0] == evaluate(f"{expression}.imageTag")


def test_oci_tools_make_a_directory_or_a_tarball():
    path = build(f'dockerTools.ociTools.buildImage {{ {DATA} compressor = "none"; }}')
    assert (path / "oci-layout").is_file()
    path = build(
        f"""dockerTools.ociTools.buildLayeredImage {{
          {APP} extraOCIArgs = {{ outputFormat = "tarball"; name = "other"; }};
        }}"""
    )
    assert path.name.endswith("-other")
    assert tarfile.is_tarfile(path)


def test_the_overlay_has_oci_tools():
    with_overlay = """
      (import <nixpkgs> { overlays = [ (_: _: { ociTools.buildContainer = 1; }) (import %s) ]; })
    """ % (pathlib.Path(__file__).parents[2] / "nix/overlay.nix")
    names = evaluate(f"builtins.attrNames {with_overlay}.ociTools")
    assert names == ["buildContainer", "buildImage", "buildLayeredImage"]


def test_what_is_pulled_is_the_base_in_annotations():
    digest = "sha256:" + "ab" * 32
    pulled = f"""(dockerTools.pullImage {{
      imageName = "alpine"; imageDigest = "{digest}"; %s
      hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    }})"""
    for more, name in (
        ("", "docker.io/library/alpine"),
        ('finalImageTag = "3.20";', "docker.io/library/alpine:3.20"),
        ('finalImageName = "other"; finalImageTag = "3.20";', "docker.io/library/alpine:3.20"),
    ):
        base = pulled.replace("%s", more)
        expected = {
            "org.opencontainers.image.base.name": name,
            "org.opencontainers.image.base.digest": digest,
        }
        image = f"(buildImage {{ {DATA} fromImage = {base}; %s }}).ociImage.annotations"
        assert evaluate(image.replace("%s", "")) == expected
        own = 'annotations."org.opencontainers.image.base.name" = "mine";'
        assert evaluate(image.replace("%s", own)) == {
            **expected,
            "org.opencontainers.image.base.name": "mine",
        }
