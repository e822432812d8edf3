"""Archives and documents as others make them, and what damage or malice makes of those."""

import copy
import json
import tarfile

from builders.tar.header import extended_header, pax_record
from tests.unit.archives import (
    COMPRESSORS,
    blob,
    config,
    descriptor,
    directory_header,
    dump,
    entry,
    hard,
    layer_of,
    link,
    oci_image,
    oci_members,
    plain_members,
    saved_members,
    sha256,
    sparse,
    special,
    tar,
)

NAMES = (
    *("a", "b", "d", "d/f", "d/e", "l", "l/x", "../a", "/a", "./d//f", "d/../../a", "é", "\udcff"),
    *(".wh.a", "d/.wh.f", "d/.wh..wh..opq", ".wh..wh..opq", ".wh..wh.plnk/1", ".wh.", "", "."),
    *("n" * 300, "d/" * 30 + "f", "\x1b[2J", "a\n", "nix/store/x", "manifest.json", "d/" * 2100),
)
PLAIN = ("b", "d/f", "d/e", "l/x", "./c//y", "/g", "../h", "é", "\udcff", "i/../../j", "e/k/m")
TARGETS = ("a", "d", "..", "/", "l", "../../..", "/etc/passwd", "d/f", "", "l/l/l", "t" * 5000)
NUMBERS = (0, 1, -1, 7, 255, 4096, 1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 70)
TEXTS = ("", "x", "latest", "..", "\x1b[2J", "\ud800", "é", "a" * 300, "sha256:" + "0" * 64, "a\0b")
RECORDS = (
    *(b"path", b"linkpath", b"uname", b"gname", b"size", b"uid", b"gid", b"mtime", b"hdrcharset"),
    *(b"SCHILY.xattr.user.a", b"SCHILY.xattr.user.\xff", b"SCHILY.xattr.", b"GNU.sparse.major"),
    *(b"GNU.sparse.name", b"GNU.sparse.size", b"GNU.sparse.map", b"GNU.sparse.realsize"),
    *(b"SCHILY.xattr.security.capability", b"GNU.sparse.minor", b"GNU.sparse.numblocks"),
)
VALUES = (b"", b"x", b"0", b"-1", b"1.5", b"9" * 30, b"1e9", b"../a", b"\xff", b"n" * 70_000)
RAW = (b"NaN", b"1e999", b"[" * 900 + b"]" * 900, b"9" * 5000, b'{"a":1,"a":2}', b'"\\ud800"')


# Layers


def layer(chance):
    """A layer of a few members of any kind, most of them as they should be."""
    if chance.random() < 0.1:
        size = chance.choice([None, 60, 1 << 20, 1 << 50])
        extents = [(chance.randrange(9), 4), (chance.randrange(12, 50), 4)]
        return layer_of(sparse("s", b"8 bytes!", size=size, extents=extents))
    names = chance.sample(PLAIN, chance.randrange(1, 8))
    members = [(name, _content(chance)) for name in names]
    if chance.random() < 0.8:
        # What the others lie in, or lead to.
        members = [("a", b"x"), ("d", directory_header()), ("l", link("d")), *members]
        members = [m for n, m in enumerate(members) if m[0] not in [o[0] for o in members[:n]]]
    if chance.random() < 0.3:
        members.append((chance.choice(NAMES), _content(chance)))
    formats = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]
    facts = {}
    if chance.random() < 0.2:
        facts[chance.choice(["uid", "gid", "mtime"])] = chance.choice(NUMBERS[:10])
    try:
        return tar(members, format=chance.choice(formats), **facts)
    except (ValueError, OverflowError, UnicodeError):
        return tar(members[:3])


def _content(chance):
    kind = chance.randrange(8)
    if kind == 0:
        return link(chance.choice(TARGETS))
    if kind == 1:
        return hard(chance.choice(TARGETS))
    if kind == 2:
        return directory_header(chance.choice([0o755, 0o7777, 0]))
    if kind == 3:
        numbers = {"devmajor": chance.randrange(5000), "devminor": chance.randrange(1 << 21)}
        return special(chance.choice([b"3", b"4", b"6", b"7", b"Z"]), **numbers)
    if kind == 4:
        return special(b"0", pax_headers={"SCHILY.xattr.user.a": "v"})
    return b"x" * chance.choice([0, 1, 511, 512, 600])


def damage_tar(data, chance):
    """Damage headers, and make their checksums right; or put records before one."""
    changed = bytearray(data)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    for _ in range(chance.choice([1, 1, 2, 5])):
        if not headers:
            break
        at = chance.choice(headers)
        if chance.random() < 0.4:
            inserted = _records(chance)
            changed[at:at] = inserted
            headers = [place + len(inserted) * (place >= at) for place in headers]
            continue
        low, high = chance.choice([(0, 100), (100, 157), (157, 257), (257, 345), (345, 512)])
        for _ in range(chance.choice([1, 1, 4, 12])):
            byte = chance.choice([0, 32, 47, 48, 49, 55, 56, 120, 128, 255, chance.randrange(256)])
            changed[at + chance.randrange(low, high)] = byte
        if chance.random() < 0.95:
            changed[at + 148 : at + 156] = b" " * 8
            changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def _records(chance):
    pairs = [(chance.choice(RECORDS), chance.choice(VALUES)) for _ in range(chance.randrange(1, 5))]
    data = b"".join(pax_record(key, value) for key, value in pairs)
    if chance.random() < 0.2:
        data = damage_bytes(data, chance)
    raw = bytearray(extended_header(len(data)))
    raw[156:157] = chance.choice([b"x", b"x", b"x", b"g", b"X", b"L", b"K"])
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + data + bytes(-len(data) % 512)


def damage_bytes(data, chance):
    """Change, cut out or repeat some bytes anywhere."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 3, 20])):
        at = chance.randrange(len(changed) + 1)
        size = chance.choice([1, 1, 8, 512, 600])
        kind = chance.randrange(5)
        if kind == 0:
            del changed[at : at + size]
        elif kind == 1:
            changed[at:at] = changed[at : at + size] * chance.choice([1, 2, 9])
        elif kind == 2:
            del changed[at:]
        else:
            changed[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(changed)


def any_layer(chance):
    """A layer, often damaged."""
    data = layer(chance)
    if chance.random() < 0.6:
        data = damage_tar(data, chance)
    if chance.random() < 0.2:
        data = damage_bytes(data, chance)
    return data


# JSON


def damage_json(value, chance):
    """Return `value` as JSON, with something in it replaced, left out, repeated or misspelled."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    marks = {}
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if not places:
            break
        holder, key = chance.choice(places)
        if not (key in holder if isinstance(holder, dict) else key < len(holder)):
            continue
        kind = chance.randrange(8)
        if kind == 0:
            mark = f"MARK{len(marks)}"
            marks[mark] = chance.choice(RAW)
            holder[key] = mark
        elif kind == 1:
            holder[key] = chance.choice(NUMBERS)
        elif kind == 2:
            holder[key] = chance.choice(TEXTS)
        elif kind == 3:
            holder[key] = chance.choice([None, True, 1.5, [], {}, [[]], {"": {}}, ["x"] * 300])
        elif kind == 4:
            del holder[key]
        elif kind == 5 and isinstance(holder, dict):
            holder[chance.choice([key.upper(), key.lower(), key.title()])] = holder[key]
        elif kind == 6 and isinstance(holder, list):
            holder += holder[key : key + 1] * chance.choice([1, 5, 1100])
        else:
            other, place = chance.choice(places)
            if place in other if isinstance(other, dict) else place < len(other):
                holder[key] = copy.deepcopy(other[place])
    data = json.dumps(value).encode()
    for mark, raw in marks.items():
        data = data.replace(b'"%s"' % mark.encode(), raw)
    return damage_bytes(data, chance) if chance.random() < 0.1 else data


def _places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(pairs):
        yield value, key
        if isinstance(child, dict | list):
            yield from _places(child)


# Images


def image(chance):
    """An image archive of any form and compression, often damaged in one place."""
    makers = [layer, layer, any_layer]
    layers = [chance.choice(makers)(chance) for _ in range(chance.randrange(1, 4))]
    if chance.random() < 0.3:
        layers.append(chance.choice(layers))
    make = chance.choice([_plain, _plain, _saved, _oci])
    data = make(layers, chance)
    if chance.random() < 0.15:
        data = damage_tar(data, chance)
    if chance.random() < 0.05:
        data = damage_bytes(data, chance)
    compressor = chance.choice(["none", "none", *COMPRESSORS])
    data = COMPRESSORS[compressor](data)
    return damage_bytes(data, chance) if chance.random() < 0.05 else data


def _maybe(value, chance, share=0.25):
    return damage_json(value, chance) if chance.random() < share else dump(value)


INHERITED = {
    "Cmd": ["x"],
    "Entrypoint": ["/x"],
    "Env": ["A=1"],
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": {"Test": ["NONE"], "Interval": 1},
    "Labels": {"a": "b"},
    "OnBuild": ["RUN x"],
    "StopTimeout": 1,
    "User": "x",
    "Volumes": {"/x": {}},
    "WorkingDir": "x",
}
"""A container configuration that an image on top can inherit."""


def _history(chance, layers):
    entries = [{"created_by": "x"} for _ in layers] + [{"empty_layer": True}]
    return {"history": entries, "extra": {"Labels": {"a": "b"}}} if chance.random() < 0.5 else {}


def _plain(layers, chance):
    members = plain_members(layers)[:-2]
    if chance.random() < 0.3:
        index = chance.randrange(len(members))
        name = chance.choice([f"{'a' * 64}/layer.tar", "é.tar", "x/y/z", "../x", "manifest.json/x"])
        members[index] = (name, members[index][1])
    names = [name for name, _ in members][: len(layers)]
    if len(names) < len(layers):
        names += names[-1:] * (len(layers) - len(names))
    if chance.random() < 0.2:
        members.append(("link", link(names[0])))
        names[0] = "link"
    more = _history(chance, layers) | chance.choice([{}, {"config": INHERITED}])
    document = _maybe(config(layers, **more), chance)
    name = chance.choice([f"{sha256(document)}.json", "config.json"])
    manifest = _maybe([entry(name, names)] * chance.choice([1, 1, 3]), chance)
    return tar([*members, (name, document), ("manifest.json", manifest)])


def _saved(layers, chance):
    stored = [COMPRESSORS[chance.choice([*COMPRESSORS])](data) for data in layers]
    members = saved_members(layers, stored=stored)
    index = chance.randrange(len(members))
    name, data = members[index]
    if chance.random() < 0.5 and isinstance(data, bytes) and data.startswith((b"{", b"[")):
        members[index] = (name, damage_json(json.loads(data), chance))
    return tar(members)


def _oci(layers, chance):
    blobs = oci_image(layers, **_history(chance, layers))
    *others, (_, manifest) = blobs
    manifest = _maybe(json.loads(manifest), chance)
    blobs = [*others, blob(manifest)]
    entries = [(blobs, {"platform": {"os": "linux", "architecture": "amd64"}})]
    members = oci_members(entries * chance.choice([1, 1, 2]))
    index = json.loads(members[-1][1])
    if chance.random() < 0.3:
        inner = _maybe(index, chance)
        members.append(blob(inner))
        index["manifests"].append(descriptor(inner, "application/vnd.oci.image.index.v1+json"))
    members = [member for member in members if member[0] != "index.json"]
    return tar([*members, ("index.json", _maybe(index, chance))])


# Other documents


def answer(chance):
    """What a registry answers: an index or a manifest."""
    entries = [
        descriptor(
            bytes([number]),
            "application/vnd.oci.image.manifest.v1+json",
            platform={"os": "linux", "architecture": name, "variant": "v8"},
            annotations={"org.opencontainers.image.ref.name": "x"},
        )
        for number, name in enumerate(["amd64", "arm64", "unknown"])
    ]
    return damage_json({"schemaVersion": 2, "manifests": entries}, chance)


def stored(chance):
    """The documents of an image in a registry: index, manifest and configuration, one a line."""
    layer = b"not read"
    paths = [f"/nix/store/{number:032}-p{number}-1" for number in range(3)]
    history = [{"comment": f"store paths: {paths}"}, {"created_by": "RUN x", "empty_layer": True}]
    data = _maybe(config([layer], history=history), chance)
    *_, (_, manifest) = oci_image([layer])
    manifest = json.loads(manifest)
    manifest["config"] = descriptor(data, "application/vnd.oci.image.config.v1+json")
    manifest = _maybe(manifest, chance)
    kind = "application/vnd.oci.image.manifest.v1+json"
    entry = descriptor(manifest, kind, platform={"os": "linux", "architecture": "amd64"})
    index = _maybe({"schemaVersion": 2, "manifests": [entry]}, chance)
    return json.dumps([part.hex() for part in (index, manifest, data)]).encode()


def graph(chance):
    """A closure graph, as `layers` reads it."""
    paths = [f"/nix/store/{letter * 32}-{letter}" for letter in "abcdefgh"]
    nodes = [
        {
            "path": path,
            "narSize": chance.randrange(1000),
            "narHash": "sha256:" + "0" * 52,
            "references": chance.sample(paths[number:], chance.randrange(len(paths) - number + 1)),
        }
        for number, path in enumerate(paths)
    ]
    value = {"version": 2, "paths": nodes} if chance.random() < 0.5 else nodes
    return damage_json(value, chance)


def plan(chance):
    """An image plan of each kind of layer, damaged."""
    paths = [f"/nix/store/{number:032}-p{number}-1" for number in range(5)]
    owner = {"uid": 0, "gid": 0, "uname": "root", "gname": "root"}
    known = {"diff_id": f"sha256:{64 * '1'}", "size": 5000}
    stored = {"digest": f"sha256:{64 * '2'}", "media_type": None, "size": 7}
    place = {"archive": "/b.tar", "compression": "none", "offset": 512, "name": "l", "mode": 420}
    closure = {"paths": paths[3:], "parents": [], "present": ["x"], "offset": 512, "mtime": 1}
    value = {
        "version": 2,
        "name": "app",
        "tag": chance.choice(["1", None]),
        "platform": {"os": "linux", "architecture": "amd64", "variant": None},
        "created": "1970-01-01T00:00:01Z",
        "mtime": 1,
        "config": {"Env": ["A=1", "B"], "Cmd": [paths[0]], "Labels": {"x": "y"}, "User": None},
        "layers": [
            {"kind": "base", **place, **owner, **known, "mtime": 1, "stored": stored, "entry": {}},
            {
                "kind": "store-paths",
                "paths": paths[:3],
                "mtime": 1,
                **owner,
                **known,
                "store_dir": "/nix/store",
            },
            {"kind": "tar", "path": "/layer.tar", **known},
            {"kind": "tar-with-closure", "path": "/layer.tar", **known, "closure": closure},
        ],
        "graph": None,
    }
    return damage_json(value, chance) if chance.random() < 0.9 else json.dumps(value).encode()


def stream(chance):
    """Something compressed, damaged."""
    data = layer(chance) * chance.choice([1, 1, 30])
    compressed = COMPRESSORS[chance.choice([*COMPRESSORS])](data)
    return damage_bytes(compressed, chance)
