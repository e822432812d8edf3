"""Hash all store layers of an image plan: hash_layers.py PLAN JOBS.

What planning does once it knows the layers; with one job, what a planner without
processes does.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from builders.closure.graph import StorePath
from builders.image.layering import hash_layers
from builders.image.plan import from_json


def main() -> None:
    """Hash, and fail where a digest is not the plan's."""
    plan = from_json(pathlib.Path(sys.argv[1]).read_text())
    graph = {
        path: StorePath(path, (), nar_size=layer.size or 0)
        for layer in plan.store_layers
        for path in layer.paths[:1]
    }
    for layer in plan.store_layers:
        for path in layer.paths[1:]:
            graph[path] = StorePath(path, ())
    layers = hash_layers(
        plan.store_layers,
        graph=graph,
        stamp=plan.stamp(),
        store_dir=plan.store_dir,
        jobs=int(sys.argv[2]),
    )
    if layers != plan.store_layers:
        sys.exit("the layers are not those of the plan")


if __name__ == "__main__":
    main()
