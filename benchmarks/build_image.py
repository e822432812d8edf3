"""The builders of buildImage, one after the other, as Nix runs them.

    build_image.py PLAN TREE

PLAN is a plan of a layered image: its store paths are the closure. TREE is copied to the root.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import builders


def build(builder: str, output: str, top: str, arguments: dict[str, object]) -> None:
    """Run one builder in the directory `top`."""
    os.mkdir(top)
    attributes = {"outputs": {"out": output}, "arguments": arguments}
    pathlib.Path(top, ".attrs.json").write_text(json.dumps(attributes))
    environment = {**os.environ, "NIX_BUILD_TOP": top, "NIX_BUILD_CORES": "0"}
    command = [sys.executable, "-I", "-B", builders.__path__[0], builder]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Build the layer and the image."""
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    paths = [path for layer in plan["store_layers"] for path in layer["paths"]]
    common = {
        "image_name": "image",
        "architecture": "amd64",
        "config": None,
        "created": "1970-01-01T00:00:01Z",
        "from_image": None,
        "from_image_name": None,
        "from_image_tag": None,
        "store_dir": "/nix/store",
    }
    unused = ("shell", "stdenv", "fakeroot", "fakeroot_path", "root_path", "python", "library")
    with tempfile.TemporaryDirectory() as directory:
        layer = f"{directory}/layer"
        build(
            "single_layer",
            layer,
            f"{directory}/top-1",
            {
                **common,
                **dict.fromkeys(unused, ""),
                "copy_to_root": [sys.argv[2]],
                "keep_contents_dirlinks": False,
                "extra_commands": "",
                "run_as_root": None,
                "uid": 0,
                "gid": 0,
                "include_nix_db": False,
                "nix_store": None,
            },
        )
        build(
            "single_layer_image",
            f"{directory}/image.tar.gz",
            f"{directory}/top-2",
            {
                **common,
                "tag": "latest",
                "layer": layer,
                "compressor": "gz",
                "compression_level": None,
                "date": "date",
                "closure": [
                    {"path": path, "references": [], "narSize": 0, "narHash": ""} for path in paths
                ],
            },
        )


if __name__ == "__main__":
    main()
