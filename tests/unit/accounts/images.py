"""Small images to explain: their graph, and archives of them made by hand."""

import io
import json
import tarfile

from builders.accounts.known import NAR, PLAN, STORE, KnownImage, KnownLayer, all_roots
from builders.closure.graph import StorePath
from tests.unit.archives import config, dump, entry, sha256


def path(name, digit="a"):
    """A store path; the digit tells those of one name apart."""
    base = "".join(c if c in "0123456789abcdfghijklmnpqrsvwxyz" else "0" for c in name)
    return f"/nix/store/{(base + digit * 32)[:31]}{digit}-{name}"


def graph(references, sizes=None, digits=None):
    """The graph of `references`, names by name; sizes are 100 where they are not given."""
    named = {name: path(name, (digits or {}).get(name, "a")) for name in references}
    return {
        named[name]: StorePath(
            path=named[name],
            references=tuple(named[other] for other in others),
            nar_size=(sizes or {}).get(name, 100),
            nar_hash=f"sha256:{sha256(named[name].encode())}",
        )
        for name, others in references.items()
    }


DIAMOND = {
    "app-1.0": ["left-2.0", "right-2.0"],
    "left-2.0": ["base-3.0", "only-left-1.0"],
    "right-2.0": ["base-3.0"],
    "only-left-1.0": [],
    "base-3.0": [],
}
SIZES = {"app-1.0": 1, "left-2.0": 10, "right-2.0": 100, "only-left-1.0": 1000, "base-3.0": 10000}


def image(nodes, layers, roots=(), **more):
    """An image of these layers, lists of names; what nothing refers to is a root."""
    by_name = {node.path.partition("-")[2]: node for node in nodes.values()}
    return KnownImage(
        **{
            "source": PLAN,
            "name": "app:1",
            "platform": "linux/amd64",
            "config": {},
            "layers": tuple(
                KnownLayer(
                    kind=STORE,
                    diff_id=f"sha256:{sha256(' '.join(by_name[n].path for n in names).encode())}",
                    size=sum(by_name[name].nar_size for name in names) + 50,
                    paths={by_name[name].path: by_name[name].nar_size for name in names},
                )
                for names in layers
            ),
            "graph": nodes,
            "roots": all_roots(nodes, [by_name[name].path for name in roots]),
            "measure": NAR,
            **more,
        }
    )


def diamond(**more):
    return image(
        graph(DIAMOND, SIZES),
        [["base-3.0"], ["only-left-1.0", "right-2.0"], ["left-2.0", "app-1.0"]],
        **more,
    )


def layer_tar(members):
    """A layer of files by name; a tuple's only member is the target of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                header.type, header.linkname = tarfile.SYMTYPE, content[0]
                content = b""
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return out.getvalue()


def archive(layers, **more):
    """An archive of `layers`, as `docker save` wrote them."""
    document = dump(config(layers, **more))
    names = [f"{number}/layer.tar" for number, _ in enumerate(layers)]
    members = [
        *zip(names, layers, strict=True),
        ("config.json", document),
        ("manifest.json", dump([entry("config.json", names, ["app:1"])])),
    ]
    return layer_tar(dict(members))


LEFT, RIGHT = path("left-2.0"), path("right-2.0")


def two_paths():
    """The layers of an image: left refers to right in a file, and a link outside leads to left."""
    return [
        layer_tar({f"{RIGHT}/file": b"r" * 700}),
        layer_tar(
            {
                f"{LEFT}/bin/left": b"x" * 100 + f"{RIGHT}/file".encode() + b"y" * 100,
                "bin/left": (f"{LEFT}/bin/left",),
                "etc/app/settings": b"z" * 600,
            }
        ),
    ]


def graph_file(directory, references, *, layers=None, name="graph.json", **more):
    """Write the JSON that lies beside a plan; return its path."""
    nodes = graph(references, **more)
    document = {
        "version": 2,
        "roots": [next(iter(nodes))],
        "paths": [
            {
                "path": node.path,
                "narSize": node.nar_size,
                "narHash": node.nar_hash,
                "references": list(node.references),
                "layer": (layers or {}).get(node.path.partition("-")[2], 0),
            }
            for node in nodes.values()
        ],
    }
    (directory / name).write_text(json.dumps(document))
    return str(directory / name)


class Counting(dict):
    """A dictionary that counts how often something is looked up in it."""

    looked_up = 0

    def __getitem__(self, key):
        self.looked_up += 1
        return super().__getitem__(key)


def chain(count, digit="a"):
    """The graph of so many paths, of which each one refers to the next one."""
    names = [f"p{number}-1" for number in range(count)]
    needs = {name: names[number + 1 : number + 2] for number, name in enumerate(names)}
    return graph(needs, digits=dict.fromkeys(names, digit))
