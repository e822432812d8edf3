"""exportImage of an image, beside `tar -x` of its layers into a directory and `tar -c` of that.

    export_image.py ours ARCHIVE OUTPUT      what the builder of exportImage does

As a module: `compare_export(python, stream, pairs=…)`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from builders.image.archive import read_base_image
from builders.image.layer_files import open_layers
from builders.rootfs.export import write_file_system
from builders.rootfs.merged import merge_layers
from builders.tar.header import DEFAULT_MTIME
from builders.tar.sinks import FileSink
from pairs import Comparison, Run, run, spread

# With --anchored and so on the same as what the reference packs with.
PACK = 'tar --sort=name --mtime=@315532800 -C "$0" -cf "$1" .'


def compare_export(
    python: str, stream: Sequence[str], *, pairs: int, compress: Sequence[str] = ("cat",)
) -> Comparison:
    """Export the image that the command `stream` streams, and do it with tar, `pairs` times.

    `python` runs the builders, `compress` is what the image is compressed with. tar gets the
    layers uncompressed, each in a file of its own, and need not look for them. Both write into
    files beside each other; what they leave behind is removed between the runs, untimed.
    """
    with tempfile.TemporaryDirectory() as directory:
        archive = f"{directory}/image.tar"
        with open(archive, "wb") as file:
            streaming = subprocess.Popen(stream, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            subprocess.run(compress, stdin=streaming.stdout, stdout=file, check=True)
            if streaming.wait():
                raise RuntimeError(f"{stream[0]} failed")
        layers = _write_layers(archive, directory)
        measured = []
        for number in range(pairs + 1):
            pair = (_ours(python, archive, directory), _tar(layers, directory))
            # The first one of each only warms up.
            if number:
                measured.append(pair)
    return Comparison(
        ours=spread([ours.seconds for ours, _ in measured]),
        other=spread([other.seconds for _, other in measured]),
        ratio=spread([other.seconds / ours.seconds for ours, other in measured]),
        peak=max(ours.peak for ours, _ in measured),
    )


def _write_layers(archive: str, directory: str) -> list[str]:
    """Write each layer of the image to a file of its own."""
    paths = []
    image = read_base_image(archive, jobs=len(os.sched_getaffinity(0)))
    with open_layers(image, directory=directory, what=archive) as layers:
        for number, layer in enumerate(layers):
            paths.append(f"{directory}/layer-{number}.tar")
            with open(paths[-1], "wb", buffering=0) as file:
                sink = FileSink(file.fileno())
                sink.copy_range(layer.fd, layer.offset, layer.size, archive)
    return paths


def _ours(python: str, archive: str, directory: str) -> Run:
    output = f"{directory}/ours.tar"
    measured = run([python, "-B", __file__, "ours", archive, output])
    os.remove(output)
    return measured


def _tar(layers: Sequence[str], directory: str) -> Run:
    tree, output = f"{directory}/tree", f"{directory}/other.tar"
    os.mkdir(tree)
    unpack = 'for layer in "${@:2}"; do tar -C "$0" -xpf "$layer"; done'
    measured = run(["bash", "-ec", f"{unpack}; {PACK}", tree, output, *layers])
    shutil.rmtree(tree)
    os.remove(output)
    return measured


def export(archive: str, output: str) -> None:
    """Write the file system of the image in `archive` to the file `output`."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(output)) as directory:
        image = read_base_image(
            archive, jobs=len(os.sched_getaffinity(0)), spool=f"{directory}/spool.tar"
        )
        with (
            open_layers(image, directory=directory, what=archive) as layers,
            open(output, "wb", buffering=0) as file,
        ):
            sink = FileSink(file.fileno())
            write_file_system(sink, merge_layers(layers), mtime=DEFAULT_MTIME)
            sink.flush()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "ours":
        sys.exit(__doc__)
    export(*sys.argv[2:])
