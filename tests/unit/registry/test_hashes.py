"""Hashes of files, spelled as Nix spells them."""

import hashlib

from builders.registry.hashes import FileHash, hash_file


def test_hashes_are_spelled_as_nix_spells_them(tmp_path):
    # The empty file's, as `nix-hash` prints it.
    empty = tmp_path / "empty"
    empty.touch()
    hashed = hash_file(str(empty))
    assert hashed.base32 == "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
    assert hashed.sri == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert hash_file(str(empty), "sha1").base32 == "143xibwh31h9bvxzalr0sjvbbvpa6ffs"


def test_every_spelling_of_a_hash_is_recognised():
    hashed = FileHash("sha256", hashlib.sha256(b"").digest())
    bare = [hashed.base32, hashed.base64, hashed.digest.hex()]
    for text in (*bare, *(f"sha256:{spelling}" for spelling in bare), hashed.sri):
        assert hashed.is_spelled(text)
    assert not hashed.is_spelled("")
    assert not hashed.is_spelled(f"sha512-{hashed.base64}")
    assert not hashed.is_spelled(FileHash("sha256", bytes(32)).sri)
