"""The platform of an image: what its programs run on, in Go's words.

Sources: OCI image specification, "Image Index", the properties of `platform`; the lists KnownArch
and KnownOS of the Go toolchain.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

LINUX: Final = "linux"
"""The operating system of all images that are made here."""

ARCHITECTURES: Final = (
    *("386", "amd64", "amd64p32", "arm", "arm64", "arm64be", "armbe", "loong64"),
    *("mips", "mips64", "mips64le", "mips64p32", "mips64p32le", "mipsle"),
    *("ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"),
)

ARCHITECTURE_WORDS: Final = {
    "aarch64": "arm64",
    "aarch64_be": "arm64be",
    "amd64v2": "amd64/v2",
    "amd64v3": "amd64/v3",
    "amd64v4": "amd64/v4",
    "arm32v5": "arm/v5",
    "arm32v6": "arm/v6",
    "arm32v7": "arm/v7",
    "arm64/v8": "arm64",
    "arm64v8": "arm64",
    "armel": "arm/v5",
    "armhf": "arm/v7",
    "armv5": "arm/v5",
    "armv5tel": "arm/v5",
    "armv6": "arm/v6",
    "armv6l": "arm/v6",
    "armv7": "arm/v7",
    "armv7a": "arm/v7",
    "armv7l": "arm/v7",
    "armv8": "arm64",
    "armv8l": "arm/v8",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "ia32": "386",
    "loongarch64": "loong64",
    "mips64el": "mips64le",
    "mipsel": "mipsle",
    "powerpc": "ppc",
    "powerpc64": "ppc64",
    "powerpc64le": "ppc64le",
    "ppc64el": "ppc64le",
    "riscv32": "riscv",
    "wasm32": "wasm",
    "x64": "amd64",
    "x86": "386",
    "x86-64": "amd64",
    "x86_64": "amd64",
    "x86_64_v2": "amd64/v2",
    "x86_64_v3": "amd64/v3",
    "x86_64_v4": "amd64/v4",
}
"""What others call an architecture: Nix, Debian, `uname -m`. A variant is behind a slash."""

SYSTEMS: Final = (
    *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux"),
    *("nacl", "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", "zos"),
)

SYSTEM_WORDS: Final = {"macos": "darwin", "win32": "windows"}
IMPLIED_VARIANTS: Final = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
"""What engines take an image for that names no variant, as containerd normalises platforms."""

_LEVEL: Final = re.compile(r"v?([0-9]{1,4})(?:\.([0-9]{1,4}))?")
"""A variant of which higher ones have all that it has."""


@dataclass(frozen=True)
class Platform:
    """Operating system and architecture in Go's words; `variant` is None where there is none."""

    os: str
    architecture: str
    variant: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return it as JSON's types, as a descriptor has it."""
        data = {"architecture": self.architecture, "os": self.os}
        return {**data, "variant": self.variant} if self.variant else data

    def __str__(self) -> str:
        """As `docker --platform` spells it: "linux/arm/v7"."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def plain(self) -> "Platform":
        """The platform without a variant that goes without saying, as v8 of arm64."""
        is_implied = self.variant and IMPLIED_VARIANTS.get(self.architecture) == self.variant
        return replace(self, variant=None) if is_implied else self

    @property
    def explicit(self) -> "Platform":
        """The platform with its variant, be it one that goes without saying."""
        variant = self.variant or IMPLIED_VARIANTS.get(_meant(self.architecture))
        return replace(self, variant=variant)

    def nearest(self, offered: Collection["Platform"]) -> "Platform | None":
        """Return which of `offered` an engine for this platform takes, None where none will do.

        That is the one of its variant, or else of the highest variant below.
        """
        own = self.explicit
        fitting = [platform for platform in offered if own.takes(platform.explicit)]
        return max(fitting, key=own.nearness, default=None)

    def nearness(self, platform: "Platform") -> tuple[bool, bool, bool, Sequence[int]]:
        """Return what is the greater, the nearer `platform`, which this one takes, comes to it."""
        variant = platform.explicit.variant
        known = (bool(platform.architecture), bool(platform.os))
        return (*known, variant == self.explicit.variant, _level(variant or "") or ())

    def takes(self, base: "Platform") -> bool:
        """Whether an image for this platform may have the layers of one for `base`.

        What `base` does not say is taken as it is, and so is a variant where only one of both names
        any: v8 goes without saying for arm64, for one. A variant takes lower ones.
        """
        if base.os and base.os.lower() != self.os.lower():
            return False
        if base.architecture and _meant(base.architecture) != _meant(self.architecture):
            return False
        if not base.variant or not self.variant:
            return True
        return base.variant == self.variant or _is_lower(base.variant, self.variant)


def go_architecture(word: str) -> str | None:
    """Return what a word for an architecture is in Go, a variant behind a slash.

    "ARMv7l" is "arm/v7", and so is "linux/arm/v7"; None is for what is no such word.
    """
    parts = [part for part in word.lower().split("/") if part and part not in SYSTEMS]
    known = _named("/".join(parts), ARCHITECTURES, ARCHITECTURE_WORDS)
    if known or not 0 < len(parts) < 3:
        return known
    # The name of a system or a triple begins with it: "aarch64-linux".
    words = (parts[0], parts[0].partition("-")[0])
    first = next(filter(None, (_named(w, ARCHITECTURES, ARCHITECTURE_WORDS) for w in words)), None)
    return f"{first}/{parts[1]}" if first and len(parts) == 2 and "/" not in first else first


def go_system(word: str) -> str | None:
    """Return what a word for an operating system is in Go; of a whole platform, its part."""
    words = word.lower().replace("/", "-").split("-")
    return next(filter(None, (_named(part, SYSTEMS, SYSTEM_WORDS) for part in words)), None)


def _named(word: str, known: Sequence[str], words: Mapping[str, str]) -> str | None:
    return word if word in known else words.get(word)


def _meant(architecture: str) -> str:
    """Return the word of Go for an architecture, or the word itself where it has none."""
    return (go_architecture(architecture) or architecture.lower()).partition("/")[0]


def _is_lower(one: str, other: str) -> bool:
    """Whether `one` is a variant of no higher level; false where they have none to compare."""
    lower, higher = _level(one), _level(other)
    return lower is not None and higher is not None and lower <= higher


def _level(variant: str) -> tuple[int, ...] | None:
    level = _LEVEL.fullmatch(variant.lower())
    return tuple(int(part or 0) for part in level.groups()) if level else None
