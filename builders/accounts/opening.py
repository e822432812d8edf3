"""What somebody names as an image: a plan, its graph, a stream script, an archive or a layout."""

import os
import shlex
import stat
from functools import partial
from typing import Final

from builders.accounts.known import PLAN, KnownImage
from builders.accounts.plans import known_graph, known_plan, read_json_file, with_compressed
from builders.console.errors import die

_STREAM: Final = "stream"
_SCRIPT_LIMIT: Final = 1 << 16


def open_image(
    path: str,
    *,
    graph: str | None = None,
    blobs: str | None = None,
    architecture: str | None = None,
    name: str | None = None,
    jobs: int = 1,
    with_files: bool = False,
) -> KnownImage:
    """Return what is known of the image at `path`, which may be a link to it.

    `name`, with a tag, is that of one of several images in an archive or a layout.

    `graph` is the path of its graph, for a plan whose own is elsewhere; `blobs` that of the JSON
    that describes its compressed layers. Equal files in an archive or a layout are looked for only
    if `with_files`. Nothing of it is run. Raises `UserError` where it is none
    of what is known, or damaged.
    """
    what = path
    is_plan = False
    whole = partial(
        _whole_image, name=name, architecture=architecture, jobs=jobs, with_files=with_files
    )
    is_whole = True
    if os.path.isdir(path):
        image = whole(path)
    else:
        first = _first_bytes(path)
        if first.startswith(b"#!"):
            path = _plan_of_script(path)
            what = f"the plan {path}"
            first = b"{"
        if first.lstrip()[:1] in (b"{", b"["):
            image = _known_document(path, what=what, graph=graph)
            is_whole = False
            is_plan = image.source == PLAN
        else:
            image = whole(path)
    if graph and not is_plan:
        die(f"{path} is no plan, and needs no graph from another place", hint="leave the graph out")
    if name is not None and not is_whole:
        die(f"{what} is of one image, and none of it can be chosen", hint="leave the name out")
    return with_compressed(image, blobs) if blobs else image


def _whole_image(
    path: str, *, name: str | None, architecture: str | None, jobs: int, with_files: bool
) -> KnownImage:
    # Not at the top: plans need none of what reads archives, which is most of the start.
    from builders.accounts.archives import known_archive
    from builders.formats.named_images import Choice

    before, colon, tag = (name or "").rpartition(":")
    if name is not None and (not colon or "/" in tag):
        before, tag = name, "latest"
    return known_archive(
        path,
        what=path,
        choice=Choice(before or None, tag or None, "--name", "its tag"),
        architecture=architecture,
        jobs=jobs,
        with_files=with_files,
    )


def _first_bytes(path: str) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                # It is opened again, and a pipe gives nothing twice.
                die(
                    f"{path} is no regular file",
                    hint="write it to a file and give the path of that",
                )
            return file.read(512)
    except FileNotFoundError:
        die(
            f"{path} does not exist",
            hint="check the path, and build the image; one of a registry is docker://NAME:TAG",
        )
    except OSError as error:
        die(f"can't read {path}: {error.strerror}", hint="check the path, and make it readable")


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe, too, without somebody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def _known_document(path: str, *, what: str, graph: str | None) -> KnownImage:
    document = read_json_file(path, what=what)
    if isinstance(document, dict) and "layers" in document:
        return known_plan(path, document, what=what, graph_path=graph)
    if isinstance(document, list) or "paths" in document:
        return known_graph(document, what=what)
    die(
        f"{path} is JSON, but neither an image plan nor the graph of a closure",
        hint="give the plan of an image, or the image itself",
    )


def _plan_of_script(path: str) -> str:
    """Return the path of the plan that the stream script at `path` streams."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_SCRIPT_LIMIT)
    for line in text.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        # The end of the command: the plan, and then what the script is given.
        if "exec" in words and _STREAM in words:
            plan = words[words.index(_STREAM) + 1 :][:1]
            if plan and os.path.isabs(plan[0]):
                return plan[0]
    die(
        f"{path} is a script, but no stream script of Longshore",
        hint="where it writes an image, run it and give the archive that it writes",
    )
