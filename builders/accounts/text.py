"""The account of an image as text, in tables that fit a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from builders.accounts.account import (
    Account,
    LayerAccount,
    PathAccount,
    known_layer_size,
    store_name,
)
from builders.accounts.known import MEASURES, NAR, Evidence
from builders.console.progress import size
from builders.console.tables import Column, cut, table, wrapped
from builders.console.terminal import visible

MOST: Final = 20
"""Rows of the table of store paths, where not all are asked for."""

_LAYERS: Final = (
    Column("layer"),
    Column("size"),
    Column("blob", 3),
    Column("paths", 2),
    Column("changes", 1),
    Column("holds"),
)
_PATHS: Final = (
    Column("own"),
    Column("closure", 3),
    Column("alone", 1),
    Column("update", 2),
    Column("layer", 4),
    Column("store path"),
)
_UNKNOWN: Final = "?"
_INDENT_MAX: Final = 10
"""Steps of a way that are each indented more than the one before."""


def image_lines(account: Account, *, width: int, every: bool = False) -> Iterator[str]:
    """Yield the lines that explain a whole image; `every` for all of its paths."""
    yield from wrapped(_heading(account), width)
    image = account.image
    if account.layers:
        yield ""
        rows = [_layer_row(layer, account) for layer in account.layers]
        yield from _without_empty(_LAYERS, rows, width=width)
    if account.paths:
        shown = list(account.paths.values())[: None if every else MOST]
        yield ""
        # Where closures are not summed up, each one is looked for by itself.
        closures = [path.closure if every else account.closure(path.path) for path in shown]
        rows = [
            _path_row(path, closure, is_measured=account.is_measured)
            for path, closure in zip(shown, closures, strict=True)
        ]
        yield from _without_empty(_PATHS, rows, width=width)
        left = len(account.paths) - len(shown)
        if left:
            yield from wrapped(f"and {left} smaller ones; --all shows them", width)
    if account.versions:
        yield ""
        yield from wrapped("Packages in several versions:", width)
        for package, paths in account.versions.items():
            versions = ", ".join(sorted({account.paths[path].version for path in paths}))
            yield from wrapped(f"  {visible(package)}: {visible(versions)}", width)
    directories = _directories(account)
    if directories:
        yield ""
        rows = [(size(count), directory) for directory, count in directories[:MOST]]
        yield from table((Column("bytes"), Column("outside of the store")), rows, width=width)
    if account.paths and image.measure is not None:
        yield ""
        other = f"; the layers have {size(account.other)} more" if account.other > 0 else ""
        yield from wrapped(
            f"Sizes of store paths are those {MEASURES[image.measure]}{other}.", width, hanging=0
        )
    if image.unknown and image.measure is None:
        yield ""
    for sentence in image.unknown:
        yield from wrapped(f"Note: {sentence}.", width, hanging=0)


def _without_empty(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int
) -> list[str]:
    """Return the table without columns in which nothing is known."""
    kept = [n for n in range(len(columns)) if any(row[n] not in ("", _UNKNOWN) for row in rows)]
    return table([columns[n] for n in kept], [[row[n] for n in kept] for row in rows], width=width)


def _heading(account: Account) -> str:
    image = account.image
    parts = [image.platform] if image.platform else []
    if account.layers:
        parts.append(_count(len(account.layers), "layer"))
    if account.has_sizes:
        parts.append(size(account.size))
    if account.compressed is not None:
        parts.append(f"{size(account.compressed)} compressed")
    if account.paths:
        parts.append(_count(len(account.paths), "store path"))
    return f"{image.name or 'image without a name'}: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _known_size(value: int | None) -> str:
    return _UNKNOWN if value is None else size(value)


def _layer_row(layer: LayerAccount, account: Account) -> tuple[str, ...]:
    return (
        str(layer.number),
        _known_size(known_layer_size(account, layer)),
        _known_size(layer.known.blob_size),
        str(len(layer.known.paths)) if layer.known.paths else "",
        _UNKNOWN if layer.chance is None else f"{layer.chance:.0%}",
        layer_contents(layer),
    )


def layer_contents(layer: LayerAccount) -> str:
    """Return what is in a layer: its paths, the largest first, or what else it is."""
    known = layer.known
    largest = sorted(known.paths, key=lambda path: (-known.paths[path], path))
    names = [store_name(path) for path in largest[:6]]
    if len(largest) > len(names):
        names.append(f"and {len(largest) - len(names)} more")
    if known.paths:
        return ", ".join(names)
    if known.directories:
        largest = sorted(known.directories, key=lambda name: (-known.directories[name], name))
        return ", ".join(largest[:6])
    return f"{known.kind}: {known.comment}" if known.comment else known.kind


def _path_row(path: PathAccount, closure: int | None, *, is_measured: bool) -> tuple[str, ...]:
    return (
        _known_size(path.own if is_measured else None),
        _known_size(closure),
        _known_size(path.vanishing),
        _known_size(path.update),
        ",".join(map(str, path.layers)),
        path.name,
    )


def _directories(account: Account) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for layer in account.layers:
        for name, count in layer.known.directories.items():
            found[name] = found.get(name, 0) + count
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def path_lines(
    account: Account,
    paths: Sequence[str],
    *,
    width: int,
    evidence: Mapping[tuple[str, str], Evidence] | None = None,
) -> Iterator[str]:
    """Yield the lines that explain `paths`; `evidence` is shown on the way to each, if given."""
    for number, path in enumerate(paths):
        if number:
            yield ""
        yield from _one_path(account, account.paths[path], width=width, evidence=evidence)
    if account.image.graph is None:
        for sentence in account.image.unknown:
            yield from wrapped(f"Note: {sentence}.", width, hanging=0)


def _one_path(
    account: Account,
    path: PathAccount,
    *,
    width: int,
    evidence: Mapping[tuple[str, str], Evidence] | None,
) -> Iterator[str]:
    # Whole, since it is copied from here.
    yield visible(path.path)
    facts = []
    if account.is_measured:
        unit = "NAR" if account.image.measure == NAR else "tar"
        facts.append((size(path.own), f"its own bytes ({unit})"))
    closure = account.closure(path.path)
    if closure is not None:
        facts.append((size(closure), "its closure"))
    if path.vanishing is not None:
        facts.append((size(path.vanishing), "would go with it"))
    if path.update is not None:
        facts.append((size(path.update), "in the layers that an update of it changes"))
    rows = [*facts]
    if path.layers:
        rows.append((", ".join(map(str, path.layers)), "layer that holds it"))
    if path.references is not None:
        rows.append((str(path.references), "store paths that it refers to"))
        rows.append((str(path.referrers), "store paths that refer to it"))
    room = max(len(value) for value, _ in rows)
    for value, words in rows:
        yield cut(f"  {value:>{room}}  {words}", width)
    way = account.way(path.path)
    if not way:
        return
    yield "  in the image through:"
    yield from way_lines(account, way, width=width, evidence=evidence)


def indent(step: int) -> str:
    """Return the blanks before a step of a way; of a long one, they end where names need room."""
    return "  " * min(step, _INDENT_MAX)


def way_lines(
    account: Account,
    way: Sequence[str],
    *,
    width: int,
    evidence: Mapping[tuple[str, str], Evidence] | None = None,
) -> Iterator[str]:
    """Yield the lines of a way from a root on, and where each reference stands if that is asked."""
    for number, path in enumerate(way):
        if number and evidence is not None:
            where = _place(evidence.get((way[number - 1], path)), way[number - 1])
            yield from wrapped(f"    {indent(number)}{where}", width)
        arrow = "→ " if number else ""
        own = size(account.paths[path].own) if path in account.paths else _UNKNOWN
        yield from wrapped(f"    {indent(number)}{arrow}{store_name(path)} ({own})", width)


def _place(place: Evidence | None, path: str) -> str:
    if place is None:
        return "(not found in the store of this machine)"
    inside = place.file.removeprefix(path).lstrip("/")
    return f"byte {place.offset:,} of {inside or place.file}"
