"""How much work and memory the layers of an image may ask for while they are merged.

A few kilobytes of a layer can say any number, name one file a thousand times, and make a maze of
links. These bounds are far above what images have.
"""

from dataclasses import dataclass
from typing import Final

_MEMBERS_MAX: Final = 1 << 23
"""Members of all layers, each layer as often as the image has it."""
_NAMES_MAX: Final = 1 << 29
"""Bytes of the paths and link targets of all files; some of what reads the tree holds them."""
_STEPS_MAX: Final = 1 << 25
"""Directories that are gone through on the way to all members, and that whiteouts look into."""
_LINK_STEPS_MAX: Final = 1 << 22
"""Those among them that a link leads through."""


class TooMuchError(Exception):
    """An image asks for more than there is room or time for; the text says of what."""


@dataclass(slots=True)
class Tally:
    """Counts what the layers of one image ask for; all methods raise `TooMuchError`."""

    _members: int = 0
    _names: int = 0
    _steps: int = 0
    _link_steps: int = 0

    def member(self) -> None:
        """Count a member."""
        self._members += 1
        if self._members > _MEMBERS_MAX:
            raise TooMuchError(f"has more than {_MEMBERS_MAX} files in its layers")

    def names(self, size: int) -> None:
        """Count `size` bytes of names."""
        self._names += size
        if self._names > _NAMES_MAX:
            raise TooMuchError(f"has more than {_NAMES_MAX} bytes of names")

    def steps(self, count: int) -> None:
        """Count `count` steps from a directory into one of its own."""
        self._steps += count
        if self._steps > _STEPS_MAX:
            raise TooMuchError(f"has files more than {_STEPS_MAX} directories away in all")

    def link_step(self) -> None:
        """Count a symbolic link, or a step that one leads."""
        self._link_steps += 1
        if self._link_steps > _LINK_STEPS_MAX:
            raise TooMuchError(f"has links that lead through more than {_LINK_STEPS_MAX} files")
