"""Run one builder: `python3 builders NAME [ARGUMENT…]`.

NAME is a module at the package's top with a `main(arguments)`. Failures that a
user can cause end here, as one line on stderr and exit code 1.
"""

import importlib
import os
import sys

# A directory given to the interpreter becomes sys.path[0]; the package is one level up.
sys.path[0] = os.path.dirname(os.path.abspath(os.path.dirname(__file__)))

from builders.console.errors import UserError  # noqa: E402
from builders.console.terminal import takes_output  # noqa: E402


def main() -> int:
    """Import the builder that the first argument names and run it with the others."""
    if not takes_output(2):
        # As with 2>&-: nobody reads it, and no file that is opened later may get its number.
        null = os.open(os.devnull, os.O_WRONLY)
        if null != 2:
            os.dup2(null, 2)
            os.close(null)
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
    name, *arguments = sys.argv[1:]
    builder = importlib.import_module(f"builders.{name}")
    try:
        builder.main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
