"""What changed from one image to another, as text that fits a terminal."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from builders.accounts.account import Account, known_layer_size, store_name
from builders.accounts.causes import REASONS, Cause
from builders.accounts.comparison import (
    Comparison,
    FieldChange,
    LayerChange,
    PackageChange,
    Transfer,
)
from builders.accounts.text import layer_contents
from builders.console.progress import size
from builders.console.tables import Column, table, wrapped
from builders.console.terminal import visible

_MOST: Final = 30
"""Rows of each table, where not all are asked for."""

_NOTHING: Final = "∅"
_UNKNOWN: Final = "?"


def comparison_lines(comparison: Comparison, *, width: int, every: bool = False) -> Iterator[str]:
    """Yield the lines that say what changed; `every` for tables with all their rows."""
    old, new = comparison.old, comparison.new
    most = None if every else _MOST
    unnamed = "image without a name"
    names = f"{old.image.name or unnamed} → {new.image.name or unnamed}"
    yield from wrapped(names, width)
    yield from wrapped(f"size: {_sizes(old, new)}", width)
    yield from wrapped(f"push: {_transfer(comparison.push)}", width)
    yield from wrapped(f"pull: {_pull(comparison)}", width)
    yield from _causes(comparison, width=width, most=most)
    yield from _packages(comparison, width=width, most=most)
    yield from _layers(comparison, width=width, most=most)
    yield from _config(comparison.config, width=width)
    notes = dict.fromkeys((*old.image.unknown, *new.image.unknown))
    if notes:
        yield ""
    for sentence in notes:
        yield from wrapped(f"Note: {sentence}.", width)


def _sizes(old: Account, new: Account) -> str:
    before, after = (size(one.size) if one.has_sizes else _UNKNOWN for one in (old, new))
    if not (old.has_sizes and new.has_sizes):
        return f"{before} → {after}"
    return f"{before} → {after} ({_change(new.size - old.size)})"


def _change(count: int) -> str:
    return f"{'-' if count < 0 else '+'}{size(abs(count))}"


def _transfer(transfer: Transfer | None) -> str:
    if transfer is None:
        return "not known: a closure has no layers yet"
    if not transfer.layers and not transfer.documents:
        what = "layers are" if transfer.documents is None else "image is"
        return f"nothing: the {what} the same"
    documents = ""
    if transfer.documents is not None:
        documents = f"{size(transfer.documents)} of manifest and configuration"
    if not transfer.layers:
        return f"no layer, only {documents}"
    layers = f"{transfer.layers} layer{'' if transfer.layers == 1 else 's'}"
    before = "" if transfer.size is None else f"{size(transfer.size)} before compression"
    if transfer.compressed is not None:
        before = size(transfer.compressed) + (before and f" ({before})")
    return f"{layers}, {before or 'of unknown size'}" + (documents and f", and {documents}")


def _pull(comparison: Comparison) -> str:
    if comparison.push == comparison.pull_by_chain:
        return "the same"
    return (
        "the same; by engines that know a layer by those below it: "
        f"{_transfer(comparison.pull_by_chain)}"
    )


def _cause_row(cause: Cause) -> tuple[str, str, str]:
    old, new = _versions(cause.old), _versions(cause.new)
    versions = _arrow(old, new) if any((*old, *new)) else _NOTHING
    return cause.package, versions, REASONS[cause.reason]


def _versions(paths: Sequence[str]) -> tuple[str, ...]:
    from builders.closure.package_names import parse_name

    return tuple(sorted({parse_name(store_name(path))[1] for path in paths}))


def _arrow(old: Sequence[str], new: Sequence[str]) -> str:
    before, after = (", ".join(dict.fromkeys(side)) or _NOTHING for side in (old, new))
    return before if old == new else f"{before} → {after}"


def _causes(comparison: Comparison, *, width: int, most: int | None) -> Iterator[str]:
    causes = comparison.causes
    if causes.causes:
        yield ""
        yield from wrapped("Causes (what else changed only refers to these):", width)
        for cause in causes.causes[:most]:
            package, versions, reason = map(visible, _cause_row(cause))
            shown = f" {versions}" if versions != _NOTHING else ""
            yield from wrapped(f"  {package}{shown}: {reason}", width)
        yield from _more(len(causes.causes), most, width)
    if causes.perhaps:
        names = ", ".join(dict.fromkeys(store_name(path) for path in causes.perhaps))
        yield from wrapped(f"  perhaps by themselves, too: {names}", width)


def _more(count: int, most: int | None, width: int) -> Iterator[str]:
    if most is not None and count > most:
        yield from wrapped(f"  and {count - most} more; --all shows them", width)


def _packages(comparison: Comparison, *, width: int, most: int | None) -> Iterator[str]:
    changed = [one for one in comparison.packages if not one.is_only_rebuilt]
    rebuilt = [one for one in comparison.packages if one.is_only_rebuilt]
    if changed:
        yield ""
        rows = [_package_row(one) for one in changed[:most]]
        yield from table((Column("bytes"), Column("package")), rows, width=width)
        yield from _more(len(changed), most, width)
    if rebuilt:
        count = f"{len(rebuilt)} package{'' if len(rebuilt) == 1 else 's'}"
        names = ", ".join(one.package for one in rebuilt)
        if not changed:
            yield ""
        yield from wrapped(f"{count} of the same versions, built again: {names}", width)


def _package_row(one: PackageChange) -> tuple[str, str]:
    versions = _arrow(*(tuple(v or "-" for v in side) for side in (one.old, one.new)))
    known = one.new_bytes is not None and one.old_bytes is not None
    bytes_ = _change((one.new_bytes or 0) - (one.old_bytes or 0)) if known else _UNKNOWN
    return bytes_, f"{one.package}: {versions}"


_LAYERS: Final = (Column("layer"), Column("size"), Column("blob", 1), Column("changed through"))


def _layers(comparison: Comparison, *, width: int, most: int | None) -> Iterator[str]:
    if not comparison.layers:
        return
    yield ""
    rows = [
        (
            str(change.layer.number),
            _shown_size(known_layer_size(comparison.new, change.layer)),
            _shown_size(change.layer.known.blob_size),
            through(change),
        )
        for change in comparison.layers[:most]
    ]
    yield from table(_LAYERS, rows, width=width)
    yield from _more(len(comparison.layers), most, width)


def _shown_size(count: int | None) -> str:
    return _UNKNOWN if count is None else size(count)


def through(change: LayerChange) -> str:
    """Return why a layer changed, in words."""
    if change.is_recompressed:
        return "compressed in another way"
    if change.is_dated and not change.changed:
        return "takes the time when it is written"
    if change.way:
        more = len(change.changed) - 1
        rest = f" (and {more} more)" if more else ""
        return " → ".join(map(store_name, change.way)) + rest
    if change.changed:
        return ", ".join(map(store_name, change.changed[:4]))
    if change.moved:
        return f"other neighbours: {', '.join(map(store_name, change.moved[:4]))}"
    return layer_contents(change.layer)


def _config(fields: Sequence[FieldChange], *, width: int) -> Iterator[str]:
    if fields:
        yield ""
        yield "Configuration:"
    for field in fields:
        if field.follows:
            yield from wrapped(
                visible(f"  {field.field}: follows the hashes of store paths"), width
            )
        else:
            values = f"{_value(field.old)} → {_value(field.new)}"
            yield from wrapped(f"  {field.field}: {values}", width)


def _value(value: Any) -> str:
    return _NOTHING if value is None else json.dumps(value, ensure_ascii=False)
