"""What pullImage evaluates to, and refuses before anything is fetched."""

import pytest

from tests.nix.images import evaluate, failure

DIGEST = "sha256:498fa2d7f2b5cb3891a4edf20f3a8f8496e70865099ba72540494cd3e2942634"
DOCUMENTED = "/nix/store/4mxy9mn6978zkvlc670g5703nijsqc95-docker-image-nixos-nix-latest.tar"
BASE32 = "1q6cf2pdrasa34zz0jw7pbs6lvv52rq2aibgxccbwcagwkg2qj1q"


def pull(attributes: str, **defaults: str) -> str:
    """Return an expression that pulls an image; `attributes` go over the defaults."""
    given = {"imageName": '"group/app"', "imageDigest": f'"{DIGEST}"', "sha256": f'"{BASE32}"'}
    given |= defaults
    text = " ".join(f"{name} = {value};" for name, value in given.items() if value)
    return f"(dockerTools.pullImage ({{ {text} }} // {{ {attributes} }}))"


def test_the_output_path_is_the_one_that_the_documentation_shows():
    assert evaluate(pull("", imageName='"nixos/nix"') + ".outPath") == DOCUMENTED


def test_the_examples_of_the_documentation_evaluate():
    names = "pull-image-nix-image pull-image-different-registry pull-image-nix-prefetch-docker"
    found = evaluate(
        "lib.mapAttrs (_: image: { inherit (image) sourceURL destNameTag; path = image.outPath; }) "
        f"{{ inherit (dockerTools.examples) {names}; }}"
    )
    assert {image["destNameTag"] for image in found.values()} == {
        *("nix:2.19.3", "etcd:v3.5.11", "nixos/nix:latest")
    }
    assert found["pull-image-different-registry"]["sourceURL"] == (
        "docker://quay.io/coreos/etcd@"
        "sha256:24a23053f29266fb2731ebea27f915bb0fb2ae1ea87d42d890fe4e44f2e27c5d"
    )
    assert found["pull-image-nix-prefetch-docker"]["path"] == DOCUMENTED


@pytest.mark.parametrize(
    "hashes",
    [
        f'sha256 = "{BASE32}";',
        f'sha256 = "sha256:{BASE32}";',
        'sha256 = "OEgs3uRPMb4Y629FJXAWZW9q9LqHS/A/GUqr3K5wzOA=";',
        'hash = "sha256-OEgs3uRPMb4Y629FJXAWZW9q9LqHS/A/GUqr3K5wzOA=";',
        f'outputHash = "{BASE32}"; outputHashAlgo = "sha256";',
        'outputHash = "sha256-OEgs3uRPMb4Y629FJXAWZW9q9LqHS/A/GUqr3K5wzOA=";',
    ],
)
def test_every_spelling_of_a_hash_is_the_same_path(hashes):
    assert evaluate(pull(hashes, sha256="") + ".outPath") == evaluate(pull("") + ".outPath")


def test_attributes_of_the_result():
    image = pull('finalImageName = "other"; finalImageTag = "v1";')
    names = "imageName imageTag imageDigest sourceURL destNameTag name"
    assert evaluate(f"{{ inherit ({image}) {names}; }}") == {
        "imageName": "other",
        "imageTag": "v1",
        "imageDigest": DIGEST,
        "sourceURL": f"docker://group/app@{DIGEST}",
        "destNameTag": "other:v1",
        "name": "docker-image-other-v1.tar",
    }


def test_the_final_name_is_the_image_s_own_and_the_tag_is_latest():
    image = pull("", imageName='"localhost:5000/group/app"')
    assert evaluate(image + ".destNameTag") == "localhost:5000/group/app:latest"
    assert evaluate(image + ".name") == "docker-image-localhost-5000-group-app-latest.tar"


def test_a_name_of_its_own_in_the_store():
    assert evaluate(pull('name = "app.tar";') + ".name") == "app.tar"


def test_the_attributes_are_known_to_functions_that_ask():
    known = evaluate("lib.functionArgs dockerTools.pullImage")
    hashes = {"hash": True, "sha256": True, "outputHash": True, "outputHashAlgo": True}
    final = {"finalImageName": True, "finalImageTag": True, "name": True}
    assert known == hashes | final | {
        "imageName": False,
        "imageDigest": True,
        "os": True,
        "arch": True,
        "tlsVerify": True,
    }


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            pull("finalImagetag = 1;"),
            "in dockerTools.pullImage: unknown attribute 'finalImagetag'; "
            "did you mean 'finalImageTag'?",
        ),
        (
            "(dockerTools.pullImage { })",
            "in dockerTools.pullImage: the attribute 'imageName' is missing; add it",
        ),
        (
            pull("", imageDigest=""),
            "in docker image group/app: the attribute 'imageDigest' is missing; "
            "'nix-prefetch-docker --image-name group/app --image-tag TAG' prints it",
        ),
        (
            pull('imageDigest = "latest";'),
            'in docker image group/app: imageDigest must be "sha256:" and 64 '
            'hexadecimal digits, not the string "latest"; '
            "'nix-prefetch-docker --image-name group/app --image-tag TAG' prints it",
        ),
        (
            pull("", sha256=""),
            "in docker image group/app: the attribute 'hash' is missing; "
            'nix-prefetch-docker prints it, and with hash = "" Nix says what it has to be',
        ),
        (
            pull('hash = "";'),
            "in docker image group/app: hash and sha256 are the same thing; leave all but one out",
        ),
        (
            pull(f'hash = "{DIGEST}";', sha256=""),
            "in docker image group/app: the hash is the imageDigest, but it must be "
            "that of the file that is made of the image; "
            "'nix-prefetch-docker --image-name group/app --image-tag TAG' prints both",
        ),
        (
            pull('imageName = "group/app:v1";'),
            "in docker image group/app:v1: imageName must be a name such as "
            '"nixos/nix" or "registry.example/group/app", without a tag or digest, '
            'not the string "group/app:v1"',
        ),
        (
            pull('imageName = "docker://group/app";'),
            "in docker image docker://group/app: imageName must be a name such as "
            '"nixos/nix" or "registry.example/group/app", without a tag or digest, '
            'not the string "docker://group/app"',
        ),
        (
            pull("imageName = 3;"),
            "in docker image ?: imageName must be a name such as "
            '"nixos/nix" or "registry.example/group/app", without a tag or digest, '
            "not the number 3",
        ),
        (
            pull('finalImageName = "App";'),
            "in docker image group/app: finalImageName must be a name such as "
            '"nixos/nix" or "registry.example/group/app", without a tag or digest, '
            'not the string "App"',
        ),
        (
            pull('finalImageTag = "a/b";'),
            "in docker image group/app: finalImageTag must be a tag of letters, "
            "digits, '_', '.' and '-', not the string \"a/b\"",
        ),
        (
            pull('tlsVerify = "no";'),
            'in docker image group/app: tlsVerify must be true or false, not the string "no"',
        ),
        (
            pull("os = null;"),
            'in docker image group/app: os must be a string such as "linux", not null',
        ),
        (
            pull("arch = [ ];"),
            'in docker image group/app: arch must be a string such as "amd64", not a list',
        ),
    ],
)
def test_bad_input_fails_at_evaluation(expression, message):
    assert failure(expression) == f"error: {message}"
