"""The checker of OCI layouts finds what is wrong in one."""

import json

import pytest

from tests.unit.archives import COMPRESSORS, blob, config, descriptor, dump, layer, sha256, tar
from tests.unit.oci_layouts import CONFIG, INDEX, LAYER, MANIFEST, check_layout, read_layout

ONE, TWO = layer("one"), layer("two")
STORED = {"none": "", "gz": "+gzip", "zstd": "+zstd"}
PLATFORM = {"architecture": "amd64", "os": "linux"}


class Parts:
    """The parts of a layout of one image, to be changed before they are put together."""

    def __init__(self, layers=(ONE, TWO), compressor="gz"):
        self.layers = [COMPRESSORS[compressor](data) for data in layers]
        self.layer_type = LAYER + STORED[compressor]
        self.config = config(layers)
        self.manifest = {"schemaVersion": 2, "mediaType": MANIFEST}
        self.entry = {}
        self.of_layer = {}
        self.extra = {}
        self.without = []
        self.docker = {}
        self.manifests = None

    def files(self):
        document = dump(self.config)
        self.manifest = {
            "config": descriptor(document, CONFIG),
            "layers": [
                {**descriptor(data, self.layer_type), **self.of_layer} for data in self.layers
            ],
            **self.manifest,
        }
        manifest = dump(self.manifest)
        entry = {**descriptor(manifest, MANIFEST), **self.entry}
        index = {"schemaVersion": 2, "manifests": self.manifests or [entry]}
        docker = {
            "Config": blob(document)[0],
            "Layers": [blob(data)[0] for data in self.layers],
            "RepoTags": ["base:1"],
            **self.docker,
        }
        files = {
            "oci-layout": dump({"imageLayoutVersion": "1.0.0"}),
            "index.json": dump(index),
            "manifest.json": dump([docker]),
            **dict(blob(data) for data in (manifest, document, *self.layers)),
            **self.extra,
        }
        return {name: data for name, data in files.items() if name not in self.without}


def write(path, files, *, directory=False):
    if not directory:
        path.write_bytes(tar(list(files.items())))
        return path
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def problems(tmp_path, parts):
    """What is wrong with the layout, as an archive and as a directory."""
    files = parts.files()
    (tmp_path / "directory").mkdir()
    found = read_layout(write(tmp_path / "archive", files)).problems
    assert found == read_layout(write(tmp_path / "directory", files, directory=True)).problems
    return found


@pytest.mark.parametrize("directory", [False, True], ids=["archive", "directory"])
@pytest.mark.parametrize("compressor", STORED)
def test_a_right_layout_is_accepted(tmp_path, compressor, directory):
    path = tmp_path / "layout"
    if directory:
        path.mkdir()
    found = check_layout(write(path, Parts(compressor=compressor).files(), directory=directory))
    assert found.image.config["rootfs"]["diff_ids"] == [f"sha256:{sha256(x)}" for x in (ONE, TWO)]
    assert len(found.image.manifest["layers"]) == 2
    assert found.index["manifests"] == [found.image.descriptor]


def test_layers_may_be_several_streams_in_a_row(tmp_path):
    for name in ("gz", "zstd"):
        parts = Parts([ONE], name)
        parts.layers = [COMPRESSORS[name](ONE[:700]) + COMPRESSORS[name](ONE[700:])]
        check_layout(write(tmp_path / name, parts.files()))


def test_an_index_of_two_platforms_is_accepted(tmp_path):
    assert len(check_layout(write(tmp_path / "layout", two_platforms())).images) == 2


def two_platforms(**second):
    """The files of a layout that has an index of two images."""
    files, entries = {}, []
    for architecture in ("amd64", "arm64"):
        parts = Parts()
        parts.config["architecture"] = architecture
        parts.entry = {"platform": {**PLATFORM, "architecture": architecture}}
        one = parts.files()
        entries += json.loads(one["index.json"])["manifests"]
        files |= one
    entries[1] |= second
    index = dump({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    files |= dict([blob(index)])
    files["index.json"] = dump({"schemaVersion": 2, "manifests": [descriptor(index, INDEX)]})
    return files


@pytest.mark.parametrize(
    ("platform", "problem"),
    [
        (PLATFORM, "has a platform twice"),
        ({**PLATFORM, "architecture": "arm"}, "'architecture': 'arm64'"),
    ],
)
def test_platforms_of_an_index_are_those_of_its_images(tmp_path, platform, problem):
    found = read_layout(write(tmp_path / "layout", two_platforms(platform=platform))).problems
    assert problem in found[0]


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def damaged(parts):
    name, data = blob(parts.layers[0])
    parts.extra = {name: flipped(data)}


def unnamed_blob(parts):
    parts.extra = dict([blob(b"left over")])


def missing_blob(parts):
    parts.without = [blob(parts.layers[0])[0]]


def other_size(parts):
    parts.of_layer = {"size": 1}


def other_algorithm(parts):
    parts.of_layer = {"digest": "sha512:" + 128 * "0"}


def other_media_type(parts):
    parts.layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def other_compression(parts):
    parts.layer_type = f"{LAYER}+zstd"


def plain_layer_as_gzip(parts):
    parts.layers[0] = ONE


def no_tar(parts):
    parts.layers = [COMPRESSORS["gz"](600 * b"x")]
    parts.config = config([600 * b"x"])


def swapped_layers(parts):
    parts.layers.reverse()


def one_layer_less(parts):
    parts.layers.pop()


def short_history(parts):
    parts.config["history"] = [{}, {"empty_layer": True}]


def wrong_config(parts):
    parts.config["os"] = 1


def other_config_type(parts):
    parts.manifest["config"] = {
        **descriptor(dump(parts.config), "application/vnd.docker.container.image.v1+json")
    }


def other_manifest_type(parts):
    parts.manifest["mediaType"] = INDEX


def other_entry_type(parts):
    parts.entry = {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}


def other_platform(parts):
    parts.entry = {"platform": {**PLATFORM, "variant": "v8"}}


def no_layout_file(parts):
    parts.without = ["oci-layout"]


def other_layout_version(parts):
    parts.extra = {"oci-layout": dump({"imageLayoutVersion": "2.0.0"})}


def key_twice(parts):
    parts.extra = {"oci-layout": b'{"imageLayoutVersion": "1.0.0", "imageLayoutVersion": "1.0.0"}'}


def no_index(parts):
    parts.extra = {"index.json": dump({"schemaVersion": 2})}


def other_docker_config(parts):
    parts.docker = {"Config": "blobs/sha256/" + 64 * "0"}


def other_docker_layers(parts):
    parts.docker = {"Layers": [blob(data)[0] for data in reversed(parts.layers)]}


def bare_tag(parts):
    parts.docker = {"RepoTags": ["base"]}


WRONG = {
    damaged: "has the digest sha256:",
    unnamed_blob: "nothing refers to blobs/sha256/",
    missing_blob: "which is missing",
    other_size: "says 1 bytes, and it has ",
    other_algorithm: "has the digest sha512:",
    other_media_type: "is of type application/vnd.docker.image.rootfs.diff.tar.gzip",
    other_compression: "can't be read as application/vnd.oci.image.layer.v1.tar+zstd",
    plain_layer_as_gzip: "can't be read as application/vnd.oci.image.layer.v1.tar+gzip",
    no_tar: "holds no tar",
    swapped_layers: "diff_ids are",
    one_layer_less: "diff_ids are",
    short_history: "history tells of 1 layers, and there are 2",
    wrong_config: "config.os: 1 is not of type 'string'",
    other_config_type: "its config is of type application/vnd.docker.container.image.v1+json",
    other_manifest_type: "has the media type application/vnd.oci.image.index.v1+json",
    other_entry_type: "is of type application/vnd.docker.distribution.manifest.v2+json",
    other_platform: "'variant': 'v8'",
    no_layout_file: "oci-layout is missing",
    other_layout_version: "'2.0.0' is not one of ['1.0.0']",
    key_twice: "a name comes twice",
    no_index: "'manifests' is a required property",
    other_docker_config: "manifest.json has an image that index.json has not",
    other_docker_layers: "manifest.json has an image that index.json has not",
    bare_tag: "manifest.json has tags ['base']",
}


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__)
def test_a_wrong_layout_is_refused(tmp_path, change):
    parts = Parts()
    change(parts)
    found = problems(tmp_path, parts)
    assert WRONG[change] in "\n".join(found)
    with pytest.raises(AssertionError) as error:
        check_layout(tmp_path / "archive")
    assert WRONG[change] in str(error.value)


def test_an_archive_has_each_file_once_and_nothing_else(tmp_path):
    files = list(Parts().files().items())
    path = tmp_path / "archive"
    path.write_bytes(tar([*files, files[0]]))
    assert read_layout(path).problems == ["oci-layout comes twice"]


def test_a_directory_has_no_symlinks(tmp_path):
    write(tmp_path, Parts().files(), directory=True)
    (tmp_path / "index.json").rename(tmp_path / "../other.json")
    (tmp_path / "index.json").symlink_to("../other.json")
    assert read_layout(tmp_path).problems == ["index.json is a symlink"]
