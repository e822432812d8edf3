"""What mergeImages makes, in Docker and skopeo."""

from tests.engine.engines import Docker, skopeo_copy, skopeo_inspect
from tests.nix.images import build

ONE = 'streamLayeredImage { name = "one"; tag = "1"; contents = [ hello ]; }'
# skopeo 1.9 reads no compressed archives.
TWO = """
  buildLayeredImage {
    name = "two";
    tag = "2";
    contents = [ bash hello ];
    compressor = "none";
  }
"""


def merged(*images):
    return build(f"dockerTools.mergeImages [ {' '.join(f'({image})' for image in images)} ]")


def path(file):
    return f'builtins.path {{ path = {file}; name = "image.tar"; }}'


def image_id(docker: Docker, name):
    return docker.inspect(name)["Id"]


def test_images_are_those_that_were_merged(docker: Docker):
    alone = {docker.load(build(image)): None for image in (ONE, TWO)}
    alone = {name: image_id(docker, name) for name in alone}
    docker.remove_all()
    assert docker.load_all(merged(ONE, TWO)) == list(alone)
    assert {name: image_id(docker, name) for name in alone} == alone


def test_each_image_can_be_named_to_skopeo(tmp_path):
    archive = merged(ONE, TWO)
    for name, layers in (("one:1", 3), ("two:2", 5)):
        # Copied, so that all digests are checked.
        skopeo_copy(f"docker-archive:{archive}:{name}", f"dir:{tmp_path}/{name[:3]}")
        found = skopeo_inspect(f"docker-archive:{archive}:{name}")
        assert len(found["Layers"]) == layers


def test_archives_of_other_programs(docker: Docker, tmp_path):
    one = docker.load(build(ONE))
    saved = docker.save(one, tmp_path / "saved.tar")
    two = f"docker-archive:{build(TWO)}"
    oci = tmp_path / "oci.tar"
    skopeo_copy(two, f"oci-archive:{oci}:registry.example/two:2")
    expected = image_id(docker, one)
    docker.remove_all()
    names = docker.load_all(merged(path(saved), path(oci)))
    assert names == ["one:1", "registry.example/two:2"]
    assert image_id(docker, "one:1") == expected
    assert docker.run("registry.example/two:2", "/bin/hello").stdout == "Hello, world!\n"


def test_a_name_that_two_images_have_is_the_later_one_s(docker: Docker):
    later = 'streamLayeredImage { name = "one"; tag = "1"; contents = [ bash ]; }'
    expected = image_id(docker, docker.load(build(later)))
    docker.remove_all()
    docker.load_all(merged(ONE, later))
    assert image_id(docker, "one:1") == expected
    # The earlier one is there as well, as after loading one after the other.
    assert len(set(docker.images())) == 2
