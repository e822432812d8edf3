"""Make a closure graph by chance, always the same.

make_graph.py PATHS > GRAPH
"""

import json
import random
import sys

REFERENCES = 8


def make_graph(paths: int) -> list[dict[str, object]]:
    """Return a closure of `paths` store paths with 8 references each, as Nix exports it.

    Most references are to a few paths that much of the closure needs, as to glibc or bash.
    """
    dice = random.Random(paths)
    names = [f"/nix/store/{dice.getrandbits(160):040x}"[:43] + f"-pkg-{at}" for at in range(paths)]
    nodes = []
    for at, name in enumerate(names):
        below = {names[int(at * dice.random() ** 3)] for _ in range(REFERENCES)} if at else set()
        size = int(dice.lognormvariate(12, 3)) + 112
        nodes.append(
            {
                "path": name,
                "references": sorted(below),
                "narSize": size,
                "narHash": f"sha256:{dice.getrandbits(256):064x}",
                "closureSize": size,
                "valid": True,
            }
        )
    return sorted(nodes, key=lambda node: str(node["path"]))


if __name__ == "__main__":
    json.dump(make_graph(int(sys.argv[1])), sys.stdout)
