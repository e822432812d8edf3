"""Lays out the layers of a closure graph without hashing any.

    plan_graph.py GRAPH LAYERING

GRAPH is a JSON file as Nix exports it. Writes as JSON how long that takes, from reading
the file on, and how much memory: {"seconds": …, "peak": bytes}.
"""

import json
import os
import resource
import sys
import time

from builders.closure.graph import read_graph
from builders.image.layering import assign_layers


def main() -> None:
    """Measure."""
    start = time.perf_counter()
    jobs = len(os.sched_getaffinity(0))
    with open(sys.argv[1]) as file:
        graph = read_graph(json.load(file))
    assign_layers(graph, exclude=(), limit=99, layering=sys.argv[2], jobs=jobs)
    seconds = time.perf_counter() - start
    # What the processes share is counted for each of them.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak += jobs * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    json.dump({"seconds": seconds, "peak": peak * 1024}, sys.stdout)


if __name__ == "__main__":
    main()
