"""Streaming a planned image as a docker-archive: `docker load`'s input.

The archive holds, in this order, the base image's layers, the store layers, the
customisation layer, the image configuration and manifest.json (Docker image
specification v1.3.0, "Combined Image JSON + Filesystem Changeset Format").
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from builders.compression.streams import NONE
from builders.console.errors import UserError, die
from builders.console.progress import Progress
from builders.formats.base_image import BaseLayer, read_layers
from builders.image.configuration import ManifestEntry, archive_manifest, image_config
from builders.image.layering import hash_layers
from builders.image.plan import NOW, Base, Plan
from builders.layers.helpers import Helpers
from builders.layers.store_paths import write_store_layer
from builders.layers.tar_with_closure import write_closure_layer
from builders.tar.header import RECORD, REGULAR, Entry, end_of_archive, padding, pax_header
from builders.tar.sinks import FileSink, copy_file

_MODE: Final = 0o644


def resolve(plan: Plan, *, jobs: int) -> Plan:
    """Return `plan` with the current time for `NOW`, and the digests that follow from it."""
    now = int(time.time())
    if plan.created == NOW:
        plan = replace(plan, created=datetime.fromtimestamp(now, UTC).isoformat())
    if plan.mtime == NOW:
        plan = replace(plan, mtime=now)
        layers = hash_layers(
            plan.store_layers,
            graph=None,
            stamp=plan.stamp(),
            store_dir=plan.store_dir,
            jobs=jobs,
        )
        plan = replace(plan, store_layers=layers)
    return plan


def stream_image(
    plan: Plan,
    output: int,
    *,
    repo_tag: str | None = None,
    jobs: int = 1,
    moving: bool | None = None,
) -> None:
    """Write the image of `plan` to the file descriptor `output`.

    `repo_tag` replaces the plan's; `moving` is as in `Progress`. Raises
    `UserError`, possibly with a part of the image already written, where a file
    it needs is missing or not what it was when it was planned, or where nobody
    reads `output` any more.
    """
    check_paths(plan)
    plan = resolve(plan, jobs=jobs)
    progress = Progress(total=_estimate(plan), layers=_layer_count(plan), moving=moving)
    sink = FileSink(output, on_written=progress.update)
    with _write_errors(sink, progress), Helpers(jobs - 1, stamp=plan.stamp()) as helpers:
        _Archive(plan, sink, progress, helpers, repo_tag or plan.repo_tag).write()
        sink.flush()
    progress.finish(sink.written)


def check_paths(plan: Plan) -> None:
    """Raise `UserError` where a file of the image is missing, before any byte is out."""
    paths = [path for layer in plan.store_layers for path in layer.paths]
    paths.append(plan.customisation_layer.path)
    if plan.base:
        paths.append(plan.base.path)
    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        die(
            f"{missing[0]}{others} is missing, but the image {plan.repo_tag} needs it",
            hint="run 'nix-store --realise' on the stream script, or build the image again",
        )


class _Archive:
    """The members of one archive, written in order and each only once."""

    def __init__(
        self, plan: Plan, sink: FileSink, progress: Progress, helpers: Helpers, repo_tag: str
    ) -> None:
        self._plan = plan
        self._sink = sink
        self._progress = progress
        self._helpers = helpers
        self._repo_tag = repo_tag
        self._mtime = plan.stamp().mtime
        self._size = 0
        self._number = 0
        self._written: set[str] = set()

    def write(self) -> None:
        plan = self._plan
        names: list[str] = []
        if plan.base:
            names += self._base_layers(plan.base)
        else:
            self._progress.log("No 'fromImage' provided")
        for layer in plan.store_layers:
            names.append(self._store_layer(layer.paths, layer.digest, layer.size))
        names.append(self._customisation_layer())
        self._progress.log("Adding manifests...")
        config = image_config(plan)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        self._document(config_name, config)
        manifest = archive_manifest([ManifestEntry(config_name, [self._repo_tag], names)])
        self._document("manifest.json", manifest)
        self._sink.write(end_of_archive(self._size))

    def _base_layers(self, base: Base) -> list[str]:
        """Write the base image's layers, each once; return their names, lowest first."""
        by_offset: dict[int, BaseLayer] = {}
        for layer in base.layers:
            by_offset.setdefault(layer.offset, layer)
            self._begin(f"Adding base layer {self._number + 1} from {base.path}")
        layers = list(by_offset.values())
        if base.compression == NONE:
            with open(base.path, "rb", buffering=0) as archive:
                for layer in layers:
                    self._base_header(layer)
                    self._sink.copy_range(archive.fileno(), layer.offset, layer.size, base.path)
                    self._end(layer.size)
        else:
            # There is no way back in a compressed stream, and engines don't care for the order.
            layers.sort(key=lambda layer: layer.offset)
            for layer, chunks in read_layers(base.path, base.compression, layers):
                self._base_header(layer)
                for chunk in chunks:
                    self._sink.write(chunk)
                self._end(layer.size)
        return [by_offset[layer.offset].name for layer in base.layers]

    def _base_header(self, layer: BaseLayer) -> None:
        self._written.add(layer.name)
        self._header(
            Entry(
                name=layer.name,
                type=REGULAR,
                mode=layer.mode,
                uid=layer.uid,
                gid=layer.gid,
                mtime=layer.mtime,
                size=layer.size,
                uname=layer.uname,
                gname=layer.gname,
            )
        )

    def _store_layer(self, paths: tuple[str, ...], digest: str | None, size: int | None) -> str:
        if digest is None or size is None:
            raise ValueError("a layer of the plan is not hashed")
        self._begin(f"Creating layer {self._number + 1} from paths: {list(paths)}")
        name = f"{digest}/layer.tar"
        if self._member(name, size):
            written = write_store_layer(
                self._sink,
                paths,
                stamp=self._plan.stamp(),
                store_dir=self._plan.store_dir,
                helpers=self._helpers,
            )
            if written != size:
                die(
                    f"the layer of {', '.join(paths)} has {written} bytes, but {size} when the "
                    "image was planned",
                    hint="check the store with 'nix-store --verify --check-contents --repair'",
                )
            self._end(size)
        return name

    def _customisation_layer(self) -> str:
        layer = self._plan.customisation_layer
        self._begin(f"Creating layer {self._number + 1} with customisation...")
        name = f"{layer.digest}/layer.tar"
        if self._member(name, layer.size):
            if layer.closure:
                write_closure_layer(self._sink, layer.path, layer.closure)
            else:
                copy_file(self._sink, layer.path, layer.size)
            self._end(layer.size)
        return name

    def _document(self, name: str, data: bytes) -> None:
        if self._member(name, len(data)):
            self._sink.write(data)
            self._end(len(data))

    def _begin(self, line: str) -> None:
        self._number += 1
        self._progress.layer(line)

    def _member(self, name: str, size: int) -> bool:
        """Write the header of a member of our own; return False where the archive has it."""
        if name in self._written:
            return False
        self._written.add(name)
        self._header(
            Entry(name=name, type=REGULAR, mode=_MODE, uid=0, gid=0, mtime=self._mtime, size=size)
        )
        return True

    def _header(self, entry: Entry) -> None:
        header = pax_header(entry)
        self._sink.write(header)
        self._size += len(header)

    def _end(self, size: int) -> None:
        self._sink.write(bytes(padding(size)))
        self._size += size + padding(size)


@contextmanager
def _write_errors(sink: FileSink, progress: Progress) -> Iterator[None]:
    """Turn what can go wrong with the output into errors that say so."""
    try:
        yield
    except BrokenPipeError:
        progress.abandon()
        raise UserError(
            f"the reader of the image went away after {sink.written} bytes",
            hint="see what the command after the pipe says, and run the stream again",
        ) from None
    except OSError as error:
        progress.abandon()
        raise UserError(
            f"can't write the image: {error.strerror}",
            hint="see to the place that the stream is written to, and run it again",
        ) from None
    except UserError:
        progress.abandon()
        raise


def _layer_count(plan: Plan) -> int:
    return len(plan.store_layers) + 1 + (len(plan.base.layers) if plan.base else 0)


def _estimate(plan: Plan) -> int:
    """Return the size of the archive but for some headers, in bytes."""
    size = sum(layer.size or 0 for layer in plan.store_layers) + plan.customisation_layer.size
    if plan.base:
        size += sum(layer.size for layer in plan.base.layers)
    return size + RECORD
