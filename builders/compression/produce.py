"""Compressing what another process produces, while it does."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn

from builders.compression.compress import compress
from builders.console.errors import explained, print_error


def compress_output(
    produce: Callable[[int], None],
    target: BinaryIO,
    *,
    compressor: str,
    level: int | None,
    threads: int,
) -> None:
    """Compress into `target` what `produce` writes to the file descriptor that it gets.

    `produce` runs in a process of its own, beside the compressing threads, and where nothing is to
    be compressed in this one. Its `UserError` is shown, and ends this process.
    """
    if compressor == "none":
        produce(target.fileno())
        return
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _produce_and_exit(produce, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb", buffering=0) as source:
            compress(source, target, compressor=compressor, level=level, threads=threads)
    except BaseException:
        # Else it would complain that nobody reads, before it is said why.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    status = os.waitpid(child, 0)[1]
    if status:
        # The child has said why.
        raise SystemExit(1)


def _produce_and_exit(produce: Callable[[int], None], output: int) -> NoReturn:
    status = 1
    try:
        produce(output)
        status = 0
    except BaseException as error:
        found = explained(error)
        if found:
            print_error(found)
        else:
            traceback.print_exc()
    finally:
        os._exit(status)
