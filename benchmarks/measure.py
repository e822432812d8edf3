"""Runs benchmarks and writes their figures into RESULTS.md; `benchmarks/run` starts it.

    measure.py --list
    measure.py BUILT [--pairs N] [NAME]…

BUILT is what images.nix makes; PYTHONPATH is BUILT too, so that it is the installed builders that
are measured, with their byte code. Figures that are not measured again stay as they
are: results.json keeps them, and RESULTS.md is made of it.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bench import HERE, MIB, Bench, machine, row
from export_image import compare_export, write_layers
from pairs import compare, first_byte, run, spread
from push import push
from report import Measured, Row, sharing_cells, write_table

RESULTS = HERE / "results.json"
TABLE = HERE / "RESULTS.md"


def stream_tar(bench: Bench) -> list[Row]:
    """Stream to a pipe, beside GNU tar of the same store paths, which hashes nothing either."""
    rows = []
    for image, what in (
        ("large", "stream, 3.5 GB"),
        ("mixed", "stream, 4,000 files of 0 to 1 MB"),
        ("small", "stream, 200,000 files of 1 KiB"),
    ):
        with bench.tar(image) as tar:
            measured = compare(bench.stream(image), tar, pairs=bench.pairs)
        rows.append(row(what, "GNU tar", measured, at_least=0.91 if image == "large" else 1))
    return rows


def start_up(bench: Bench) -> list[Row]:
    """Start a stream script, until its first byte is there."""
    large, tenth = (
        spread([first_byte(bench.stream(image)) for _ in range(bench.pairs)])
        for image in ("large", "tenth")
    )
    return [
        Row(
            what="start of the stream of 3.5 GB",
            against="an image a tenth as large",
            unit="s",
            ours=large,
            other=tenth,
            at_most=0.15,
        )
    ]


def stream_tarfile(bench: Bench) -> list[Row]:
    """Stream to a pipe, beside Python's tarfile twice over each layer."""
    streamer = bench.python("tarfile_streamer.py", bench.plan("large"))
    measured = compare(bench.stream("large"), streamer, pairs=bench.pairs)
    return [row("stream, 3.5 GB", "Python's tarfile, twice", measured, at_least=8)]


def plan(bench: Bench) -> list[Row]:
    """Hash all layers on all cores, beside the same code in one process and one thread."""
    rows = []
    for image, what, against, how, at_least in (
        ("spread", "plan, a layer for each store path", "one process", "one", 1.8),
        ("small", "plan, 200,000 files of 1 KiB in one layer", "one process", "one", 1.8),
        ("large", "plan, 100 layers, one of them 3.4 GB", "one process", "one", 1.8),
        ("large", "the same", "SHA-256 of the largest layer, in memory", "bare", 0.8),
    ):
        measured = compare(
            bench.python("hash_layers.py", bench.plan(image), "all"),
            bench.python("hash_layers.py", bench.plan(image), how),
            pairs=bench.pairs,
        )
        rows.append(row(what, against, measured, at_least=at_least))
    return rows


def compression(bench: Bench) -> list[Row]:
    """Write a compressed image, beside a stream of it through pigz or zstd on all cores."""
    rows = []
    cores = len(os.sched_getaffinity(0))
    for name, program, at_least, more in (
        ("gz", ["pigz", f"-p{cores}", "-nT"], 2.5, 1.01),
        ("zstd", ["zstd", "-qT0"], 1.0, 1.01),
    ):
        ours = bench.python("write_image.py", bench.plan("tenth"), name)
        other = ["sh", "-c", shlex.join(bench.stream("tenth")) + " | " + shlex.join(program)]
        against = f"the stream through {shlex.join(program)}"
        measured = compare(ours, other, pairs=bench.pairs)
        rows.append(row(f"write 0.3 GB as {name}", against, measured, at_least=at_least))
        sizes = [count(command) / MIB for command in (ours, other)]
        rows.append(
            Row(
                what=f"size of 0.3 GB as {name}",
                against=against,
                unit="MiB",
                ours=spread(sizes[:1]),
                other=spread(sizes[1:]),
                at_most=round(sizes[1] * more, 1),
            )
        )
        peak = spread([run(ours).peak / MIB for _ in range(bench.pairs)])
        rows.append(
            Row(
                what=f"peak memory of writing 0.3 GB as {name}",
                against="the same",
                unit="MiB",
                ours=peak,
                other=peak,
                at_most=190,
            )
        )
    return rows


def blobs(bench: Bench) -> list[Row]:
    """Find out the digests of compressed layers, beside writing the same as one compressed file."""
    ours = bench.python("compress_layers.py", bench.plan("large"), "gz")
    other = bench.python("write_image.py", bench.plan("large"), "gz")
    measured = compare(ours, other, pairs=bench.pairs)
    peak = spread([run(ours).peak / MIB])
    return [
        row("digests of compressed layers, 3.5 GB", "one gz file of it", measured, at_least=0.91),
        Row(
            what="peak memory of that",
            against="the same",
            unit="MiB",
            ours=peak,
            other=peak,
            at_most=190,
        ),
    ]


def decompression(bench: Bench) -> list[Row]:
    """Read a base image of gzip, beside Python's zlib."""
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as file:
        stream = subprocess.Popen(
            bench.stream("tenth"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        subprocess.run(["pigz", "-nT"], stdin=stream.stdout, stdout=file, check=True)
        stream.wait()
        measured = compare(
            bench.python("read_gzip.py", file.name, "ours"),
            bench.python("read_gzip.py", file.name, "zlib"),
            pairs=bench.pairs,
        )
    return [row("read a base image of 0.3 GB as gz", "Python's zlib", measured, at_least=2)]


def export_image(bench: Bench) -> list[Row]:
    """Make one tar of an image's files, beside tar -x of its layers and tar -c of the tree."""
    with tempfile.TemporaryDirectory() as directory:
        archive = f"{directory}/image.tar"
        with open(archive, "wb") as file:
            subprocess.run(
                bench.stream("third"), stdout=file, stderr=subprocess.DEVNULL, check=True
            )
        layers = write_layers(archive, directory)
        builders = [str(bench.built / "python"), "-I", str(bench.built / "builders")]
        measured = compare_export(builders, archive, layers=layers, pairs=bench.pairs)
        size = os.path.getsize(archive) / 1e9
    return [
        row(f"export an image of {size:.1f} GB", "tar -x, tar -c", measured, at_least=0.67),
        Row(
            what=f"peak memory of exporting {size:.1f} GB",
            against="the same",
            unit="MiB",
            ours=spread([measured.peak / MIB]),
            other=spread([measured.peak / MIB]),
            at_most=143,
        ),
    ]


def build_image(bench: Bench) -> list[Row]:
    """Build an image of one layer, beside rsync, tar, tar -r, sha256sum, tar and pigz."""
    paths = bench.paths("third")
    tree = max(paths, key=lambda path: len(os.listdir(path)))
    with tempfile.NamedTemporaryFile("w") as closure:
        closure.write("\n".join(sorted(paths)) + "\n")
        closure.flush()
        measured = compare(
            bench.python("build_image.py", bench.plan("third"), tree),
            [str(HERE / "build_image_by_shell.sh"), closure.name, tree],
            pairs=bench.pairs,
        )
    return [row("build an image of 1 GB in one layer", "a pipeline of tools", measured, at_least=3)]


def count(command: Sequence[str]) -> int:
    """Return how many bytes `command` writes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        size = 0
        while data := process.stdout.read(MIB):
            size += len(data)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return size


def memory(bench: Bench) -> list[Row]:
    """Peak resident memory of streaming an image, and one ten times as large."""
    peaks = {}
    for image in ("tenth", "large"):
        measured = [run(bench.stream(image)).peak / MIB for _ in range(bench.pairs)]
        peaks[image] = spread(measured)
    return [
        Row(
            what="peak memory of streaming 3.5 GB",
            against="an image a tenth as large",
            unit="MiB",
            ours=peaks["large"],
            other=peaks["tenth"],
            at_most=95,
        )
    ]


def load(bench: Bench) -> list[Row]:
    """Load images into Docker, beside `docker load` of their streams."""
    # Not above: it needs what the tests of engines need.
    from load_image import measure_loads

    return measure_loads(bench)


GRAPHS = (5_000, 10_000, 20_000, 50_000)


def plan_graph(bench: Bench) -> Measured:
    """Lay out up to 50,000 store paths with 8 references each, without hashing."""
    rows = []
    curves = []
    for layering, at_most in (("popularity", 3), ("size", 5), ("co-change", 3)):
        seconds = []
        for paths in GRAPHS:
            with tempfile.NamedTemporaryFile("w") as graph:
                # Not here: the peak of each process to come would be that of this one.
                subprocess.run(bench.python("make_graph.py", str(paths)), stdout=graph, check=True)
                command = bench.python("plan_graph.py", graph.name, layering)
                runs = [json.loads(subprocess.check_output(command)) for _ in range(bench.pairs)]
            seconds.append(spread([measured["seconds"] for measured in runs]))
        peak = spread([measured["peak"] / MIB for measured in runs])
        name = {"popularity": "popularity contest", "size": "size cohorts"}.get(layering, layering)
        curve = [measured.median for measured in seconds]
        curves.append({"name": name, "sizes": list(GRAPHS), "seconds": curve})
        for unit, ours, other, most in (
            ("s", seconds[-1], seconds[0], at_most),
            ("MiB", peak, peak, 477),
        ):
            what = "layers" if unit == "s" else "peak memory of layers"
            rows.append(
                Row(
                    what=f"{what} of {GRAPHS[-1]:,} paths by {layering}",
                    against=f"{GRAPHS[0]:,} paths" if unit == "s" else "the same",
                    unit=unit,
                    ours=ours,
                    other=other,
                    at_most=most,
                )
            )
    return Measured(rows, curves=curves)


def sharing(bench: Bench) -> Measured:
    """How many bytes are in layers that stay when an image is built again; takes no time."""
    # Not above: --list does without the builders.
    from sharing import all_updates, find, read, real_updates, share, updated, without

    lines = []
    every = []
    for closure, package, library, added in (
        ("tools", "git", "libssl3", "jq"),
        ("office", "ffmpeg", "zlib1g", "ffmpeg"),
        ("large", "blender", "libssl3", "kicad"),
    ):
        graph = read(bench.built / f"{closure}-graph")
        every.append({"closure": f"{closure}, {len(graph)} paths", "means": all_updates(graph)})
        for change, old, new in (
            (f"{package} updated", graph, updated(graph, find(graph, package))),
            (f"{library} updated", graph, updated(graph, find(graph, library))),
            (f"{added} added", without(graph, find(graph, added)), graph),
        ):
            shared = share(old, new)
            what = f"{closure}, {len(graph)} paths"
            lines.append({"closure": what, "change": change, **asdict(shared)})
    return Measured([], sharing=lines, every_update=every, real_updates=real_updates())


BENCHMARKS: dict[str, Callable[[Bench], list[Row] | Measured]] = {
    "stream-tar": stream_tar,
    "start-up": start_up,
    "stream-tarfile": stream_tarfile,
    "plan": plan,
    "plan-graph": plan_graph,
    "compression": compression,
    "blobs": blobs,
    "decompression": decompression,
    "build-image": build_image,
    "export-image": export_image,
    "load": load,
    "memory": memory,
    "push": push,
    "sharing": sharing,
}


def main() -> None:
    """Measure what is asked for."""
    if sys.argv[1:] == ["--list"]:
        for name, function in BENCHMARKS.items():
            print(f"  {name:<16} {(function.__doc__ or '').splitlines()[0]}")
        return
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument("built", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=5, metavar="N")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_intermixed_args()
    for name in given.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark '{name}'; there are {', '.join(BENCHMARKS)}")
    if given.pairs < 1:
        parser.error("--pairs must be 1 or more")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    bench = Bench(given.built, given.pairs, small=given.small)
    for name in given.names or BENCHMARKS:
        measured = BENCHMARKS[name](bench)
        if not isinstance(measured, Measured):
            measured = Measured(measured)
        for line in measured.rows:
            print(f"{name}: {'; '.join(filter(None, line.cells()))}", flush=True)
        for shared in measured.sharing:
            print(f"{name}: {'; '.join(sharing_cells(shared))}", flush=True)
        results[name] = {"machine": machine(given.pairs), **measured.to_json()}
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        write_table(TABLE, results, BENCHMARKS)


if __name__ == "__main__":
    main()
