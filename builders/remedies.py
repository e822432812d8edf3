"""What to do about failures of the library, which knows no Nix, in the words of who has Nix."""

from typing import Final

CHECK_STORE: Final = (
    "check the store with 'nix-store --verify --check-contents --repair', or build the image again"
)
"""About a file of the store that is missing or not what it was when the image was planned."""

MAKE_AGAIN: Final = "make the archive or the layout again, or copy it anew"
"""About a file that Nix knows nothing of."""

WRITE_LOCK: Final = "write it anew with updateLayers of the image, or take the one of before"
"""About a layering lock that can't be read."""
