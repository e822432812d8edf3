"""Statically linked programs: what a preloaded library can't reach.

fakeroot is such a library. A program without a dynamic loader never loads it,
so its chown or mknod either fails or has no effect on the layer.
"""

import os
import re
from collections.abc import Iterator, Sequence

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

_WORD = re.compile(r"[A-Za-z0-9_./+@%-]+")


def is_static(path: str) -> bool:
    """Return whether the file at `path` is an ELF program that names no dynamic loader."""
    try:
        with open(path, "rb") as file:
            elf = ELFFile(file)
            # ET_DYN without PT_INTERP is a library, unless it has an entry point
            # and needs nothing: a static-pie program.
            kinds = {segment["p_type"] for segment in elf.iter_segments()}
            if "PT_INTERP" in kinds or elf["e_type"] not in ("ET_EXEC", "ET_DYN"):
                return False
            if elf["e_type"] == "ET_EXEC":
                return True
            needs = any(
                tag.entry.d_tag in ("DT_NEEDED", "DT_SONAME")
                for segment in elf.iter_segments()
                if isinstance(segment, DynamicSegment)
                for tag in segment.iter_tags()
            )
            return bool(elf["e_entry"]) and not needs
    except (OSError, ELFError):
        return False


def static_programs(
    script: str, search: Sequence[str], *, root: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the words of `script` that run a statically linked program, with its path.

    A word is taken for a program if it is an absolute path, or a name found in
    one of the directories `search`; either may also be below the directory
    `root`. Good enough for a warning.
    """
    seen = set()
    for word in _WORD.findall(script):
        if word in seen:
            continue
        seen.add(word)
        paths = [word] if "/" in word else [os.path.join(path, word) for path in search]
        candidates = [prefix + path for path in paths if path[:1] == "/" for prefix in ("", root)]
        for candidate in candidates:
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                if is_static(candidate):
                    yield word, os.path.realpath(candidate)
                break
