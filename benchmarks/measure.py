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
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from export_image import compare_export, write_layers
from pairs import Comparison, Run, compare, first_byte, run, spread
from push import Image, Pushes, registry, times
from report import Measured, Row, sharing_cells, write_table

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results.json"
TABLE = HERE / "RESULTS.md"
MIB = 1 << 20


@dataclass(frozen=True)
class Bench:
    """What the benchmarks have to work with: what was built, and how often to measure.

    `small` takes an image of a tenth where others would take long.
    """

    built: pathlib.Path
    pairs: int
    small: bool = False

    def stream(self, image: str) -> list[str]:
        """Return the command that streams `image`."""
        return [str(self.built / image)]

    def plan(self, image: str) -> str:
        """Return the path of the plan of `image`."""
        return str(self.built / f"{image}.json")

    def paths(self, image: str) -> list[str]:
        """Return the store paths of `image`, in the order of its layers."""
        plan = json.loads(pathlib.Path(self.plan(image)).read_text())
        return [path for layer in plan["layers"] for path in layer.get("paths", ())]

    def python(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs a script of this directory."""
        return [str(self.built / "python"), "-B", str(HERE / script), *arguments]

    @contextmanager
    def tar(self, image: str) -> Iterator[list[str]]:
        """Give the command with which GNU tar writes the store paths of `image` to a pipe."""
        with tempfile.NamedTemporaryFile("w") as names:
            names.write("\n".join(self.paths(image)))
            names.flush()
            yield ["tar", "-P", "-cf", "-", "-T", names.name]


def row(what: str, against: str, measured: Comparison, *, at_least: float) -> Row:
    """Return the line of a comparison whose ratio should be `at_least` so much."""
    return Row(
        what=what,
        against=against,
        unit="s",
        ours=measured.ours,
        other=measured.other,
        ratio=measured.ratio,
        at_least=at_least,
    )


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
    from load_image import Loadable, compare_changed, compare_first, compare_there, daemon

    def loadable(image: str) -> Loadable:
        program = bench.built / f"{image}-load/bin/copy-to-docker-daemon"
        return Loadable(str(program), shlex.join(bench.stream(image)))

    image = "tenth" if bench.small else "large"
    what = f"load {0.3 if bench.small else 3.5} GB"
    old, new = loadable(f"{image}-before"), loadable(f"{image}-after")
    with daemon() as docker:
        first = compare_first(docker, loadable("tenth-after"), pairs=bench.pairs)
        changed = compare_changed(docker, old, new, pairs=bench.pairs)
        there = compare_there(docker, new, pairs=bench.pairs)
    against = "the stream, docker load"
    return [
        row("load 0.3 GB into an empty Docker", against, first, at_least=0.9),
        row(f"{what} after a change", against, changed, at_least=5),
        Row(
            what=f"{what} that is there",
            against=against,
            unit="s",
            ours=there.ours,
            other=there.other,
            at_most=0.4,
        ),
    ]


def push(bench: Bench) -> list[Row]:
    """Push to a registry on loopback, beside skopeo with the same stream."""
    image = "tenth" if bench.small else "large"
    gigabytes = 0.3 if bench.small else 3.5
    before, after = (
        Image(bench.plan(f"{image}-{when}"), str(bench.built / f"{image}-{when}"))
        for when in ("before", "after")
    )
    with tempfile.TemporaryDirectory() as name, registry(pathlib.Path(name)) as address:
        pushes = Pushes(
            str(bench.built / "longshore/bin/longshore"), address, pathlib.Path(name), before, after
        )
        pushes.cold()
        cold = [pushes.cold() for _ in range(bench.pairs)]
        alone = [
            run(bench.python("compress_layers.py", before.plan, "gz")) for _ in range(bench.pairs)
        ]
        fresh = [pushes.changed(cached=False) for _ in range(bench.pairs)]
        change = pushes.reports[-1]
        cached = [pushes.changed(cached=True) for _ in range(bench.pairs)]
        unchanged = [pushes.unchanged() for _ in range(bench.pairs)]
        again = pushes.reports[-1]
    sent = sum(blob["size"] for blob in change["blobs"] if blob["status"] == "sent")
    what = f"push {gigabytes} GB"
    rows = [
        row(
            f"{what} to an empty registry",
            "the stream through skopeo",
            side_by_side(cold),
            at_least=2,
        ),
        row(
            f"{what} to an empty registry",
            "compressing it, and no more",
            side_by_side([(mine, its) for (mine, _), its in zip(cold, alone, strict=True)]),
            at_least=0.9,
        ),
        row(f"{what} after a change", "skopeo on a fresh machine", side_by_side(fresh), at_least=5),
        row(f"{what} after a change", "skopeo with its cache", side_by_side(cached), at_least=1),
    ]
    for label, unit, values, most in (
        ("peak memory of pushing", "MiB", [mine.peak / MIB for mine, _ in cold], 200),
        ("pushing unchanged", "s", [one.seconds for one in unchanged], 0.5),
        ("CPU time of pushing a change of", "s", [mine.cpu for mine, _ in fresh], 1.0),
        ("requests after a change of", "requests", [float(change["requests"])], 16),
        ("requests for an unchanged image of", "requests", [float(again["requests"])], 3),
        (
            "bytes sent after a change of",
            "kB",
            [change["bytesSent"] / 1000],
            round(sent / 1000 + 64, 1),
        ),
    ):
        figure = spread(values)
        rows.append(Row(f"{label} {gigabytes} GB", "the same", unit, figure, figure, at_most=most))
    return rows


def side_by_side(runs: Sequence[tuple[Run, Run]]) -> Comparison:
    """Return what pairs of runs, ours first, have taken."""
    return Comparison(
        ours=times([mine for mine, _ in runs]),
        other=times([its for _, its in runs]),
        ratio=spread([its.seconds / mine.seconds for mine, its in runs]),
        peak=max(mine.peak for mine, _ in runs),
    )


GRAPHS = (5_000, 10_000, 20_000, 50_000)


def plan_graph(bench: Bench) -> Measured:
    """Lay out up to 50,000 store paths with 8 references each, without hashing."""
    rows = []
    curves = []
    for layering, at_most in (("popularity", 3), ("size", 5)):
        seconds = []
        for paths in GRAPHS:
            with tempfile.NamedTemporaryFile("w") as graph:
                # Not here: the peak of each process to come would be that of this one.
                subprocess.run(bench.python("make_graph.py", str(paths)), stdout=graph, check=True)
                command = bench.python("plan_graph.py", graph.name, layering)
                runs = [json.loads(subprocess.check_output(command)) for _ in range(bench.pairs)]
            seconds.append(spread([measured["seconds"] for measured in runs]))
        peak = spread([measured["peak"] / MIB for measured in runs])
        name = {"popularity": "popularity contest", "size": "size cohorts"}[layering]
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


def machine(pairs: int) -> str:
    """Say in a few words what is measured on."""
    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        f"{pairs} pairs"
    )


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
