"""Streaming a planned image as a Docker archive: `docker load`'s input."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from operator import itemgetter

from builders.console.errors import UserError, die
from builders.console.progress import Progress
from builders.formats.docker_archive import DockerArchiveWriter, ImageEntry, member_names
from builders.image.configuration import image_config
from builders.image.layer_kinds import BaseLayer, in_reading_order
from builders.image.plan import Plan
from builders.layers.resources import Resources
from builders.tar.header import RECORD
from builders.tar.sinks import LEAVE_ALONE, FileSink, Sink


def stream_image(
    plan: Plan,
    output: int,
    *,
    repo_tag: str | None = None,
    jobs: int = 1,
    moving: bool | None = None,
    hint: str = LEAVE_ALONE,
    missing_hint: str = "build the image again",
) -> None:
    """Write the image of `plan` to the file descriptor `output`.

    `repo_tag` replaces the plan's; `moving` is as in `Progress`. Raises `UserError`, possibly with
    a part of the image already written, where a file it needs is missing or not what it was when
    it was planned, or where nobody reads `output` any more; `missing_hint` says what to do about a
    file that is missing from the start, and `hint` about any other.
    """
    check_paths(plan, hint=missing_hint)
    plan = plan.resolve(jobs=jobs, hint=hint)
    progress = Progress(
        total=RECORD + sum(layer.blob.size for layer in plan.layers),
        layers=len(plan.layers),
        moving=moving,
    )
    sink = FileSink(output, on_written=progress.update)
    with _write_errors(sink, progress), Resources(helpers=jobs - 1, hint=hint) as resources:
        _write(plan, sink, progress, resources, repo_tag or plan.repo_tag)
        sink.flush()
    progress.finish(sink.written)


def check_paths(plan: Plan, *, hint: str) -> None:
    """Raise `UserError` where a file of the image is missing; `hint` says what to do."""
    paths = [path for layer in plan.layers for path in layer.needs]
    missing = [path for path in dict.fromkeys(paths) if not os.path.lexists(path)]
    if missing:
        others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        die(
            f"{missing[0]}{others} is missing, but the image {plan.repo_tag} needs it",
            hint=hint,
        )


def _write(plan: Plan, sink: Sink, progress: Progress, resources: Resources, repo_tag: str) -> None:
    if not isinstance(plan.mtime, int):
        raise ValueError("the plan's mtime is not resolved")
    archive = DockerArchiveWriter(sink, mtime=plan.mtime)
    if not any(isinstance(layer, BaseLayer) for layer in plan.layers):
        progress.log("No 'fromImage' provided")
    image = ImageEntry(image_config(plan), [repo_tag], [])
    names = member_names(plan.layers, config=image.config_name)
    named = zip(names, plan.layers, strict=True)
    for number, (name, layer) in enumerate(in_reading_order(named, layer_of=itemgetter(1)), 1):
        progress.layer(layer.describe(number))
        archive.add_layer(name, layer, partial(layer.write, sink, resources))
    progress.log("Adding manifests...")
    archive.finish([replace(image, layers=names)])


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
