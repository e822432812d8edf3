"""Builds a layered image as a file: the stream of a plan, compressed."""

import os
import sys
import traceback
from dataclasses import dataclass
from typing import NoReturn

from builders import arguments
from builders.compression.compress import compress
from builders.console.errors import UserError
from builders.image.plan import Plan, from_json
from builders.image.stream import stream_image


@dataclass(frozen=True)
class Arguments:
    """What layered_image takes: the image `plan` and the name of the `compressor`."""

    plan: str
    compressor: str


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    with open(given.plan, encoding="utf-8") as file:
        plan = from_json(file.read())
    with open(build.out, "wb") as target:
        if given.compressor == "none":
            stream_image(plan, target.fileno(), jobs=build.cores, moving=False)
            return
        # The stream runs in a process of its own, beside the compressing threads.
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _stream_and_exit(plan, writer, build.cores)
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as source:
            compress(source, target, compressor=given.compressor, threads=build.cores)
        status = os.waitpid(child, 0)[1]
    if status:
        # The child has said why.
        raise SystemExit(1)


def _stream_and_exit(plan: Plan, output: int, jobs: int) -> NoReturn:
    status = 1
    try:
        # Nix gives builders a terminal, but shows and keeps their output as lines.
        stream_image(plan, output, jobs=jobs, moving=False)
        status = 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
