"""What nix-prefetch-docker says, and how it calls a file."""

from builders.programs.nix_prefetch_docker import PREFETCH_HINTS, archive_name
from builders.registry.failures import Problem


def test_file_names_have_no_slash_and_no_colon():
    assert archive_name("host:5000/a", "v1") == "docker-image-host-5000-a-v1.tar"


def test_every_kind_of_failure_has_a_remedy():
    assert set(PREFETCH_HINTS) == set(Problem)
