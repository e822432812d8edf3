"""Which blob a layer becomes, of those that a registry has."""

from builders.blobs.descriptors import COMPRESSOR, Descriptor
from builders.registry.answers import Answer
from builders.registry.manifests import choose, lacks_blobs

OWN = Descriptor("t", f"sha256:{'1' * 64}", 1, {COMPRESSOR: "libdeflate"})
OLDER = Descriptor("t", f"sha256:{'2' * 64}", 1, {COMPRESSOR: "older"})
OTHER = Descriptor("t", f"sha256:{'3' * 64}", 1)


def test_what_the_same_compressor_made_is_taken_before_all_else():
    assert choose([OTHER, OLDER, OWN], "libdeflate", exact=False) is OWN
    assert choose([OTHER, OLDER, OWN], "libdeflate", exact=True) is OWN


def test_what_another_one_made_will_do_where_it_may():
    assert choose([OTHER, OLDER], "libdeflate", exact=False) is OTHER
    assert choose([OTHER, OLDER], "libdeflate", exact=True) is None
    assert choose([], "libdeflate", exact=False) is None


def test_where_nothing_is_compressed_nobody_is_the_same():
    assert choose([OTHER], None, exact=True) is None


def test_a_manifest_that_lacks_blobs_is_told_by_its_code():
    body = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}'
    assert lacks_blobs(Answer(400, {}, body, ""))
    assert not lacks_blobs(Answer(400, {}, b"{}", ""))
    assert not lacks_blobs(Answer(500, {}, body, ""))
