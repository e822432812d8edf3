"""Plays the client of Docker, whose daemon keeps its images in a directory.

It is run as `python fake_docker.py DIRECTORY ARGUMENT…`. Files in the directory are what it knows
and what it is to do: `images` (JSON: what `docker image inspect` prints, by name), `driver` (what
`docker info` prints), `fail-COMMAND` (what it says before it fails), `fail-after-pull`,
`hang-COMMAND`, `hang-after-pull`, `hang-after-load`. What it was
called with goes to `calls`, a JSON list a line.
"""

import io
import json
import pathlib
import re
import sys
import tarfile
import time
import urllib.request

NONE = "Error: No such image: "


def main(directory, *arguments):
    home = pathlib.Path(directory)
    with (home / "calls").open("a") as calls:
        print(json.dumps(arguments), file=calls)
    command = "-".join(it for it in arguments[:2] if it in {"image", "inspect", "ls", "rm"})
    command = command or arguments[0]
    if (home / f"fail-{command}").exists():
        sys.stdin.buffer.read(100)
        sys.exit((home / f"fail-{command}").read_text())
    while (home / f"hang-{command}").exists():
        time.sleep(0.01)
    images = json.loads((home / "images").read_text())
    match command:
        case "image-inspect":
            names = arguments[2:]
            found = [images[name] for name in names if name in images]
            print(json.dumps(found))
            if len(found) < len(names):
                sys.exit(NONE + names[0])
            return
        case "image-ls" if "--digests" in arguments:
            for name in images:
                repository, tag, digest = re.fullmatch(r"(.*?)(:[^:/@]+)?(@.*)?", name).groups()
                print(repository, (tag or ":<none>")[1:], (digest or "@<none>")[1:])
            return
        case "image-ls":
            print("\n".join(images))
            return
        case "info":
            print((home / "driver").read_text())
            return
        case "pull":
            images[arguments[-1]] = pull(arguments[-1], images)
            keep(home, images)
            while (home / "hang-after-pull").exists():
                time.sleep(0.01)
            if (home / "fail-after-pull").exists():
                sys.exit((home / "fail-after-pull").read_text())
            return
        case "load":
            images.update(load(images))
            keep(home, images)
            while (home / "hang-after-load").exists():
                time.sleep(0.01)
            return
        case "tag":
            images[arguments[2]] = images[arguments[1]]
        case "image-rm":
            if images.pop(arguments[2], None) is None:
                sys.exit(NONE + arguments[2])
    keep(home, images)


def keep(home, images):
    """Write down which images there are, so that nobody reads half of it."""
    (home / "new").write_text(json.dumps(images))
    (home / "new").rename(home / "images")


def known(images):
    return {layer for image in images.values() for layer in image["RootFS"]["Layers"]}


def pull(reference, images):
    """Pull from the registry, which `reference` names, what is not there."""
    name, _, digest = reference.partition("@")
    address, _, repository = name.partition("/")
    base = f"http://{address}/v2/{repository}"

    def get(kind, digest):
        with urllib.request.urlopen(f"{base}/{kind}/{digest}") as answer:
            return answer.read()

    manifest = json.loads(get("manifests", digest))
    for layer in manifest["layers"]:
        if layer["digest"] not in known(images):
            get("blobs", layer["digest"])
    config = manifest["config"]["digest"]
    return image(config, json.loads(get("blobs", config)))


def load(images):
    """Read an archive, which may lack layers that are there."""
    data = io.BytesIO(sys.stdin.buffer.read())
    with tarfile.open(fileobj=data) as archive:
        (entry,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(entry["Config"]))
        there = set(archive.getnames())
    for layer, diff_id in zip(entry["Layers"], config["rootfs"]["diff_ids"], strict=True):
        if layer not in there and diff_id not in known(images):
            sys.exit(f"open {layer}: no such file or directory")
    digest = "sha256:" + entry["Config"].rpartition("/")[2]
    return {name: image(digest, config) for name in entry["RepoTags"]}


def image(digest, config):
    return {"Id": digest, "RootFS": {"Layers": config["rootfs"]["diff_ids"]}}


if __name__ == "__main__":
    main(*sys.argv[1:])
