"""Makes an image's archive: the stream of its plan, compressed."""

from dataclasses import dataclass

from builders.derivations import arguments
from builders.derivations.image_plan import output_hash
from builders.formats.compressed_image import write_image_file
from builders.image.plan import plan_from_json
from builders.remedies import CHECK_STORE


@dataclass(frozen=True)
class Arguments:
    """What image_file takes: the image `plan`, name and level of the `compressor`."""

    plan: str
    compressor: str
    compression_level: int | None


def main(_: list[str]) -> None:
    """Write the archive to the output."""
    build = arguments.load()
    given = build.arguments(Arguments)
    with open(given.plan, encoding="utf-8") as file:
        plan = plan_from_json(file.read())
    write_image_file(
        plan,
        build.out,
        repo_tag=plan.repo_tag if plan.tag else f"{plan.name}:{output_hash(build.out)}",
        compressor=given.compressor,
        level=given.compression_level,
        jobs=build.cores,
        hint=CHECK_STORE,
    )
