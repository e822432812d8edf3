"""Hashes of files as Nix spells them.

Source: Nix manual, "Store path specification" (its base 32) and "nix-hash"; W3C
recommendation "Subresource Integrity" (SRI).
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

ALGORITHMS: Final = ("md5", "sha1", "sha256", "sha512")
"""What Nix knows."""

# Without e, o, u and t.
_DIGITS: Final = "0123456789abcdfghijklmnpqrsvwxyz"


@dataclass(frozen=True)
class FileHash:
    """The bytes of a hash and the name of its algorithm."""

    algorithm: str
    digest: bytes

    @property
    def base32(self) -> str:
        """In Nix's own base 32, most significant digit first."""
        number = int.from_bytes(self.digest, "little")
        length = (len(self.digest) * 8 + 4) // 5
        return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))

    @property
    def base64(self) -> str:
        """In base 64, with its padding."""
        return base64.b64encode(self.digest).decode()

    @property
    def sri(self) -> str:
        """As the attribute `hash` of a fetcher has it."""
        return f"{self.algorithm}-{self.base64}"

    def is_spelled(self, text: str) -> bool:
        """Whether `text` is one of the spellings that Nix takes for this hash."""
        spellings = (self.base32, self.base64, self.digest.hex())
        return text in (self.sri, *spellings, *(f"{self.algorithm}:{bare}" for bare in spellings))


def hash_file(path: str, algorithm: str = "sha256") -> FileHash:
    """Return the hash of the contents of the file at `path`."""
    with open(path, "rb") as file:
        return FileHash(algorithm, hashlib.file_digest(file, algorithm).digest())
