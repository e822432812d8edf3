"""Image indexes: one name for the images of several platforms.

Source: OCI image specification, "Image Index"; Docker's manifest list is the same
under another media type.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from builders.console.errors import UserError
from builders.formats.json_values import JsonValue, parse_json
from builders.image.platform import Platform

_VARIANTS: Final = (None, "v8", "v7", "v6", "v5")
"""The order in which skopeo prefers variants of an architecture when none is asked for."""
_UNKNOWN: Final = "unknown"
_SHOWN: Final = 30
"""Platforms that a message names. Debian's images are for ten."""


@dataclass(frozen=True)
class IndexEntry:
    """A manifest that an index lists.

    `digest` is "sha256:" and hexadecimal digits. `platform` is None where the index doesn't say,
    and so are its parts, as empty strings. `reference` is the name of the image, with a tag or a
    tag alone, None where the index has none. `is_index` is true of an index within the index.
    """

    digest: str
    platform: Platform | None
    reference: str | None
    is_index: bool


def index_entries(index: JsonValue) -> list[IndexEntry]:
    """Return what `index` lists, but for attestations, which are no images.

    Raises `UserError` where it is no index.
    """
    entries = map(_entry, index["manifests"].elements())
    return [entry for entry in entries if entry is not None]


def read_index(data: bytes, *, what: str, hint: str) -> list[IndexEntry] | None:
    """Return what an index lists, or None where `data` is the manifest of a single image.

    Raises `UserError` where it is neither; `what` names the source of `data`.
    """
    try:
        index = JsonValue(parse_json(data), what, hint)
    except ValueError as error:
        raise UserError(f"{what} is not JSON ({error})", hint=hint) from None
    # Both, since Go takes a key in any case.
    is_manifest = index["manifests"].value is None and "manifests" not in index.properties()
    return None if is_manifest else index_entries(index)


def choose_platform(entries: Sequence[IndexEntry], wanted: Platform) -> IndexEntry | None:
    """Return the entry that skopeo takes for a platform, or None where there is none."""
    fitting = [
        (entry, entry.platform.variant)
        for entry in entries
        if entry.platform
        and (entry.platform.os, entry.platform.architecture) == (wanted.os, wanted.architecture)
    ]
    preferred = [(entry, variant) for entry, variant in fitting if variant in _VARIANTS]
    ordered = sorted(preferred, key=lambda pair: _VARIANTS.index(pair[1])) or fitting
    return ordered[0][0] if ordered else None


def describe_platforms(entries: Sequence[IndexEntry]) -> str:
    """Return which platforms `entries` are for, in words."""
    found = list(dict.fromkeys(str(entry.platform) for entry in entries if entry.platform))
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join([*found[:_SHOWN], *more]) or "none"


def _entry(entry: JsonValue) -> IndexEntry | None:
    digest = entry["digest"].digest()
    annotations = entry["annotations"].or_else({})
    platform = _platform(entry["platform"])
    # docker buildx marks the attestation of an image so, and lists it under an unknown platform.
    if annotations.lookup("vnd.docker.reference.type").value is not None:
        return None
    if platform and platform.os == _UNKNOWN:
        return None
    return IndexEntry(
        digest=f"sha256:{digest}",
        platform=platform,
        reference=annotations.lookup("io.containerd.image.name").string_or_none()
        or annotations.lookup("org.opencontainers.image.ref.name").string_or_none(),
        is_index=(entry["mediaType"].string_or_none() or "").endswith(
            ("image.index.v1+json", "manifest.list.v2+json")
        ),
    )


def _platform(value: JsonValue) -> Platform | None:
    if value.value is None:
        return None
    return Platform(
        os=value["os"].string_or_none() or "",
        architecture=value["architecture"].string_or_none() or "",
        variant=value["variant"].string_or_none() or None,
    )
