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


def build(builder: str, top: str, outputs: dict[str, str], **arguments: object) -> None:
    """Run one builder in the directory `top`."""
    os.mkdir(top)
    attributes = {"outputs": outputs, "arguments": arguments}
    pathlib.Path(top, ".attrs.json").write_text(json.dumps(attributes))
    environment = {**os.environ, "NIX_BUILD_TOP": top, "NIX_BUILD_CORES": "0"}
    command = [sys.executable, "-I", "-B", builders.__path__[0], builder]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Build the layer, the plan and the image."""
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    paths = [path for layer in plan["layers"] for path in layer.get("paths", ())]
    programs = ("shell", "stdenv", "fakeroot", "fakeroot_path", "root_path", "python", "library")
    no_base = {"base": None, "from_image": None}
    store = {"store_dir": "/nix/store"}
    where = {"where": "in docker image image"}
    with tempfile.TemporaryDirectory() as directory:
        layer, layers, conf = (f"{directory}/{name}" for name in ("layer", "layers", "conf"))
        build(
            "single_layer",
            f"{directory}/top-1",
            {"out": layer},
            **no_base,
            **store,
            **dict.fromkeys(programs, ""),
            **where,
            base_names=None,
            config_references=None,
            copy_engine_files=True,
            directories=[],
            copy_to_root=[sys.argv[2]],
            keep_contents_dirlinks=False,
            extra_commands="",
            run_as_root=None,
            uid=0,
            gid=0,
            include_nix_db=False,
            nix_store=None,
        )
        build(
            "closure_layer",
            f"{directory}/top-2",
            {"out": layers},
            **dict.fromkeys(("from_image", "base_names", "base_store")),
            **store,
            **where,
            layer=layer,
            exclude=[],
            closure=[
                {"path": path, "references": [], "narSize": 0, "narHash": ""} for path in paths
            ],
        )
        build(
            "image_plan",
            f"{directory}/top-3",
            {"out": conf, "graph": f"{directory}/graph"},
            **store,
            **where,
            variant=None,
            made_in_containers=[],
            image_name="image",
            tag="latest",
            tag_by_archive=True,
            config=None,
            architecture="amd64",
            created="1970-01-01T00:00:01Z",
            mtime="1980-01-01",
            base=None,
            layers=layers,
            date="date",
        )
        build(
            "image_file",
            f"{directory}/top-4",
            {"out": f"{directory}/image.tar.gz"},
            **where,
            plan=conf,
            compressor="gz",
            compression_level=None,
        )


if __name__ == "__main__":
    main()
