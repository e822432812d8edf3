"""Limits of an image: bytes, layers, and packages that must not be in it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builders.accounts.account import Account, PathAccount, store_name
from builders.accounts.text import indent
from builders.closure.package_names import parse_name
from builders.console.progress import size

_SIZE: Final = re.compile(r"([0-9]+)(?:\.([0-9]{1,3}))? ?(k|K|M|G|T|Ki|Mi|Gi|Ti)?B?")
_UNITS: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_WAY_MAX: Final = 8
"""Steps that are shown of a way in one line."""
_LARGEST: Final = 3
"""Paths that are named where an image is too large."""


@dataclass(frozen=True)
class Breach:
    """What is wrong: a line that says it, and `lines` that show more."""

    what: str
    lines: tuple[str, ...] = ()


def parse_size(text: str) -> int:
    """Return the bytes that "500M", "1.5 GB" or "512MiB" stand for; `ValueError` for none.

    Units are decimal but for those with an i.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no size")
    whole, part, unit = match[1], match[2] or "", match[3] or ""
    return int(whole + part) * _UNITS[unit] // int(10 ** len(part))


def over_budget(
    account: Account, *, most_bytes: int | None, most_layers: int | None
) -> Iterator[Breach]:
    """Yield where the image is larger than `most_bytes`, uncompressed, or has too many layers."""
    if most_bytes is not None and account.size > most_bytes:
        heaviest = sorted(
            account.paths.values(), key=lambda path: (-(path.vanishing or path.own), path.path)
        )
        largest = [path for path in heaviest if path.referrers][:_LARGEST]
        named = ", ".join(f"{path.name} ({size(path.vanishing or path.own)})" for path in largest)
        yield Breach(
            f"the image has {size(account.size)}, {size(account.size - most_bytes)} more than the "
            f"{size(most_bytes)} of its budget{f'; most goes with {named}' if named else ''}",
            tuple(line for path in largest for line in _chain(account, path)),
        )
    if most_layers is not None and len(account.layers) > most_layers:
        yield Breach(
            f"the image has {len(account.layers)} layers, more than the {most_layers} of its budget"
        )


def forbidden(account: Account, *, paths: Sequence[str], names: Sequence[str]) -> Iterator[Breach]:
    """Yield which store paths of the image are among `paths`, or are called as one of `names`.

    A name is that of a package, in any version and with all its outputs, or has a version, too.
    """
    for path in account.paths.values():
        if path.path in paths or any(_is_called(path.path, name) for name in names):
            ends = account.ends_of_way(path.path, _WAY_MAX) or (path.path,)
            way = ["…" if step is None else store_name(step) for step in ends]
            yield Breach(
                f"{path.name} is forbidden, and in the image: {' → '.join(way)}",
                tuple(_chain(account, path)),
            )


def forbidden_among(
    found: Iterable[str], *, paths: Sequence[str], names: Sequence[str], where: str
) -> list[Breach]:
    """Return which store paths of those `found` are forbidden; of these no chain is known."""
    return [
        Breach(f"{store_name(path)} is forbidden, and {where}: {path}")
        for path in found
        if path in paths or any(_is_called(path, name) for name in names)
    ]


def _is_called(path: str, name: str) -> bool:
    full = store_name(path)
    return name in (parse_name(full)[0], full) or full.startswith(f"{name}-")


def _chain(account: Account, path: PathAccount) -> Iterator[str]:
    """Yield the full paths on the way to one."""
    way = account.way(path.path)
    for number, step in enumerate(way):
        yield f"{indent(number)}{'→ ' if number else ''}{step}"
