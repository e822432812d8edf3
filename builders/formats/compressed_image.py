"""Writing the image of a plan to a file, compressed."""

from builders.compression.produce import compress_output
from builders.console.errors import writing
from builders.formats.image_stream import stream_image
from builders.image.plan import Plan
from builders.tar.sinks import LEAVE_ALONE


def write_image_file(
    plan: Plan,
    path: str,
    *,
    repo_tag: str,
    compressor: str,
    level: int | None,
    jobs: int,
    hint: str = LEAVE_ALONE,
) -> None:
    """Write the image of `plan` to the file `path`, with `jobs` processes or threads at a time.

    Its name and tag are `repo_tag`. `compressor` and `level` are those of
    `builders.compression.compress`; the bytes don't depend on `jobs`. Raises `UserError`
    as `stream_image` does, with `hint`.
    """

    def stream(output: int) -> None:
        # Nix gives builders a terminal, but shows and keeps their output as lines.
        stream_image(plan, output, repo_tag=repo_tag, jobs=jobs, moving=False, hint=hint)

    with writing(path), open(path, "wb") as target:
        compress_output(stream, target, compressor=compressor, level=level, threads=jobs)
