"""`longshore push`: sends an image to a registry, and of it what is not there.

The last line of standard output is the name of the image with its digest; what is going on is told
on standard error.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from builders.blobs.layer_compression import LayerCompression
from builders.compression.compress import COMPRESSOR_LEVELS
from builders.console.errors import UserError, die, remedy
from builders.console.terminal import tell
from builders.console.transfers import Transfers
from builders.formats.image_sources import Reading, read_source
from builders.formats.open_layouts import NamedOpenImage
from builders.processes import usable_cores
from builders.programs.diagnoses import StoreDiagnosis
from builders.programs.fetching import Fetcher
from builders.programs.given_image import add_image, architecture
from builders.programs.registry_access import client_of, transport_of
from builders.programs.spool_directory import spool_directory
from builders.registry.destinations import (
    Repository,
    TagReference,
    checked_tag,
    read_destination,
    read_repository,
)
from builders.registry.digest_cache import DigestCache, cache_path
from builders.registry.push import Push, Report, Settings
from builders.registry.survey import MountSource

DESCRIPTION: Final = "Send an image to a registry: only what is not there yet."
EXAMPLES: Final = (
    (
        "longshore push result registry.example/app:1.0",
        "Push what was built under this name.",
    ),
    (
        "longshore push result registry.example/app --tag 1.0 --tag latest",
        "Push it under two tags.",
    ),
    (
        "longshore push result registry.example/app:1.0 --mount-from registry.example/base:12",
        "Take over what another repository of the registry has.",
    ),
    (
        "longshore push result registry.example/app:1.0 --check",
        "Send what the registry has lost of an image that it has.",
    ),
    (
        "longshore push result localhost:5000/app:test --dry-run",
        "Say what would be sent, and send nothing.",
    ),
)

_JOBS: Final = 8
_JOBS_MAX: Final = 1000
"""Connections that are kept: each takes room before it is used."""


@dataclass(frozen=True)
class _Target:
    """The tags that an image gets in a repository."""

    repository: Repository
    tags: Sequence[str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add_image(parser)
    add("references", nargs="*", metavar="REF", help="where to push it; by default its own name")
    add(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        help="a tag, in place of the image's own where REF has none; may be given several times",
    )
    add(
        "--mount-from",
        action="append",
        default=[],
        metavar="REPOSITORY[:TAG]",
        help="a repository of the same registry that has layers of the image",
    )
    add("--jobs", type=int, default=_JOBS, metavar="N", help=f"uploads at a time ({_JOBS})")
    add(
        "--compress",
        choices=sorted(COMPRESSOR_LEVELS),
        help="compress layers so, whatever the image says",
    )
    add(
        "--exact",
        action="store_true",
        help="send a layer that is there already as another tool has compressed it",
    )
    add(
        "--check",
        action="store_true",
        help="look for every blob, also where the image is there, and send those that are lost",
    )
    add("--chunk-size", type=int, metavar="BYTES", help="send blobs in parts of that size")
    add("--insecure", action="store_true", help="take any certificate, or no TLS at all")
    add("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    add("--json", action="store_true", help="print a report instead of the digest")
    add("--digest-file", metavar="FILE", help="write the digest to this file as well")
    add("--attach", help=argparse.SUPPRESS)


def run(given: argparse.Namespace) -> None:
    """Push the image."""
    _check(given)
    shown = Transfers()
    try:
        with (
            spool_directory("longshore-push-") as directory,
            Fetcher(directory, tell=shown.log) as fetcher,
        ):
            reports = _push(given, directory, fetcher, shown)
    except BaseException:
        shown.abandon()
        raise
    if given.dry_run:
        _tell_plan(reports)
    else:
        shown.finish()
    if given.digest_file and reports[-1]["digest"]:
        _write_digest(given.digest_file, reports[-1]["digest"])
    _print(reports, as_json=given.json)


def _push(
    given: argparse.Namespace, directory: str, fetcher: Fetcher, shown: Transfers
) -> list[dict[str, Any]]:
    """Push the image to all places; files in `directory` are for this push alone."""
    cores = usable_cores()
    diagnosis = StoreDiagnosis(given.image)
    reading = Reading(
        compression=LayerCompression(given.compress) if given.compress else None,
        architecture=architecture(),
        jobs=cores,
        hint=diagnosis.hint,
        find=fetcher.find,
    )
    image = read_source(given.image, reading)
    targets = _targets(image, given)
    sources = [_source(text) for text in given.mount_from]
    transport = transport_of(os.environ, insecure=given.insecure, connections=given.jobs)
    cache = DigestCache(cache_path(os.environ))
    reports: list[dict[str, Any]] = []
    for target in targets:
        started = time.monotonic()
        before = (transport.requests, transport.sent)
        settings = Settings(
            jobs=given.jobs,
            threads=cores,
            directory=directory,
            diagnosis=diagnosis,
            exact=given.exact,
            check=given.check,
            dry=given.dry_run,
            chunk_size=given.chunk_size,
            sources=[
                source
                for source in sources
                if source.repository.registry == target.repository.registry
            ],
            supply=fetcher,
        )
        client = client_of(target.repository, transport, os.environ, insecure=given.insecure)
        push = Push(
            client,
            target.repository,
            target.tags,
            image.source,
            settings,
            cache=cache,
            shown=shown,
        )
        with _telling(reports):
            report = push.run()
        reports.append(
            {
                **_described(report, target),
                "requests": transport.requests - before[0],
                "bytesSent": transport.sent - before[1],
                "seconds": round(time.monotonic() - started, 3),
                "dryRun": given.dry_run,
            }
        )
    return reports


@contextmanager
def _telling(before: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Say in an error where the image is by now, as reports `before` tell."""
    try:
        yield
    except UserError as error:
        names = ", ".join(report["reference"] for report in before if report["reference"])
        if not names or before[0]["dryRun"]:
            raise
        die(f"{error.message}; pushed before was {names}", hint=error.hint)


def _check(given: argparse.Namespace) -> None:
    if given.attach is not None:
        die("nothing can be attached to an image yet", hint="leave out --attach")
    if not 1 <= given.jobs <= _JOBS_MAX:
        die(f"--jobs can't be {given.jobs}", hint=f"give a number from 1 to {_JOBS_MAX}")
    if given.chunk_size is not None and given.chunk_size < 1:
        die(f"--chunk-size can't be {given.chunk_size}", hint="give a number of bytes")
    if given.digest_file is not None:
        # Before there is something to write.
        _check_writable(given.digest_file)


def _check_writable(path: str) -> None:
    directory = os.path.dirname(path) or "."
    if not path or os.path.isdir(path):
        die(f"--digest-file can't be {path!r}, which is no file", hint="name a file")
    if not os.path.isdir(directory):
        die(f"there is no directory {directory} for --digest-file", hint="make it first")
    if not os.access(path if os.path.exists(path) else directory, os.W_OK):
        die(f"--digest-file {path} can't be written to", hint="name another file")


def _write_digest(path: str, digest: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(digest)
    except OSError as error:
        die(
            f"the image is pushed, and {path} can't be written: {error.strerror}",
            hint=remedy(error, otherwise="name another file"),
        )


def _targets(image: NamedOpenImage, given: argparse.Namespace) -> list[_Target]:
    """Return where the image goes, each repository once."""
    references = given.references or ([image.name] if image.name else [])
    if not references:
        die(f"{given.image} says no name of the image", hint="name the place to push it to")
    own = given.tag[0] if given.tag else image.tag
    found: dict[Repository, dict[str, None]] = {}
    for reference in references:
        destination: TagReference = read_destination(reference, tag=own)
        tags = found.setdefault(destination.repository, {})
        tags |= dict.fromkeys([destination.tag, *map(checked_tag, given.tag)])
    return [_Target(repository, list(tags)) for repository, tags in found.items()]


def _source(text: str) -> MountSource:
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return MountSource(read_repository(text, what=text))
    return MountSource(read_repository(name, what=text), checked_tag(tag))


def _described(report: Report, target: _Target) -> dict[str, Any]:
    name = str(target.repository)
    return {
        "name": name,
        "tags": list(target.tags),
        "digest": report.digest,
        "reference": f"{name}@{report.digest}" if report.digest else None,
        "blobs": [
            {
                "digest": blob.digest,
                "size": blob.size,
                "mediaType": blob.media_type,
                "status": blob.status.value,
            }
            for blob in report.blobs
        ],
    }


def _tell_plan(reports: Sequence[dict[str, Any]]) -> None:
    for report in reports:
        for blob in report["blobs"]:
            if blob["status"] != "there already":
                digest = blob["digest"] or "a layer whose digest is known once it is compressed"
                verb = "mount" if blob["status"] == "mounted" else "send"
                tell(f"would {verb} {digest}, {blob['size']} bytes")


def _print(reports: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(reports) if len(reports) > 1 else reports[0], indent=2))
        return
    for report in reports:
        if report["reference"]:
            print(report["reference"])
