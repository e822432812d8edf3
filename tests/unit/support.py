"""What several unit tests use."""

import pathlib

BUILDERS = pathlib.Path(__file__).parents[2] / "builders"
