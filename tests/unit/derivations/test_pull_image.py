"""What a build of pullImage says."""

from builders.derivations.pull_image import PULL_HINTS
from builders.registry.failures import Problem


def test_every_kind_of_failure_has_a_remedy():
    assert set(PULL_HINTS) == set(Problem)
