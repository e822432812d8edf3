"""What an ELF file needs to be run: its loader, its libraries, and where they are looked for.

Sources: System V ABI, "Dynamic Linking"; ld.so(8) for DT_RPATH and DT_RUNPATH.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

MAGIC: Final = b"\x7fELF"

MACHINES: Final = {
    "386": ("EM_386", 32),
    "amd64": ("EM_X86_64", 64),
    "arm": ("EM_ARM", 32),
    "arm64": ("EM_AARCH64", 64),
    "loong64": ("EM_LOONGARCH", 64),
    "mips64le": ("EM_MIPS", 64),
    "ppc64le": ("EM_PPC64", 64),
    "riscv64": ("EM_RISCV", 64),
    "s390x": ("EM_S390", 64),
}
"""The machine and the bits of programs for each architecture, in Go's words."""


_COMPATIBLE: Final = {("386", "amd64"), ("arm", "arm64")}


@dataclass(frozen=True)
class Machine:
    """What a file is for: `name` as in ELF's header, and 32 or 64 bits."""

    name: str
    bits: int

    def runs_on(self, other: "Machine") -> bool:
        """Whether the kernel of `other` runs it, as those of 64 bits do with their 32 bits."""
        return self == other or (str(self), str(other)) in _COMPATIBLE

    def __str__(self) -> str:
        """As architectures are called, where that is known."""
        for architecture, known in MACHINES.items():
            if known == (self.name, self.bits):
                return architecture
        return f"{self.name.removeprefix('EM_').lower()} ({self.bits} bits)"


@dataclass(frozen=True)
class ElfFile:
    """What is in the header and the dynamic segment of a program or a library.

    `interpreter` is the loader that a program names. `needed` are libraries; `rpath` and `runpath`
    directories to look for them in, with $ORIGIN and the like as they stand there.
    """

    machine: Machine
    interpreter: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    soname: str | None


def read_elf(file: BinaryIO) -> ElfFile | None:
    """Return what the ELF file says; None where it is none, or none that can be run or loaded."""
    try:
        elf = ELFFile(file)
        if elf["e_type"] not in ("ET_EXEC", "ET_DYN"):
            return None
        interpreter = None
        tags: dict[str, list[str]] = {}
        for segment in elf.iter_segments():
            if isinstance(segment, InterpSegment):
                interpreter = segment.get_interp_name()
            elif isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    for name in ("needed", "rpath", "runpath", "soname"):
                        if tag.entry.d_tag == f"DT_{name.upper()}":
                            tags.setdefault(name, []).append(getattr(tag, name))
        return ElfFile(
            machine=Machine(str(elf["e_machine"]), elf.elfclass),
            interpreter=interpreter,
            needed=tuple(tags.get("needed", ())),
            rpath=tuple(_directories(tags.get("rpath", ()))),
            runpath=tuple(_directories(tags.get("runpath", ()))),
            soname=next(iter(tags.get("soname", ())), None),
        )
    # pyelftools lets what is damaged raise nearly anything, and asserts that it is not.
    except (ELFError, OSError, ArithmeticError, AssertionError, AttributeError, LookupError):
        return None
    except (RecursionError, TypeError, ValueError):
        return None


def _directories(values: "list[str] | tuple[str, ...]") -> Iterator[str]:
    for value in values:
        yield from value.split(":")
