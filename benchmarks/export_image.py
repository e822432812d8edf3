"""The builder of exportImage, beside `tar -x` of the image's layers and `tar -c` of the result.

    export_image.py ARCHIVE [PAIRS]

prints both, and the ratio, for the image in an uncompressed archive.
"""

import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence

from pairs import Comparison, Run, run, spread

# $0 is an empty directory, $1 the archive to make, the layers follow.
TAR = """
for layer in "${@:2}"; do tar -C "$0" -xpf "$layer"; done
tar -C "$0" --sort=name --mtime=@315532800 -cf "$1" .
"""


def compare_export(
    builders: Sequence[str], archive: str, *, layers: Sequence[str], pairs: int
) -> Comparison:
    """Export the image in `archive` and do it with tar, `pairs` times in turn.

    `builders` is the command that runs one; `layers` are the uncompressed layers in files of
    their own, so that tar need not look for them. Both write to files in the directory of
    `archive`. What they leave behind is removed between the runs, untimed. The first run of each
    doesn't count.
    """
    directory = os.path.dirname(archive)
    measured = []
    for number in range(pairs + 1):
        ours, other = _ours(builders, archive, directory), _tar(layers, directory)
        if number:
            measured.append((ours, other))
    return Comparison(
        ours=spread([ours.seconds for ours, _ in measured]),
        other=spread([other.seconds for _, other in measured]),
        ratio=spread([other.seconds / ours.seconds for ours, other in measured]),
        peak=max(ours.peak for ours, _ in measured),
    )


def write_layers(archive: str, directory: str) -> list[str]:
    """Write the layers of the image in `archive`, lowest first, to files in `directory`."""
    paths = []
    with tarfile.open(archive) as members:
        manifest = members.extractfile("manifest.json")
        assert manifest
        for number, name in enumerate(json.load(manifest)[0]["Layers"]):
            layer = members.extractfile(name)
            assert layer
            paths.append(f"{directory}/layer-{number}.tar")
            with open(paths[-1], "wb") as file:
                shutil.copyfileobj(layer, file)
    return paths


def _ours(builders: Sequence[str], archive: str, directory: str) -> Run:
    top, output = f"{directory}/build", f"{directory}/ours.tar"
    os.mkdir(top)
    arguments = {
        "where": "in dockerTools.exportImage",
        "from_image": archive,
        "from_image_name": None,
        "from_image_tag": None,
        "is_program": False,
        "architecture": "amd64",
    }
    attributes = {"outputs": {"out": output}, "arguments": arguments}
    pathlib.Path(top, ".attrs.json").write_text(json.dumps(attributes))
    environment = ["env", f"NIX_BUILD_TOP={top}", "NIX_BUILD_CORES=0"]
    measured = run([*environment, *builders, "export_image"])
    shutil.rmtree(top)
    os.remove(output)
    return measured


def _tar(layers: Sequence[str], directory: str) -> Run:
    tree, output = f"{directory}/tree", f"{directory}/other.tar"
    os.mkdir(tree)
    measured = run(["bash", "-ec", TAR, tree, output, *layers])
    shutil.rmtree(tree)
    os.remove(output)
    return measured


def main() -> None:
    """Measure one archive."""
    if len(sys.argv) not in (2, 3):
        sys.exit((__doc__ or "").strip())
    pairs = int(sys.argv[2]) if len(sys.argv) == 3 else 5
    with tempfile.TemporaryDirectory() as directory:
        archive = shutil.copyfile(sys.argv[1], f"{directory}/image.tar")
        layers = write_layers(archive, directory)
        builders = [sys.executable, "-I", str(pathlib.Path(__file__).parents[1] / "builders")]
        measured = compare_export(builders, archive, layers=layers, pairs=pairs)
    print(f"exportImage {measured.ours} s, tar {measured.other} s, ratio {measured.ratio}")
    print(f"peak memory {measured.peak / (1 << 20):.0f} MiB")


if __name__ == "__main__":
    main()
