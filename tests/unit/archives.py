"""Image archives for tests, made by hand in each of the forms that base images come in."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile

import zstandard

COMPRESSORS = {
    "none": bytes,
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "xz": lzma.compress,
    "bz2": bz2.compress,
}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def link(target, kind=tarfile.SYMTYPE):
    """Content that makes `tar` write a link instead of a file."""
    header = tarfile.TarInfo()
    header.type = kind
    header.linkname = target
    return header


def tar(members, *, prefix="", padded=True, format=tarfile.PAX_FORMAT, **facts):
    """The tar archive of `members`, (name, content) pairs; `facts` go into every header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in members:
            header = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo()
            header.name = prefix + name
            for fact, value in facts.items():
                setattr(header, fact, value)
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(header)
            else:
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))
    data = out.getvalue()
    return data if padded else data.rstrip(b"\0")


def layer(name, size=600):
    """A small layer: a tar of one file that is called `name`."""
    return tar([(name, name.encode() * (size // len(name)))])


def dump(value):
    return json.dumps(value).encode()


def config(layers, **more):
    """The image configuration over `layers`, the bytes of uncompressed tars."""
    diff_ids = [f"sha256:{sha256(data)}" for data in layers]
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        **more,
    }


def entry(config_name, layer_names, repo_tags=("base:1",)):
    return {"Config": config_name, "RepoTags": list(repo_tags), "Layers": list(layer_names)}


def plain_members(layers, **more):
    """The members of an image as Longshore and `docker save` before 25 have them."""
    document = dump(config(layers, **more))
    name = f"{sha256(document)}.json"
    names = [f"{sha256(data)}/layer.tar" for data in layers]
    return [
        *dict(zip(names, layers, strict=True)).items(),
        (name, document),
        ("manifest.json", dump([entry(name, names)])),
    ]


def blob(data):
    return f"blobs/sha256/{sha256(data)}", data


def descriptor(data, media_type="application/octet-stream", **more):
    return {
        "mediaType": media_type,
        "digest": f"sha256:{sha256(data)}",
        "size": len(data),
        **more,
    }


LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def oci_image(layers, *, stored=None, layer_type=LAYER_TYPE, **more):
    """The blobs of an OCI image over `layers`, stored as `stored`; the last one is its manifest.

    Layers are of the media type `layer_type`, whatever they are.
    """
    stored = stored or layers
    document = dump(config(layers, **more))
    manifest = dump(
        {
            "schemaVersion": 2,
            "config": descriptor(document, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(data, layer_type) for data in stored],
        }
    )
    return [blob(data) for data in (*stored, document, manifest)]


def oci_members(images):
    """The members of an OCI archive; `images` are pairs of `oci_image` and what the index adds."""
    index = {
        "schemaVersion": 2,
        "manifests": [
            descriptor(blobs[-1][1], "application/vnd.oci.image.manifest.v1+json", **more)
            for blobs, more in images
        ],
    }
    return [
        *dict(pair for blobs, _ in images for pair in blobs).items(),
        ("oci-layout", dump({"imageLayoutVersion": "1.0.0"})),
        ("index.json", dump(index)),
    ]


def saved_members(layers, *, stored=None):
    """The members of what `docker save` since 25 makes: an OCI layout with a manifest.json."""
    image = oci_image(layers, stored=stored)
    names = [name for name, _ in image]
    count = len(layers)
    return [
        *oci_members([(image, {"annotations": {"io.containerd.image.name": "base:1"}})]),
        ("manifest.json", dump([entry(names[count], names[:count])])),
    ]


def member(name, content=b"", kind=tarfile.REGTYPE, **facts):
    """A member for `layer_of`; `facts` are attributes of its TarInfo."""
    header = tarfile.TarInfo(name)
    header.type = kind
    header.size = len(content)
    for key, value in {"mode": 0o644, **facts}.items():
        setattr(header, key, value)
    return header, content


def directory(name, **facts):
    return member(name, kind=tarfile.DIRTYPE, **{"mode": 0o755, **facts})


def symlink(name, target, **facts):
    return member(name, kind=tarfile.SYMTYPE, linkname=target, **facts)


def link_to(name, target, **facts):
    """A hard link."""
    return member(name, kind=tarfile.LNKTYPE, linkname=target, **facts)


def sparse(name, data, *, size=None, extents=None, **facts):
    """A sparse file in the form of pax 1.0: `data` belong to `extents`, pairs of start and size."""
    extents = [(0, len(data))] if extents is None else extents
    numbers = [len(extents), *(number for extent in extents for number in extent)]
    map_ = "".join(f"{number}\n" for number in numbers).encode()
    content = map_ + bytes(-len(map_) % 512) + data
    records = {"major": "1", "minor": "0", "name": name, "realsize": str(size or len(data))}
    records = {f"GNU.sparse.{key}": value for key, value in records.items()}
    return member(f"GNUSparseFile.0/{name}", content, pax_headers=records, **facts)


SPARSE_FORMS = {
    "gnu": ("--sparse", "--format=gnu"),
    "pax 0.0": ("--sparse", "--format=posix", "--sparse-version=0.0"),
    "pax 0.1": ("--sparse", "--format=posix", "--sparse-version=0.1"),
    "pax 1.0": ("--sparse", "--format=posix", "--sparse-version=1.0"),
}
"""The forms that GNU tar has for sparse files, and its options for each."""


def write_sparse(path, size, pieces):
    """Make a sparse file with `pieces`, pairs of start and content."""
    with path.open("wb") as file:
        file.truncate(size)
        for start, content in pieces:
            file.seek(start)
            file.write(content)


def gnu_tar(directory, *options):
    """What GNU tar packs of `directory`."""
    command = ["tar", "--sort=name", *options, "-C", directory, "-cf", "-", "."]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def layer_of(*members):
    """A layer of members of any kind."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return out.getvalue()


# Headers for `tar`, which gives them names.


def special(kind, **facts):
    """A header of a member that is no file; `facts` are attributes of its TarInfo."""
    header = tarfile.TarInfo()
    header.type = kind
    for fact, value in facts.items():
        setattr(header, fact, value)
    return header


def hard(target):
    return link(target, tarfile.LNKTYPE)


def directory_header(mode=0o755, **facts):
    return special(tarfile.DIRTYPE, mode=mode, **facts)
