"""includeNixDB: what Nix finds in a container."""

import sqlite3

import pytest

from tests.nix.images import archive, build, closure, failure, stream

DIRECTORIES = {
    "nix/store",
    "nix/store/.links",
    "nix/var",
    "nix/var/nix",
    "nix/var/nix/db",
    "nix/var/nix/gcroots",
    "nix/var/nix/gcroots/docker",
    "nix/var/nix/gcroots/per-user",
    "nix/var/nix/profiles",
    "nix/var/nix/profiles/per-user",
    "nix/var/nix/temproots",
}
IMAGES = {
    "streamLayeredImage": (stream, "contents"),
    "buildImage": (archive, "copyToRoot"),
}


def image_of(function, attributes):
    make, contents = IMAGES[function]
    attributes = attributes.replace("contents", contents)
    return make(f'{function} {{ name = "app"; {attributes} }}')


def registered(image, tmp_path):
    database = tmp_path / "db.sqlite"
    database.write_bytes(image.file(-1, "nix/var/nix/db/db.sqlite"))
    with sqlite3.connect(database) as connection:
        return {path for (path,) in connection.execute("SELECT path FROM ValidPaths")}


@pytest.mark.parametrize("function", IMAGES)
def test_the_directories_that_nix_makes_are_there(function):
    layer = image_of(function, "contents = hello; includeNixDB = true;").layer(-1)
    for name in DIRECTORIES:
        assert layer[name].isdir(), name
        assert layer[name].mode == 0o755, name
    # Nix makes this link only together with gcroots: without it, profiles are garbage.
    assert layer["nix/var/nix/gcroots/profiles"].linkname == "/nix/var/nix/profiles"
    assert not [name for name in layer if "reserved" in name or "build" in name]


def test_the_store_belongs_to_root_alone_beside_run_as_root():
    image = image_of("buildImage", 'contents = hello; includeNixDB = true; runAsRoot = "true";')
    for name in DIRECTORIES:
        entry = image.layer(-1)[name]
        assert (oct(entry.mode), entry.uid, entry.gid) == ("0o755", 0, 0), name


@pytest.mark.parametrize("function", IMAGES)
def test_the_database_of_the_image_knows_what_config_needs(function, tmp_path):
    contents = 'contents = writeTextDir "file" "text";'
    config = 'config.Cmd = [ "${hello}/bin/hello" ];'
    hello = build("hello")
    image = image_of(function, f'{contents} {config} includeNixDB = "image";')
    assert registered(image, tmp_path) == closure(hello) | closure(
        build('writeTextDir "file" "text"')
    )
    roots = "nix/var/nix/gcroots/docker"
    assert image.layer(-1)[f"{roots}/{hello.name}"].linkname == str(hello)
    image = image_of(function, f"{contents} {config} includeNixDB = true;")
    assert str(hello) not in registered(image, tmp_path)


def test_an_image_of_nothing_but_config_has_a_database(tmp_path):
    image = image_of("streamLayeredImage", 'config.Cmd = [ "${hello}" ]; includeNixDB = "image";')
    assert registered(image, tmp_path) == closure(build("hello"))


def test_another_value_is_refused():
    error = failure('buildImage { name = "app"; includeNixDB = "all"; }')
    assert 'includeNixDB must be true, false or "image", not the string "all"' in error
